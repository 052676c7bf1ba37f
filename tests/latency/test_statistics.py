"""The interval holds the truth as often as it says, and no percentile is printed from too few samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency.statistics import MINIMUM_SAMPLES, SpreadPool, SpreadPrior, estimate_ratio, percentile_ms

NO_PRIOR = SpreadPrior()


def process(rng: np.random.Generator, ratio: float, between: float, within: float, rounds: int = 12) -> np.ndarray:
    """One process's log ratios, with a spread between processes and one within; a tenth of the rounds is disturbed."""
    disturbed = np.where(rng.random(rounds) < 0.1, rng.normal(0, 10 * within, rounds), 0.0)
    return math.log(ratio) + rng.normal(0, between) + rng.normal(0, within, rounds) + disturbed


@pytest.mark.parametrize("between", [0.0, 0.002, 0.004, 0.008])
@pytest.mark.parametrize("within", [0.005, 0.02])
def test_interval_holds_the_truth_under_the_search_stop_rule(between: float, within: float) -> None:
    rng = np.random.default_rng(1)
    pool, held, runs = SpreadPool(), 0, 300
    for _ in range(runs):
        shifts = rng.normal(0, between, 4)
        processes = [process(rng, 0.3, 0.0, within) + shift for shift in shifts]
        estimate = estimate_ratio(processes, pool.prior())
        if estimate.half_width > 0.007:
            if estimate.wants_processes:
                processes += [process(rng, 0.3, between, within) for _ in range(4)]
            else:
                again = [process(rng, 0.3, 0.0, within) + shift for shift in shifts]
                processes = [np.concatenate(pair) for pair in zip(processes, again, strict=True)]
            estimate = estimate_ratio(processes, pool.prior())
        pool.add(estimate)
        held += estimate.low <= 0.3 <= estimate.high
    assert held / runs >= 0.92


def test_quiet_machine_reaches_the_target_width() -> None:
    rng = np.random.default_rng(2)
    pool = SpreadPool()
    widths = []
    for _ in range(50):
        estimate = estimate_ratio([process(rng, 1.0, 0.002, 0.01) for _ in range(4)], pool.prior())
        pool.add(estimate)
        widths.append(estimate.half_width)
    assert float(np.median(widths[10:])) < 0.007


def test_disturbed_rounds_move_the_estimate_less_than_its_interval() -> None:
    rng = np.random.default_rng(5)
    quiet = [process(rng, 1.0, 0.0, 0.005) for _ in range(4)]
    disturbed = [np.where(np.arange(12) < 3, rounds + 0.5, rounds) for rounds in quiet]
    estimate = estimate_ratio(disturbed, NO_PRIOR)
    assert estimate.low <= 1.0 <= estimate.high
    assert estimate.half_width < 0.02


def test_prior_narrows_what_four_processes_cannot_tell_but_never_outweighs_twelve() -> None:
    rng = np.random.default_rng(3)
    processes = [process(rng, 1.0, 0.02, 0.002) for _ in range(4)]
    alone = estimate_ratio(processes, NO_PRIOR)
    helped = estimate_ratio(processes, SpreadPrior(variance=alone.observed - alone.sampling, degrees=4))
    assert helped.half_width < alone.half_width
    assert helped.ratio == alone.ratio
    pool = SpreadPool()
    assert pool.prior() == NO_PRIOR
    for _ in range(100):
        pool.add(alone)
    assert pool.prior().degrees == 12
    assert pool.prior().variance == pytest.approx(alone.observed / 0.79 - alone.sampling, rel=0.01)


def test_model_that_was_measured_amid_disturbance_does_not_widen_those_after_it() -> None:
    rng = np.random.default_rng(7)
    pool, disturbed = SpreadPool(), SpreadPool()
    for index in range(20):
        estimate = estimate_ratio([process(rng, 1.0, 0.003, 0.005) for _ in range(4)], NO_PRIOR)
        pool.add(estimate)
        wild = estimate_ratio([process(rng, 1.0, 0.2, 0.05) for _ in range(4)], NO_PRIOR)
        disturbed.add(wild if index % 4 == 0 else estimate)
    assert disturbed.prior().variance < 4 * pool.prior().variance
    assert pool.prior().variance == pytest.approx(0.003**2, rel=0.8)


def test_it_says_whether_processes_or_samples_are_wanting() -> None:
    rng = np.random.default_rng(4)
    spread = estimate_ratio([process(rng, 1.0, 0.05, 0.002) for _ in range(4)], NO_PRIOR)
    noisy = estimate_ratio([process(rng, 1.0, 0.0, 0.05) for _ in range(4)], SpreadPrior(degrees=12))
    assert spread.wants_processes
    assert not noisy.wants_processes


def test_processes_that_agree_by_luck_do_not_hide_the_error_within() -> None:
    rng = np.random.default_rng(4)
    one = process(rng, 1.0, 0.0, 0.05)
    estimate = estimate_ratio([one, one, one, one], NO_PRIOR)
    assert estimate.observed == 0
    assert estimate.sampling > 0
    assert estimate.half_width > 0.005


def test_single_process_has_no_interval() -> None:
    estimate = estimate_ratio([np.log([0.5, 0.5])], NO_PRIOR)
    assert estimate.ratio == pytest.approx(0.5)
    assert (estimate.low, estimate.high, estimate.half_width) == (0.0, math.inf, math.inf)


def test_no_process_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one process, got none"):
        estimate_ratio([], NO_PRIOR)


@given(factor=st.floats(1e-2, 1e2))
def test_ratio_follows_its_scale(factor: float) -> None:
    rng = np.random.default_rng(6)
    processes = [process(rng, 1.0, 0.01, 0.01) for _ in range(4)]
    plain = estimate_ratio(processes, NO_PRIOR)
    scaled = estimate_ratio([rounds + math.log(factor) for rounds in processes], NO_PRIOR)
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
