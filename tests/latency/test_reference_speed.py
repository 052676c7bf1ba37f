"""Measurements taken at different speeds of a machine, looked at from one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latency import Measurement, combine
from latency.elasticity import UNKNOWN, Elasticity, fit_elasticity
from latency.reference_speed import ReferenceSpeed, speeds_within
from latency.samples import ProcessSamples, Samples

Maker = Callable[..., Measurement]

FAST_MS, SLOW_MS = 3.5, 5.5
RATIO, TRUE_ELASTICITY = 0.3, 0.4
TURN = 4
CERTAIN = ReferenceSpeed(baseline_ms=FAST_MS, elasticity=Elasticity(value=TRUE_ELASTICITY))

levels_of_rounds = st.lists(st.sampled_from((FAST_MS, 4.2, SLOW_MS)), min_size=8, max_size=24)


def at_levels(
    levels_ms: Sequence[float], *, elasticity: float = TRUE_ELASTICITY, noise: float = 0.003, seed: int = 0
) -> ProcessSamples:
    """A process in which the machine has one level a round, and the candidate follows with its elasticity."""
    rng = np.random.default_rng(seed)
    baseline, candidate = [], []
    for level in levels_ms:
        grown = RATIO * level * (level / FAST_MS) ** elasticity
        baseline += list(level * np.exp(rng.normal(0.0, noise, 2 * TURN)))
        candidate += list(grown * np.exp(rng.normal(0.0, noise, 2 * TURN)))

    def samples(taken_ms: list[float]) -> Samples:
        return Samples(wall_ms=tuple(taken_ms), cpu_ms=tuple(taken_ms), switches=(0,) * len(taken_ms))

    return ProcessSamples(candidate=samples(candidate), baseline=samples(baseline), rounds=len(levels_ms))


@pytest.fixture(scope="module")
def make() -> Maker:
    """A measurement of four processes with these levels."""

    def build(*levels_ms: Sequence[float], **options: float) -> Measurement:
        each = [levels_ms[position % len(levels_ms)] for position in range(4)]
        processes = tuple(at_levels(levels, seed=seed, **options) for seed, levels in enumerate(each))
        return dataclasses.replace(template, processes=processes)

    from latency.measurement import MeasurementKey
    from latency.statistics import SpreadPrior

    key = MeasurementKey(
        model_digest="c" * 64, baseline_digest="b" * 64, hardware_id="0" * 12, runtime="runtime 1",
        provider="CPUExecutionProvider", threads=1, affinity=None, spinning=True, batch_size=1, input_shapes=(),
        session_entries=(), baseline_session_entries=(),
    )  # fmt: skip
    template = Measurement(
        key=key, profile="test-cpu", processes=(at_levels([FAST_MS]),), grade="clean", reason="quiet", remedy="",
        clock="wall", spread_prior=SpreadPrior(), inference_s=0.5, overhead_s=0.1, taken_at="2026-01-02T03:04:05+00:00",
    )  # fmt: skip
    return build


@settings(max_examples=25, deadline=None)
@given(levels=levels_of_rounds)
def test_whatever_speeds_it_was_taken_at_it_is_seen_from_one(make: Maker, levels: list[float]) -> None:
    """Each round is corrected from its own level, so mixtures of speeds come out right as well."""
    seen = make(levels).at(CERTAIN)
    assert seen.ratio == pytest.approx(RATIO, rel=0.01)
    assert seen.ratio_low < seen.ratio < seen.ratio_high


@settings(max_examples=25, deadline=None)
@given(levels=levels_of_rounds, reference_ms=st.floats(1.0, 10.0))
def test_an_elasticity_of_0_is_the_ratio_as_read(make: Maker, levels: list[float], reference_ms: float) -> None:
    """Nothing known, nothing changed."""
    read = make(levels)
    seen = read.at(ReferenceSpeed(baseline_ms=reference_ms, elasticity=UNKNOWN))
    assert (seen.ratio, seen.ratio_low, seen.ratio_high) == (read.ratio, read.ratio_low, read.ratio_high)


def test_at_one_speed_nothing_changes(make: Maker) -> None:
    """Where FP32 takes what it takes at the reference speed, an elasticity however uncertain changes nothing."""
    read = make([FAST_MS] * 12, noise=0.0)
    seen = read.at(ReferenceSpeed(baseline_ms=FAST_MS, elasticity=Elasticity(value=0.4, deviation=0.3)))
    assert (seen.ratio, seen.ratio_low, seen.ratio_high) == pytest.approx((read.ratio, read.ratio_low, read.ratio_high))


def test_what_is_uncertain_of_the_elasticity_widens_the_interval(make: Maker) -> None:
    """By as much as the speeds are apart."""
    read = make([SLOW_MS] * 12)
    uncertain = ReferenceSpeed(baseline_ms=FAST_MS, elasticity=Elasticity(value=TRUE_ELASTICITY, deviation=0.1))
    certain, seen = read.at(CERTAIN), read.at(uncertain)
    assert seen.ratio == certain.ratio
    assert math.log(seen.ratio_high / seen.ratio) == pytest.approx(1.96 * 0.1 * math.log(SLOW_MS / FAST_MS), rel=0.05)
    assert certain.ratio_half_width < 0.02


def test_how_it_is_looked_at_is_not_stored(make: Maker) -> None:
    """The log holds what was read."""
    read = make([FAST_MS] * 6, [SLOW_MS] * 6)
    assert Measurement.from_json(read.at(CERTAIN).to_json()).ratio == pytest.approx(read.ratio, rel=1e-4)
    assert read.at(CERTAIN).at(None) == read
    assert read.at(CERTAIN).baseline_ms == read.baseline_ms


def test_occasions_at_two_speeds_combine_to_a_ratio_that_is_known(make: Maker) -> None:
    """As they were read they differ by a fifth, and are too far apart to rank; seen from one speed they agree."""
    fast, slow = make([FAST_MS] * 12), make([SLOW_MS] * 12)
    assert slow.ratio / fast.ratio == pytest.approx((SLOW_MS / FAST_MS) ** TRUE_ELASTICITY, rel=0.01)
    read, seen = combine([fast, slow]), combine([fast, slow.at(CERTAIN)], CERTAIN)
    assert read.ratio_half_width > 0.05
    assert seen.grade == "clean"
    assert seen.ratio_half_width < 0.01
    assert seen.ratio == pytest.approx(RATIO, rel=0.01)


def test_what_is_uncertain_of_speeds_makes_no_measurement_unreliable(make: Maker) -> None:
    """Its interval says so; the samples are as good as they were, and more of them would not help."""
    uncertain = ReferenceSpeed(baseline_ms=FAST_MS, elasticity=Elasticity(value=TRUE_ELASTICITY, deviation=0.3))
    seen = combine([make([SLOW_MS] * 12), make([SLOW_MS] * 12)], uncertain)
    assert seen.grade == "clean"
    assert seen.ratio_half_width > 0.2
    assert seen.at(uncertain.certain).ratio_half_width < 0.02


def test_a_measurement_tells_both_speeds_that_it_saw(make: Maker) -> None:
    """And so by itself how the ratio follows them."""
    found = speeds_within(make([FAST_MS] * 8 + [SLOW_MS] * 4), 1.0)
    assert [reading.baseline_ms for reading in found] == pytest.approx([FAST_MS, SLOW_MS], rel=0.01)
    assert [reading.ratio for reading in found] == pytest.approx(
        [RATIO, RATIO * (SLOW_MS / FAST_MS) ** TRUE_ELASTICITY], rel=0.01
    )
    assert fit_elasticity(found).value == pytest.approx(TRUE_ELASTICITY, abs=0.05)


@pytest.mark.parametrize(
    "levels",
    [
        [FAST_MS] * 12,
        [FAST_MS] * 12 + [SLOW_MS],  # one disturbed round is no speed
        [FAST_MS, 1.05 * FAST_MS] * 6,  # sessions of FP32 differ by as much
        [FAST_MS * 1.02**step for step in range(12)],  # it drifts: there are not two
    ],
)
def test_what_is_no_second_speed(make: Maker, levels: list[float]) -> None:
    """One reading, of all rounds."""
    read = make(levels[:12]) if len(levels) == 12 else make(levels, levels[:12], levels[:12], levels[:12])
    (found,) = speeds_within(read, 0.5)
    assert (found.model, found.share) == ("c" * 64, 0.5)
    assert found.ratio == pytest.approx(read.ratio)


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.inf, math.nan])
def test_no_speed(wrong: float) -> None:
    """A speed is a time that FP32 takes."""
    with pytest.raises(ValueError, match="baseline_ms"):
        ReferenceSpeed(baseline_ms=wrong, elasticity=UNKNOWN)
