"""The terminal's table keeps its figures whole at 80 columns."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from search.report.table import front_table


def printed(points: Any, facts: Any, *, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(front_table(points, facts, width=width))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


@pytest.mark.parametrize("width", [80, 100, 120, 160])
@pytest.mark.parametrize("size", [{}, {"trials": 2000, "layers": 60, "seed": 3}])
def test_no_figure_is_cut_or_wrapped(make_run: Callable[..., Any], width: int, size: dict[str, int]) -> None:
    points, facts = make_run(**size)
    text = printed([replace(p, grade="contended") if p.grade else p for p in points], facts, width=width)
    assert "…" not in text
    assert all(len(line) <= width for line in text.splitlines())
    knee = next(line for line in text.splitlines() if "knee" in line)
    assert " ms" in knee
    assert "×" in knee
    assert text.count("contended") >= 6


def test_wide_terminals_get_one_line_per_figure(make_run: Callable[..., Any]) -> None:
    assert "2.91× [2.86, 2.94]" in printed(*make_run(), width=120)


def test_markup_in_names_is_text(make_run: Callable[..., Any]) -> None:
    points, facts = make_run()
    marked = [replace(point, policy_summary="[red]x[/red]") for point in points]
    text = printed(marked, replace(facts, workload_name="[bold]w[/nope]"), width=120)
    assert "[red]x[/red]" in text
    assert "[bold]w[/nope]" in text


def test_unconfirmed_front_says_so(make_run: Callable[..., Any]) -> None:
    assert "Front so far, not yet confirmed" in printed(*make_run(confirm=False), width=80)


@pytest.mark.parametrize("width", [80, 130])
def test_instructions_are_never_called_time(emulated_run: Any, width: int) -> None:
    text = printed(*emulated_run, width=width)
    assert "instructions (emulated), not time" in text
    assert "counted in an emulator: a cost to compare by, which is not time" in " ".join(text.split())
    assert "533 M instr." in text
    assert " ms" not in text
    assert "speedup" not in text
    assert "latency" not in text
    assert "…" not in text


def test_another_answer_on_the_target_is_said_in_words(board_run: Any) -> None:
    text = " ".join(printed(*board_run, width=200).split())
    assert "on the target 0.9702, here 0.9792: differs beyond the interval" in text
    assert "layer 'stage1.block1.conv1' should run in integers; on the target it runs in float (FusedConv)" in text
    assert "Accuracy on the target itself (256 samples) differs from this host's beyond the interval for #1." in text
    agreeing = [replace(point, target_differs=False, reason="") for point in board_run[0]]
    text = " ".join(printed(agreeing, board_run[1], width=120).split())
    assert "itself (256 samples): no difference from this host's beyond the interval." in text
    assert "here 0.9792" not in text


def test_a_target_that_is_this_host_has_no_second_figure(board_run: Any) -> None:
    points, facts = board_run
    same = [replace(point, target_differs=False, reason="") for point in points]
    assert "on the target" not in printed(same, replace(facts, target_is_host=True), width=120)


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_runs_that_hardly_began_have_a_table(make_run: Callable[..., Any], keep: int) -> None:
    points, facts = make_run(confirm=False)
    assert "FP32 minus candidate" in " ".join(printed(points[:keep], facts, width=80).split())
