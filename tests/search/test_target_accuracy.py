"""When an accuracy on the target counts as another one: beyond the paired interval, and more than a rounding."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.target_accuracy import compare_on_target
from workloads import Accuracy, paired_drop


def accuracy(scores: object) -> Accuracy:
    return Accuracy(metric="m", scores=np.asarray(scores, dtype=np.float64))


RIGHT = np.ones(500)


def missing(count: int, start: int = 0) -> np.ndarray:
    scores = RIGHT.copy()
    scores[start : start + count] = 0
    return scores


@pytest.mark.parametrize(("wrong", "differs"), [(0, False), (1, False), (2, False), (12, True), (100, True)])
def test_few_other_answers_are_chance_and_many_are_not(wrong: int, differs: bool) -> None:
    found = compare_on_target(accuracy(RIGHT), accuracy(missing(wrong)), accuracy(RIGHT))
    assert found.target_differs is differs
    assert (found.target_metric, found.host_metric) == (1 - wrong / 500, 1.0)


def test_as_many_other_answers_in_both_directions_are_no_difference() -> None:
    found = compare_on_target(accuracy(RIGHT), accuracy(missing(30)), accuracy(missing(30, start=100)))
    assert found.target_differs is False


def test_the_drop_is_from_fp32_on_the_target_itself() -> None:
    """FP32 too answers otherwise there: this host's FP32 has no part in it."""
    fp32, candidate = accuracy(missing(50)), accuracy(missing(60))
    found = compare_on_target(fp32, candidate, accuracy(missing(60)))
    expected = paired_drop(fp32, candidate)
    assert (found.target_metric_drop, found.target_metric_drop_low) == (expected.value, expected.low)
    assert found.target_metric_drop == pytest.approx(0.02)
    assert found.target_differs is False


@given(st.floats(1e-12, 1e-7), st.integers(0, 100))
def test_rounding_of_scores_is_no_difference_however_systematic(shift: float, seed: int) -> None:
    scores = np.random.default_rng(seed).normal(size=100)
    found = compare_on_target(accuracy(scores), accuracy(scores - shift), accuracy(scores))
    assert found.target_differs is False


def test_a_shift_that_scores_show_is_a_difference() -> None:
    scores = np.random.default_rng(0).normal(size=100)
    found = compare_on_target(accuracy(scores), accuracy(scores - 0.05), accuracy(scores))
    assert found.target_differs is True
