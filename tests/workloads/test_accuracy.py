"""Accuracies are checked at birth; drops are paired and their intervals cover what they promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads import Accuracy, WorkloadError, paired_drop

binary = st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=1, max_size=50)
real = st.lists(st.tuples(st.floats(-100, 100), st.floats(-100, 100)), min_size=1, max_size=20)


def accuracy(scores: Any, metric: str = "top1", **others: Any) -> Accuracy:
    return Accuracy(metric=metric, scores=np.asarray(scores, dtype=float), **others)


@given(binary | real)
def test_a_drop_is_antisymmetric_and_inside_its_interval(pairs: list[tuple[float, float]]) -> None:
    first, second = (accuracy(scores) for scores in zip(*pairs, strict=True))
    there, back = paired_drop(first, second), paired_drop(second, first)
    assert there.low <= there.value <= there.high
    assert there.value == pytest.approx(first.value - second.value, abs=1e-9)
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low), abs=1e-9)


@given(binary | real)
def test_identical_scores_drop_by_zero(pairs: list[tuple[float, float]]) -> None:
    same = accuracy([score for score, _ in pairs])
    drop = paired_drop(same, same)
    assert drop.value == 0
    assert drop.low <= 0 <= drop.high


def test_identical_answers_are_no_certainty() -> None:
    right = accuracy(np.ones(100))
    drop = paired_drop(right, right)
    assert 0.01 < drop.high < 0.03
    assert drop.low == -drop.high


def test_the_adjusted_wald_interval_is_the_published_formula() -> None:
    # 16 lost, 2 gained, 18 + 2 cells' halves added: computed by hand from Agresti & Min (2005), section 4.
    reference = accuracy([1] * 16 + [0] * 2 + [1] * 100)
    candidate = accuracy([0] * 16 + [1] * 2 + [1] * 100)
    drop = paired_drop(reference, candidate)
    half = 1.959964 * np.sqrt((16.5 + 2.5) - (16.5 - 2.5) ** 2 / 120) / 120
    assert drop.value == pytest.approx(14 / 118)
    assert (drop.low, drop.high) == pytest.approx((14 / 120 - half, 14 / 120 + half), abs=1e-6)


@pytest.mark.parametrize(("count", "lost", "gained"), [(50, 0.02, 0.02), (1000, 0.01, 0.004), (200, 0.3, 0.1)])
def test_paired_proportions_cover_the_true_drop(count: int, lost: float, gained: float) -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(1000):
        draw = generator.random(count)
        candidate = np.where(draw < lost, 0.0, 1.0)
        reference = np.where((draw >= lost) & (draw < lost + gained), 0.0, 1.0)
        drop = paired_drop(accuracy(reference), accuracy(candidate))
        covered += drop.low <= lost - gained <= drop.high
    assert 0.94 <= covered / 1000 <= 0.998


def test_the_bootstrap_covers_the_true_drop() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        reference = generator.normal(size=100)
        candidate = reference - 0.1 - 0.3 * generator.exponential(size=100)
        drop = paired_drop(accuracy(reference), accuracy(candidate), seed=seed)
        covered += drop.low <= 0.4 <= drop.high
    assert 0.90 <= covered / 200 <= 0.985


def test_the_bootstrap_is_as_wide_as_the_standard_error_says_in_every_chunk() -> None:
    generator = np.random.default_rng(0)
    differences = generator.normal(size=20_000)
    drop = paired_drop(accuracy(differences), accuracy(np.zeros(20_000)))
    assert (drop.high - drop.low) / (2 * 1.96 * differences.std() / np.sqrt(20_000)) == pytest.approx(1, abs=0.05)


def test_the_seed_decides_the_bootstrap() -> None:
    generator = np.random.default_rng(0)
    first, second = accuracy(generator.normal(size=50)), accuracy(generator.normal(size=50))
    assert paired_drop(first, second, seed=3) == paired_drop(first, second, seed=3)
    assert paired_drop(first, second, seed=3) != paired_drop(first, second, seed=4)


def test_what_cannot_be_paired_is_refused() -> None:
    with pytest.raises(ValueError, match="same samples and metric, got 2 of 'top1' and 3 of 'top1'"):
        paired_drop(accuracy([1, 0]), accuracy([1, 0, 1]))
    with pytest.raises(ValueError, match="got 1 of 'top1' and 1 of 'mse'"):
        paired_drop(accuracy([1]), accuracy([1], metric="mse"))


def test_an_accuracy_is_its_own_copy_and_derives_its_figures() -> None:
    scores = np.array([1.0, 0.0, 1.0, 1.0])
    made = accuracy(scores, divergence=np.array([0.0, 0.2, 0.0, 0.2]))
    scores[:] = 9
    assert (made.value, made.count, made.mean_divergence) == (0.75, 4, pytest.approx(0.1))
    assert accuracy([1]).mean_divergence is None
    with pytest.raises(ValueError, match="read-only"):
        made.scores[0] = 3


def test_malformed_accuracies_are_refused() -> None:
    with pytest.raises(WorkloadError, match="scores of metric 'top1' is empty"):
        accuracy([])
    with pytest.raises(WorkloadError, match="scores of metric 'top1' must be finite, got nan at 1"):
        accuracy([1, np.nan])
    with pytest.raises(ValueError, match=r"divergence must have shape \(2,\), got \(3,\)"):
        accuracy([1, 0], divergence=np.zeros(3))
    with pytest.raises(ValueError, match=r"scores must have shape \(2,\), got \(2, 1\)"):
        accuracy([[1], [0]])


def test_the_accuracy_on_the_first_samples_is_cut_from_the_whole() -> None:
    whole = Accuracy(metric="m", scores=np.array([1.0, 0.0, 1.0]), divergence=np.array([0.1, 0.2, 0.3]))
    part = whole.first(2)
    assert (part.value, part.count) == (0.5, 2)
    assert part.mean_divergence == pytest.approx(0.15)
    assert Accuracy(metric="m", scores=np.ones(3)).first(3).divergence is None
    for count in (0, 4):
        with pytest.raises(ValueError, match=f"count must be from 1 to 3, got {count}"):
            whole.first(count)
