"""A candidate is stopped when both its cost and its accuracy are known to be worse than a finished point's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from scipy.stats import binom

from search.trial.rivals import Rival, Rivals
from search.trial.stopping import ERROR_RATE, Watch
from workloads import chunk_ends

SAMPLES = 512


def answers(accuracy: float, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random(SAMPLES) < accuracy).astype(float)


@pytest.fixture
def rivals() -> Rivals:
    """FP32, and two faster ones."""
    found = Rivals()
    for number, (cost, accuracy) in enumerate([(1.0, 0.99), (0.3, 0.98), (0.1, 0.9)]):
        scores = answers(accuracy, number)
        found.add(
            Rival(number=number, cost_ratio=cost, cost_ratio_high=1.01 * cost, metric=scores.mean(), scores=scores)
        )
    return found


def test_a_hopeless_candidate_is_stopped_at_the_first_look_with_the_reason_in_words(rivals: Rivals) -> None:
    watch = Watch(rivals=rivals, samples=SAMPLES)
    reason = watch.verdict(np.zeros(32), 0.35)
    assert reason == (
        "dominated by #1: on the first 32 of 512 samples that scores 0.9688 and this 0; that costs at most 0.303 "
        "of FP32 and this at least 0.350"
    )
    assert len(watch.scores) == 32


def test_it_goes_on_while_it_may_be_cheaper(rivals: Rivals) -> None:
    watch = Watch(rivals=rivals, samples=SAMPLES)
    assert watch.verdict(np.zeros(32), 0.1009) == ""
    assert watch.verdict(np.zeros(32), 0.1011) != ""


def test_it_goes_on_while_it_may_be_as_accurate(rivals: Rivals) -> None:
    watch = Watch(rivals=rivals, samples=SAMPLES)
    scores = answers(0.98, 1)
    assert all(watch.verdict(scores[:end], 0.35) == "" for end in chunk_ends(SAMPLES))


def test_without_a_cost_or_scores_nothing_is_known(rivals: Rivals) -> None:
    assert Watch(rivals=rivals, samples=SAMPLES).verdict(np.zeros(SAMPLES)) == ""
    assert Watch(rivals=rivals, samples=SAMPLES, predicted_low=0.5).verdict(np.zeros(0)) == ""


def test_lines_that_a_search_must_beat_are_never_stopped(rivals: Rivals) -> None:
    watch = Watch(rivals=rivals, samples=SAMPLES, predicted_low=0.5, may_stop=False)
    assert watch.verdict(np.zeros(SAMPLES), 0.5) == ""
    assert not watch.wants_cost
    assert len(watch.scores) == SAMPLES


def test_a_prediction_serves_until_there_is_a_measurement(rivals: Rivals) -> None:
    watch = Watch(rivals=rivals, samples=SAMPLES, predicted_low=0.35)
    assert "0.350, as predicted" in watch.verdict(np.zeros(32))
    assert watch.verdict(np.zeros(32), 0.09) == ""


@pytest.mark.parametrize(
    ("predicted", "predicted_low", "wants"),
    [(None, None, True), (0.35, None, True), (0.35, 0.05, True), (0.09, 0.05, False)],
)
def test_the_cost_is_wanted_once_the_samples_say_that_it_will_decide(
    rivals: Rivals, predicted: float | None, predicted_low: float | None, wants: bool
) -> None:
    watch = Watch(rivals=rivals, samples=SAMPLES, predicted=predicted, predicted_low=predicted_low)
    good, bad = answers(0.98, 1)[:32], answers(0.4, 2)[:64]
    assert watch.verdict(good) == ""
    assert not watch.wants_cost
    assert watch.verdict(bad) == ""
    assert watch.wants_cost is wants
    alone = Watch(rivals=Rivals(), samples=SAMPLES)
    assert alone.verdict(bad) == ""
    assert not alone.wants_cost


def test_an_audited_candidate_is_measured_before_it_is_stopped(rivals: Rivals) -> None:
    watch = Watch(rivals=rivals, samples=SAMPLES, predicted_low=0.35, is_audited=True)
    assert not watch.wants_cost
    assert watch.verdict(np.zeros(32)) == ""
    assert watch.wants_cost
    assert watch.verdict(np.zeros(32), 0.34) != ""
    assert watch.verdict(np.zeros(32), 0.09) == ""


def candidates(generator: np.random.Generator) -> Iterator[tuple[float, float]]:
    """Cost and accuracy of candidates that nothing finished is better than: a hair cheaper, or as accurate."""
    while True:
        cost = generator.choice([0.101, 0.3, 0.301, 0.6])
        yield float(cost), {0.101: 0.9, 0.3: 0.9, 0.301: 0.98, 0.6: 0.98}[float(cost)]


def test_of_candidates_on_the_front_no_more_are_stopped_than_it_says() -> None:
    """Costs are measured with noise, as accuracies are; the finished are the luckiest of many."""
    generator = np.random.default_rng(5)
    runs, wrong = 500, 0
    for _, (cost, accuracy) in zip(range(runs), candidates(generator), strict=False):
        rivals = Rivals()
        for number in range(24):
            level = (1.0, 0.99), (0.3, 0.98), (0.1, 0.9)
            true_cost, true_accuracy = level[number % 3]
            scores = (generator.random(SAMPLES) < true_accuracy).astype(float)
            measured = true_cost * (1 + 0.005 * generator.standard_normal())
            rivals.add(
                Rival(
                    number=number, cost_ratio=measured, cost_ratio_high=1.01 * measured, metric=scores.mean(),
                    scores=scores,
                )
            )  # fmt: skip
        low = 0.99 * cost * (1 + 0.005 * generator.standard_normal())
        watch = Watch(rivals=rivals, samples=SAMPLES)
        scores = (generator.random(SAMPLES) < accuracy).astype(float)
        wrong += any(watch.verdict(scores[:end], low) for end in chunk_ends(SAMPLES))
    assert wrong <= binom.ppf(0.9999, runs, ERROR_RATE)
