"""Moments, batch by batch, are those of everything at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.statistics.moments import MomentSums


@settings(deadline=None)
@given(st.lists(st.integers(0, 7), min_size=1, max_size=5), st.integers(1, 3), st.integers(1, 4), st.integers(0, 99))
def test_batches_add_up(counts: list[int], groups: int, length: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    batches = [random.normal(3, 2, (groups, n, length)).astype(np.float32) for n in [*counts, 2]]
    sums = MomentSums(groups, length)
    for batch in batches:
        sums.add(batch)
    everything = np.concatenate(batches, axis=1).astype(np.float64)
    assert sums.count == everything.shape[1]
    moments = sums.moments()
    np.testing.assert_allclose(moments.mean, everything.mean(axis=1), rtol=1e-4, atol=1e-4)
    second = np.einsum("gni,gnj->gij", everything, everything) / everything.shape[1]
    np.testing.assert_allclose(moments.second, second, rtol=1e-4, atol=1e-3)
    centred = everything - everything.mean(axis=1, keepdims=True)
    covariance = np.einsum("gni,gnj->gij", centred, centred) / everything.shape[1]
    np.testing.assert_allclose(moments.covariance, covariance, rtol=1e-3, atol=1e-3)


def test_a_mean_far_from_zero_takes_no_digits_from_the_covariance() -> None:
    """Single precision holds 7 digits: of the square of 10,000, none would be left for a variance of 1."""
    random = np.random.default_rng(0)
    rows = (10_000 + random.normal(size=(1, 4000, 2))).astype(np.float32)
    sums = MomentSums(1, 2)
    for start in range(0, 4000, 500):
        sums.add(rows[:, start : start + 500])
    np.testing.assert_allclose(sums.moments().covariance[0], np.cov(rows[0].T.astype(np.float64), bias=True), atol=0.01)


def test_nothing_has_no_moments() -> None:
    sums = MomentSums(1, 2)
    sums.add(np.zeros((1, 0, 2), np.float32))
    with pytest.raises(ValueError, match="no rows were added"):
        sums.moments()


def test_moments_of_some_inputs_and_of_some_groups() -> None:
    random = np.random.default_rng(0)
    sums = MomentSums(3, 4, by_channel=True)
    sums.add(random.normal(size=(3, 50, 4)).astype(np.float32))
    whole, columns, groups = sums.moments(), np.array([0, 3]), np.array([2])
    some = whole.select(columns)
    assert some.by_channel
    np.testing.assert_array_equal(some.second, whole.second[:, [[0], [3]], [0, 3]])
    part = whole.select_groups(groups)
    assert part.by_channel
    np.testing.assert_array_equal(part.second, whole.second[2:])
