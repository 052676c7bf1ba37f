"""What made-up rows make of a profile: what is measured decides, what is not stays, and the notes say why."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from hwprofiles import HardwareProfile, ProbedLayer
from latency.probing import ProbeOutcome, conclude
from tests.hwprofiles.probed_rows import profile_with, row
from tests.latency.probing.made_groups import MACHINE

DAY = dt.date(2026, 3, 1)


def before(*offered: str, **formats: Any) -> HardwareProfile:
    """An unprobed profile."""
    profile = profile_with(offered=("fp32", *offered), **formats)
    return profile.model_copy(update={"probe": None, "probed": False})


def concluded(
    profile: HardwareProfile, *rows: ProbedLayer, left_out: int = 0, flags: tuple[str, ...] = ("asimddp",)
) -> HardwareProfile:
    outcome = ProbeOutcome(
        rows=rows,
        runtime="onnxruntime 1.32.0",
        machine=dataclasses.replace(MACHINE, flags=flags),
        left_out=left_out,
    )
    return conclude(profile, outcome, name="my-board", subject="a network", taken_on=DAY)


def notes(profile: HardwareProfile) -> str:
    assert profile.probe is not None
    return "\n".join(profile.probe.notes)


def matmul(ratio: float | None, number_format: str, **changes: Any) -> ProbedLayer:
    return row(ratio, operator="MatMul", format=number_format, **changes)


def test_the_rows_and_their_circumstances_are_kept() -> None:
    probed = concluded(before("int8"), row(0.5), left_out=3)
    assert probed.probed
    assert probed.name == "my-board"
    assert probed.probe is not None
    assert (probed.probe.layers, probed.probe.taken_on, probed.probe.subject) == ((row(0.5),), DAY, "a network")
    assert (probed.probe.runtime, probed.probe.complete) == ("onnxruntime 1.32.0", False)
    assert probed.probe.hardware_id == dataclasses.replace(MACHINE, flags=("asimddp",)).hardware_id
    assert "3 of 4 choices" in notes(probed)


@pytest.mark.parametrize(
    ("ratios", "was", "offered"),
    [
        ([0.5, 1.2], False, True),
        ([1.2, 1.3], True, False),
        ([1.0, 1.2], True, True),
        ([1.0, 1.2], False, False),
        ([None, None], True, False),
        ([], True, True),
        ([], False, False),
    ],
)
def test_a_format_is_offered_where_it_pays_somewhere_or_nobody_knows(
    ratios: list[float | None], was: bool, offered: bool
) -> None:
    rows = [matmul(ratio, "int8-dynamic", weight_shape=(64 + at, 64)) for at, ratio in enumerate(ratios)]
    profile = concluded(before(*(["int8-dynamic"] if was else [])), *rows, row(0.5))
    assert ("int8-dynamic" in profile.formats.offered) is offered
    assert profile.formats.offered[0] == "fp32"


def test_another_batch_size_decides_nothing_about_this_one() -> None:
    rows = [matmul(1.2, "int4-weights"), matmul(0.5, "int4-weights", batch_size=32)]
    assert "int4-weights" not in concluded(before("int4-weights"), *rows).formats.offered
    assert "int4-weights" in concluded(before("int4-weights").with_engine(batch_size=32), *rows).formats.offered


def by_scheme(**ratios: float | None) -> list[ProbedLayer]:
    return [row(ratio, scheme=scheme) for scheme, ratio in ratios.items()]


@pytest.mark.parametrize(
    ("given", "flags", "ratios", "scheme"),
    [
        ("s8s8", ("asimddp",), {"u8s8": 0.4, "s8s8": 0.8}, "u8s8"),
        ("u8s8", ("asimddp",), {"u8s8": 0.8, "s8s8": 0.4}, "s8s8"),
        ("s8s8", ("asimddp",), {"u8s8": 0.79, "s8s8": 0.8}, "s8s8"),
        ("auto", ("asimddp",), {"u8s8": 0.4, "s8s8": 0.8}, "u8s8"),
        ("auto", (), {}, "auto"),
        ("u8s8", ("asimddp",), {"u8s8": None, "symmetric": 0.5}, "symmetric"),
        ("u8s7", ("asimddp",), {"u8s7": 0.5, "u8s8": 0.4}, "u8s7"),
        ("u8s8", ("avx2",), {"u8s7": 0.4, "u8s8": 0.5}, "u8s8"),
        ("u8s8", ("asimddp",), {"u8s8": 1.5, "s8s8": 1.1}, "u8s8"),
    ],
)
def test_the_scheme_that_takes_least_time_is_chosen(
    given: str, flags: tuple[str, ...], ratios: dict[str, float | None], scheme: str
) -> None:
    """3% are needed to turn a profile over; saturation, which time does not show, is the profile's business."""
    probed = concluded(before("int8", int8_scheme=given), *by_scheme(**ratios), flags=flags)
    assert probed.formats.int8_scheme == scheme


def test_on_x86_without_vnni_a_faster_unsigned_scheme_is_the_one_that_does_not_saturate() -> None:
    x86 = dataclasses.replace(MACHINE, architecture="x86_64", flags=("avx2",))
    outcome = ProbeOutcome(
        rows=tuple(by_scheme(u8s8=0.5, u8s7=0.5, s8s8=0.9)), runtime="onnxruntime 1.32.0", machine=x86, left_out=0
    )
    probed = conclude(before("int8", int8_scheme="s8s8"), outcome, name="x", subject="a", taken_on=DAY)
    assert probed.formats.int8_scheme == "u8s7"


def test_only_layers_that_every_scheme_ran_are_compared() -> None:
    other = {"weight_shape": (128, 128, 1, 1)}
    rows = [*by_scheme(u8s8=0.5, s8s8=0.6), row(0.1, scheme="s8s8", **other), row(None, scheme="u8s8", **other)]
    assert concluded(before("int8"), *rows).formats.int8_scheme == "u8s8"


@pytest.mark.parametrize(("floats", "ints", "compute"), [(0.5, 0.9, "float"), (0.9, 0.5, "int8"), (1.3, 1.2, "int8")])
def test_weight_only_kernels_compute_as_is_faster(floats: float, ints: float, compute: str) -> None:
    rows = [
        matmul(floats, "int4-weights", weight_only_compute="float"),
        matmul(ints, "int4-weights", weight_only_compute="int8"),
    ]
    probed = concluded(before("int4-weights"), *rows)
    assert probed.formats.weight_only_compute == compute
    assert ("weight_only_compute is now float, was int8" in notes(probed)) is (compute == "float")


def test_a_wandering_clock_between_two_rows_decides_nothing() -> None:
    rows = [
        matmul(1.2, "int4-weights", weight_only_compute="float", fp32_ms=1.0),
        matmul(1.2, "int4-weights", weight_only_compute="int8", fp32_ms=1.3),
    ]
    assert concluded(before("int4-weights"), *rows).formats.weight_only_compute == "int8"


def widths(at: dict[int, float], **changes: Any) -> list[ProbedLayer]:
    return [row(ratio, width=width, half=0.005, **changes) for width, ratio in at.items()]


def steps_of(multiple: int) -> dict[int, float]:
    """Time that rises in steps of a multiple, as kernels that work on so many channels at a time have it."""
    return {width: 0.5 * (-(-width // multiple) * multiple) / 64 for width in range(32, 65, 4)}


@pytest.mark.parametrize("multiple", [4, 8, 16, 32])
def test_the_multiple_is_the_step_in_which_time_rises(multiple: int) -> None:
    probed = concluded(before("int8"), row(0.5), *widths(steps_of(multiple)))
    assert probed.sparsity.channel_multiple == multiple
    assert f"channel_multiple = {multiple}" in notes(probed)
    assert ("was 16" in notes(probed)) is (multiple != 16)


def test_the_faster_format_s_widths_decide() -> None:
    floats = widths({width: 2 * ratio for width, ratio in steps_of(4).items()}, format="fp32", scheme=None)
    assert concluded(before("int8"), *widths(steps_of(32)), *floats).sparsity.channel_multiple == 32


def test_without_widths_the_multiple_stays() -> None:
    assert concluded(before("int8"), row(0.5)).sparsity.channel_multiple == 16
    shaky = widths(steps_of(4), grade="unreliable")
    assert concluded(before("int8"), *shaky).sparsity.channel_multiple == 16


@pytest.mark.parametrize(("sparse", "pays"), [(0.3, True), (0.5, False), (0.7, False)])
def test_zeros_pay_where_the_same_format_is_faster_with_them(sparse: float, pays: bool) -> None:
    probed = concluded(before("int8"), row(0.5), row(sparse, sparsity="2:4"))
    assert probed.sparsity.patterns == (("channels", "2:4") if pays else ("channels",))
    assert "2:4 zeros in int8 Conv 3×3 64→64" in notes(probed)


def test_the_probed_profile_rules_out_what_was_slower() -> None:
    slow = matmul(1.2, "int8-dynamic")
    probed = concluded(before("int8", "int8-dynamic"), slow, row(0.5), matmul(0.5, "int8-dynamic", weight_shape=(8, 8)))
    assert probed.cannot_pay(slow) == {"int8-dynamic"}
