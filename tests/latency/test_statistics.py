"""The interval holds the truth as often as it says, and no percentile is printed from too few samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency.statistics import MINIMUM_SAMPLES, SpreadPool, SpreadPrior, estimate_ratio, percentile_ms

NO_PRIOR = SpreadPrior()


def process(rng: np.random.Generator, ratio: float, between: float, within: float) -> tuple[np.ndarray, np.ndarray]:
    """One process's candidate and baseline times, with a spread between processes and one within."""
    shift = rng.normal(0, between)
    return ratio * np.exp(shift + rng.normal(0, within, 90)), np.exp(rng.normal(0, within, 90))


@pytest.mark.parametrize("between", [0.0, 0.002, 0.004, 0.008])
@pytest.mark.parametrize("within", [0.005, 0.03])
def test_interval_holds_the_truth_under_the_search_stop_rule(between: float, within: float) -> None:
    rng = np.random.default_rng(1)
    pool, held, runs = SpreadPool(), 0, 150
    for _ in range(runs):
        pairs = [process(rng, 0.3, between, within) for _ in range(4)]
        estimate = estimate_ratio(pairs, pool.prior())
        if estimate.half_width > 0.007:
            pairs += [process(rng, 0.3, between, within) for _ in range(4)]
            estimate = estimate_ratio(pairs, pool.prior())
        pool.add(estimate)
        held += estimate.low <= 0.3 <= estimate.high
    assert held / runs >= 0.93


def test_quiet_machine_reaches_the_target_width() -> None:
    rng = np.random.default_rng(2)
    pool = SpreadPool()
    widths = []
    for _ in range(50):
        estimate = estimate_ratio([process(rng, 1.0, 0.003, 0.01) for _ in range(4)], pool.prior())
        pool.add(estimate)
        widths.append(estimate.half_width)
    assert float(np.median(widths[10:])) < 0.007


def test_prior_narrows_what_four_processes_cannot_tell_but_never_outweighs_them() -> None:
    rng = np.random.default_rng(3)
    pairs = [process(rng, 1.0, 0.004, 0.005) for _ in range(4)]
    alone = estimate_ratio(pairs, NO_PRIOR)
    helped = estimate_ratio(pairs, SpreadPrior(variance=alone.variance, degrees=4))
    assert helped.half_width < alone.half_width
    assert helped.ratio == alone.ratio
    pool = SpreadPool()
    assert pool.prior() == NO_PRIOR
    for _ in range(100):
        pool.add(alone)
    assert pool.prior().degrees == 4
    assert pool.prior().variance == pytest.approx(alone.variance)


def test_processes_that_agree_by_luck_do_not_hide_the_error_within() -> None:
    rng = np.random.default_rng(4)
    one = process(rng, 1.0, 0.0, 0.05)
    estimate = estimate_ratio([one, one, one, one], NO_PRIOR)
    assert estimate.variance == pytest.approx(0)
    assert estimate.half_width > 0.005


def test_single_process_has_no_interval() -> None:
    estimate = estimate_ratio([([1.0, 1.0], [2.0, 2.0])], NO_PRIOR)
    assert estimate.ratio == 0.5
    assert (estimate.low, estimate.high, estimate.half_width) == (0.0, math.inf, math.inf)


def test_no_process_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one process, got none"):
        estimate_ratio([], NO_PRIOR)


def test_lower_quantile_ignores_what_disturbs_half_of_the_inferences() -> None:
    rng = np.random.default_rng(5)
    disturbed = [np.where(rng.random(200) < 0.6, 1.3, 1.0) + rng.normal(0, 0.001, 200) for _ in range(8)]
    pairs = list(zip(disturbed[:4], disturbed[4:], strict=True))
    assert estimate_ratio(pairs, NO_PRIOR, quantile=0.1).half_width < 0.01


@given(scale=st.floats(1e-3, 1e3), factor=st.floats(1e-2, 1e2))
def test_ratio_follows_scale_and_is_blind_to_units(scale: float, factor: float) -> None:
    rng = np.random.default_rng(6)
    pairs = [process(rng, 1.0, 0.01, 0.01) for _ in range(4)]
    plain = estimate_ratio(pairs, NO_PRIOR)
    scaled = estimate_ratio([(first * scale * factor, second * scale) for first, second in pairs], NO_PRIOR)
    assert scaled.ratio == pytest.approx(plain.ratio * factor, rel=1e-9)
    assert scaled.half_width == pytest.approx(plain.half_width, rel=1e-6)


@pytest.mark.parametrize("percent", sorted(MINIMUM_SAMPLES))
def test_minimum_samples_are_loadgens_rule(percent: int) -> None:
    def chance(samples: int) -> float:
        above = 1 - percent / 100
        return (1 - above) ** samples + samples * above * (1 - above) ** (samples - 1)

    needed = MINIMUM_SAMPLES[percent]
    assert chance(needed) <= 0.01 < chance(needed - 1)
    assert percentile_ms([1.0] * (needed - 1), percent) is None
    assert percentile_ms([1.0] * needed, percent) == 1.0


def test_unknown_percentile_is_refused() -> None:
    with pytest.raises(ValueError, match="got 42"):
        percentile_ms([1.0], 42)
