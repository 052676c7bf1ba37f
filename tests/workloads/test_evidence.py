"""How often candidates that are no worse are taken for worse, and how soon those that are."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom

from workloads import Accuracy, Bounds, chunk_ends, paired_drop, weigh

SAMPLES = 512
RUNS = 400
RATE = 0.02  # larger than what a search takes, so that so few runs can show an error
Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Array]


def right_or_wrong(generator: np.random.Generator, networks: int) -> Array:
    """Networks that fail on the same hard tenth of the samples, each on half of it."""
    hard = generator.random(SAMPLES) < 0.1
    return np.where(hard, generator.random((networks, SAMPLES)) < 0.5, 1.0)


def mostly_ties(generator: np.random.Generator, networks: int) -> Array:
    """Networks that differ in one sample of fifty."""
    return np.where(generator.random(SAMPLES) < 0.02, generator.random((networks, SAMPLES)) < 0.5, 1.0)


def squared_errors(generator: np.random.Generator, networks: int) -> Array:
    """Samples of very different difficulty, which all networks share."""
    return -np.exp(1.5 * generator.normal(size=SAMPLES)) * generator.exponential(size=(networks, SAMPLES))


def rare_gains(generator: np.random.Generator, networks: int) -> Array:
    """The last one (the candidate) loses a little nearly always and gains much once in fifty: t tests are deceived."""
    scores = np.where(generator.random((networks, SAMPLES)) < 0.02, 0.0, 1.0)
    scores[-1] = 0.98
    return scores


def first_stop(candidate: Array, rivals: Array, compared: int, rate: float = RATE) -> int | None:
    bounds = Bounds(worst=float(rivals.min()), best=float(rivals.max()))
    for end in chunk_ends(len(candidate)):
        if weigh(candidate[:end], rivals[:, :end], bounds, compared=compared).is_beyond(rate):
            return end
    return None


def wrong_stops(draw: Draw, *, others: int, chosen: int, seed: int = 0) -> int:
    """Of `RUNS` candidates that are as good as all others, those stopped for one of the `chosen` luckiest of them."""
    generator, wrong = np.random.default_rng(seed), 0
    for _ in range(RUNS):
        scores = draw(generator, others + 1)
        pool, candidate = scores[:-1], scores[-1]
        luckiest = pool[np.argsort(-pool.mean(axis=1))[:chosen]]
        wrong += first_stop(candidate, luckiest, others) is not None
    return wrong


@pytest.mark.parametrize("draw", [right_or_wrong, mostly_ties, squared_errors, rare_gains])
@pytest.mark.parametrize(("others", "chosen"), [(1, 1), (30, 6)])
def test_what_is_no_worse_is_rarely_taken_for_worse(draw: Draw, others: int, chosen: int) -> None:
    """At the worst case, a tie of all; the limit is what a true rate of 2% exceeds once in ten thousand times."""
    assert wrong_stops(draw, others=others, chosen=chosen) <= binom.ppf(0.9999, RUNS, RATE)


def test_looking_at_an_interval_after_every_chunk_errs_far_more_often() -> None:
    """What the evidence protects from: these very runs fool the plain 95% interval."""
    generator, wrong = np.random.default_rng(0), 0
    for _ in range(RUNS):
        scores = right_or_wrong(generator, 7)
        rivals, candidate = scores[:-1], scores[-1]
        best = rivals[rivals.mean(axis=1).argmax()]
        looks = (
            paired_drop(Accuracy(metric="m", scores=best[:end]), Accuracy(metric="m", scores=candidate[:end])).low
            for end in chunk_ends(SAMPLES)
        )
        wrong += any(low > 0 for low in looks)
    assert wrong > binom.ppf(0.9999, RUNS, 0.05)


@pytest.mark.parametrize("replaced", [False, True])
def test_samples_drawn_from_few_are_no_exception(replaced: bool) -> None:
    """Validation data are drawn without replacement: the candidate is exactly as good on all of them together."""
    generator, wrong = np.random.default_rng(3), 0
    for _ in range(RUNS):
        candidate = np.where(np.arange(SAMPLES) % 20 == 0, 0.0, 1.0)
        rival = np.where(np.arange(SAMPLES) % 20 == 1, 0.0, 1.0)
        order = generator.integers(0, SAMPLES, SAMPLES) if replaced else generator.permutation(SAMPLES)
        wrong += first_stop(candidate[order], rival[None, order], 1) is not None
    assert wrong <= binom.ppf(0.9999, RUNS, RATE)


@pytest.mark.parametrize(("accuracy", "typical"), [(0.1, 32), (0.5, 64), (0.8, 128), (0.9, 512)])
def test_the_worse_the_sooner(accuracy: float, typical: int) -> None:
    generator = np.random.default_rng(1)
    stops = []
    for _ in range(60):
        candidate = (generator.random(SAMPLES) < accuracy).astype(float)
        rivals = (generator.random((5, SAMPLES)) < 0.99).astype(float)
        stops.append(first_stop(candidate, rivals, 20, rate=0.005) or math.inf)
    assert np.median(stops) <= typical


def test_squared_errors_that_double_are_found_out() -> None:
    generator = np.random.default_rng(2)
    difficulty = generator.exponential(size=SAMPLES)
    assert (first_stop(-2.0 * difficulty, -difficulty[None], 1, rate=0.005) or SAMPLES) <= 128


scores = st.lists(st.sampled_from([0.0, 0.25, 1.0]), min_size=1, max_size=40)


@given(scores, st.integers(1, 20))
def test_equal_scores_are_no_evidence(candidate: list[float], compared: int) -> None:
    values = np.array(candidate)
    evidence = weigh(values, values[None], Bounds(worst=0.0, best=1.0), compared=compared)
    assert evidence.log_value == pytest.approx(-math.log(compared))
    assert not evidence.is_beyond(0.5)


@given(scores, st.randoms(use_true_random=False))
def test_a_rival_more_never_takes_evidence_away_if_it_was_counted(candidate: list[float], random: object) -> None:
    values = np.array(candidate)
    rivals = np.stack([np.ones(len(values)), values[::-1]])
    bounds = Bounds(worst=0.0, best=1.0)
    one = weigh(values, rivals[:1], bounds, compared=2)
    both = weigh(values, rivals, bounds, compared=2)
    assert both.log_value >= one.log_value
    assert rivals[both.strongest].mean() >= rivals.mean(axis=1).min()


def test_networks_that_never_err_are_compared_by_losses() -> None:
    perfect = np.ones((1, 40))
    bounds = Bounds(worst=1.0, best=1.0)
    assert weigh(np.zeros(40), perfect, bounds, compared=1).is_beyond(0.005)
    assert not weigh(np.ones(40), perfect, bounds, compared=1).is_beyond(0.5)


def test_a_score_above_the_best_known_widens_what_can_be_gained() -> None:
    rival = np.full((1, 50), 1.0)
    bounds = Bounds(worst=0.5, best=1.0)
    modest = weigh(np.full(50, 0.9), rival, bounds, compared=1).log_value
    erratic = weigh(np.append(np.full(49, 0.9), 40.0), rival, bounds, compared=1).log_value
    assert math.isfinite(erratic)
    assert erratic < modest


@pytest.mark.parametrize(
    ("rivals", "compared", "message"),
    [
        (np.zeros((0, 3)), 1, r"rivals must have shape \(at least 1, 3\), got \(0, 3\)"),
        (np.zeros((1, 4)), 1, r"rivals must have shape \(at least 1, 3\), got \(1, 4\)"),
        (np.zeros((2, 3)), 1, "compared must be at least the 2 rivals given, got 1"),
    ],
)
def test_what_does_not_fit_is_refused(rivals: Array, compared: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        weigh(np.zeros(3), rivals, Bounds(worst=0.0, best=1.0), compared=compared)
