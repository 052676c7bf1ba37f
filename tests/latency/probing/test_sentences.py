"""The findings in words: each says figures that were measured, and a reason only where rows bear it out."""

from __future__ import annotations

from typing import Any

import pytest

from hwprofiles import HardwareProfile, ProbedLayer
from latency.probing import ProbeOutcome
from latency.probing.sentences import sentences
from tests.hwprofiles.probed_rows import profile_with, row
from tests.latency.probing.made_groups import MACHINE


def said(*rows: ProbedLayer, profile: HardwareProfile | None = None, left_out: int = 0) -> list[str]:
    profile = profile or profile_with()
    outcome = ProbeOutcome(rows=rows, runtime="onnxruntime 1.32.0", machine=MACHINE, left_out=left_out)
    return list(sentences(profile, before=profile_with(), outcome=outcome))


def matmul(ratio: float | None, number_format: str, **changes: Any) -> ProbedLayer:
    return row(ratio, operator="MatMul", format=number_format, **changes)


def test_a_format_is_summed_up_over_batch_sizes() -> None:
    rows = [matmul(1 / 1.9, "int4-weights"), matmul(1 / 0.6, "int4-weights", batch_size=32)]
    assert said(*rows)[0] == "4-bit-weight MatMul: ×1.90 at batch 1, ×0.60 at batch 32"


def test_layers_of_a_kind_that_differ_show_their_spread() -> None:
    rows = [row(0.5), row(0.25, weight_shape=(128, 128, 3, 3)), row(0.9, weight_shape=(64, 64, 1, 1))]
    assert said(*rows)[:2] == [
        "int8 Conv 3×3: ×2.83 (×2.00 to ×4.00) at batch 1",
        "int8 Conv 1×1: ×1.11 at batch 1",
    ]


def test_another_scheme_s_figure_is_the_reason_to_use_it() -> None:
    one_by_one = {"weight_shape": (64, 64, 1, 1)}
    found = said(row(1 / 2.3, **one_by_one), row(1 / 0.8, scheme="s8s8", **one_by_one))
    assert "int8 by scheme: u8s8 ×2.30, s8s8 ×0.80" in found
    assert (
        'slower than FP32: int8 Conv 1×1 64→64 in s8s8 at batch 1: ×0.80; u8s8 is ×2.30: use int8_scheme = "u8s8"'
        in found
    )


def test_float_kernels_in_place_of_integer_ones_are_the_reason() -> None:
    instead = "the runtime runs it in FusedConv"
    found = said(
        row(0.5), row(2.0, scheme="s8s8", instead=instead), row(2.1, scheme="s8s8", instead=instead, batch_size=32)
    )
    told = [line for line in found if instead in line]
    assert told == [
        "slower than FP32: int8 Conv 3×3 64→64 in s8s8 at batch 1: ×0.50 (and 1 like it); the runtime runs it in "
        'FusedConv, conversions added; u8s8 is ×2.00: use int8_scheme = "u8s8"'
    ]


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (
            [matmul(1.25, "int8-dynamic"), matmul(0.5, "int8")],
            "finding ranges at every inference costs more than it saves; int8 with calibrated ones is ×2.00",
        ),
        (
            [
                matmul(1.25, "int8-weights", weight_only_compute="float"),
                matmul(0.5, "int8-weights", weight_only_compute="int8"),
            ],
            'computed in int8 it is ×2.00: use weight_only_compute = "int8"',
        ),
        (
            [matmul(1.25, "int4-weights", batch_size=32), matmul(0.5, "int4-weights")],
            "it pays at batch 1 (×2.00), where fewer inputs share the weights",
        ),
        (
            [row(1.25, weight_shape=(8, 8, 3, 3)), row(0.5)],
            "it has only 113 k multiply-adds; Conv 3×3 64→64 with 7.23 M multiply-adds is ×2.00",
        ),
        ([matmul(1.25, "int8"), matmul(0.5, "int4-weights")], "4-bit-weight is ×2.00"),
        (
            [row(1.25, format="fp16", kernels=("Conv:fp16-widened",))],
            "the runtime has no 16-bit kernel for it and computes in FP32 after all",
        ),
    ],
)
def test_a_slower_choice_has_the_reason_that_the_rows_bear_out(rows: list[ProbedLayer], reason: str) -> None:
    told = [line for line in said(*rows) if line.startswith("slower than FP32")]
    assert len(told) == 1
    assert "×0.80" in told[0]
    assert told[0].endswith(f"; {reason}")


def test_a_layer_for_which_nothing_pays_has_one_sentence() -> None:
    rows = [matmul(ratio, name) for ratio, name in ((1.25, "int8"), (1.1, "int8-dynamic"), (2.0, "int4-weights"))]
    assert [line for line in said(*rows) if "nothing" in line or "slower" in line] == [
        "nothing was found to pay for MatMul 384→384 at batch 1 (28.9 M multiply-adds, 1 ms in FP32): the best is "
        "dynamic int8 at ×0.91"
    ]


def test_the_scheme_that_differs_in_the_weights_only_is_not_told_twice() -> None:
    found = said(row(0.5), row(1.25, scheme="u8s7"))
    assert [line for line in found if line.startswith("slower")] == []


def test_ranks_and_widths_are_listed_in_order() -> None:
    factors = [row(0.5, rank=16), row(0.8, rank=32), row(0.25, rank=8, format="fp32", scheme=None)]
    narrow = [row(ratio, width=width) for width, ratio in ((64, 0.5), (60, 0.5), (32, 0.25))]
    found = said(*factors, *narrow)
    assert "Conv 3×3 64→64 in two factors, int8, batch 1, by rank: 16 ×2.00, 32 ×1.25" in found
    assert "Conv 3×3 64→64 in two factors, FP32, batch 1, by rank: 8 ×4.00" in found
    assert "Conv 3×3 64→64 narrowed, int8 time by width: 32 50%, 60 100%, 64 100%" in found


def test_refusals_share_a_sentence_by_reason() -> None:
    rows = [matmul(None, name, weight_shape=(size, 64)) for name in ("int8", "int4-weights") for size in (64, 128)]
    assert "does not run: int8 (u8s8) MatMul and 4-bit-weight (int8) MatMul: no such kernel" in said(*rows)


def test_schemes_are_compared_on_the_layers_that_all_of_them_ran() -> None:
    other = {"weight_shape": (128, 128, 1, 1)}
    found = said(
        row(0.5), row(1.0, scheme="s8s8"), row(0.1, **other), row(0.2, scheme="s8s8", grade="unreliable", **other)
    )
    assert "int8 by scheme: u8s8 ×2.00, s8s8 ×1.00" in found


def test_what_decided_nothing_and_what_was_not_measured_is_said() -> None:
    found = said(row(0.5, grade="unreliable"), row(0.5, scheme="s8s8"), left_out=7)
    assert "1 of 2 figures are unreliable and decided nothing; the same command takes them again" in found
    assert found[-1] == "the time was up before 7 of 9 choices; the same command goes on"
    assert not any("by scheme" in line for line in found), "one scheme of two is unreliable"


def test_a_change_of_scheme_is_said() -> None:
    rows = [row(0.5), row(0.4, scheme="s8s8")]
    assert "int8_scheme is now s8s8, was u8s8" in said(*rows, profile=profile_with(int8_scheme="s8s8"))


def test_ranks_of_layers_that_differ_in_their_work_alone_stay_apart() -> None:
    found = said(row(0.5, rank=16), row(0.25, rank=16, macs=64 * 64 * 9 * 49))
    assert "Conv 3×3 64→64, 7.23 M in two factors, int8, batch 1, by rank: 16 ×2.00" in found
    assert "Conv 3×3 64→64, 1.81 M in two factors, int8, batch 1, by rank: 16 ×4.00" in found
