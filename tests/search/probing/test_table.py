"""The tables of a probe: a line for each layer and batch size, and marks for what a figure is worth."""

from __future__ import annotations

import pytest
from rich.console import Console

from hwprofiles import HardwareProfile, load_profile
from search.probing.table import probe_tables
from tests.hwprofiles.probed_rows import profile_with, row


def printed(profile: HardwareProfile, width: int = 80) -> list[str]:
    console = Console(width=width, force_terminal=False, color_system=None)
    with console.capture() as capture:
        console.print(probe_tables(profile))
    return [line.rstrip() for line in capture.get().splitlines()]


def cells(profile: HardwareProfile, start: str) -> list[list[str]]:
    return [line.removeprefix(start).split() for line in printed(profile) if line.startswith(start)]


def test_a_line_has_the_speedups_of_a_layer_and_a_batch_size() -> None:
    matmuls = [
        row(0.5, operator="MatMul", batch_size=batch, format=name)
        for batch in (1, 32)
        for name in ("int8", "int4-weights")
    ]
    profile = profile_with(row(0.25), row(1.0, format="fp16", scheme=None), *matmuls)
    assert cells(profile, "Conv 3×3 64→64") == [["1", "1", "×4.00", "~×1.00"]]
    assert cells(profile, "MatMul 384→384") == [["1", "1", "×2.00", "×2.00"], ["32", "1", "×2.00", "×2.00"]]


def test_what_a_figure_is_worth_is_marked() -> None:
    profile = profile_with(
        row(0.5, grade="unreliable"),
        row(2.0, scheme="s8s8", instead="the runtime runs it in FusedConv"),
        row(None, scheme="symmetric"),
        row(0.8, scheme="u8s7"),
    )
    assert cells(profile, "Conv 3×3 64→64")[-1] == ["?×2.00", "×1.25", "×0.50!", "no"]


def test_only_what_the_profile_would_run_stands_in_the_table_of_formats() -> None:
    slow = row(2.0, operator="MatMul", format="int4-weights", weight_only_compute="float")
    fast = row(0.5, operator="MatMul", format="int4-weights", weight_only_compute="int8")
    for compute, speedup in (("float", "×0.50"), ("int8", "×2.00")):
        assert cells(profile_with(slow, fast, weight_only_compute=compute), "MatMul")[0][-1] == speedup


def test_layers_that_differ_in_their_work_alone_have_it_in_their_names() -> None:
    profile = profile_with(row(0.5), row(0.4, macs=64 * 64 * 9 * 49), row(0.3, weight_shape=(32, 32, 3, 3)))
    lines = printed(profile)
    for name in ("Conv 3×3 64→64, 7.23 M ", "Conv 3×3 64→64, 1.81 M ", "Conv 3×3 32→32 "):
        assert any(line.startswith(name) for line in lines), name


def test_the_widest_table_fits_a_terminal() -> None:
    formats = ("int8", "int8-dynamic", "int8-weights", "int4-weights")
    rows = [row(0.123, operator="MatMul", format=name, weight_shape=(1024, 4096), batch_size=32) for name in formats]
    fp16 = row(0.5, format="fp16", scheme=None, weight_shape=(1024, 1, 3, 3), groups=1024)
    assert max(map(len, printed(profile_with(*rows, fp16)))) <= 80
    assert not any("…" in line for line in printed(profile_with(*rows, fp16)))


def test_a_profile_without_a_probe_has_no_table() -> None:
    with pytest.raises(ValueError, match="was not probed"):
        probe_tables(load_profile("local-cpu"))
