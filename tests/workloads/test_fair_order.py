"""The fixed random order: a fair sample from the beginning, the same for everybody, with shapes together."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads import Metric, Samples, chunk_ends, in_fair_order, top1

TOP1 = Metric(name="top1", function=top1)


def by_class(count: int = 1000) -> Samples:
    """Sorted by class, as validation data often is."""
    return Samples([({"x": np.arange(count)[:, None]}, np.arange(count) * 10 // count)])


@given(st.integers(1, 100_000))
def test_looks_are_few_and_each_adds_half_at_least(count: int) -> None:
    ends = chunk_ends(count)
    assert ends[-1] == count
    assert len(ends) <= max(1, np.log2(count))
    assert all(after >= 1.5 * before for before, after in pairwise(ends))
    assert all(after <= 3 * before for before, after in pairwise(ends))


def test_a_thousand_samples_are_looked_at_six_times() -> None:
    assert chunk_ends(1000) == (32, 64, 128, 256, 512, 1000)
    assert chunk_ends(40) == (40,)
    with pytest.raises(ValueError, match="count must be positive, got 0"):
        chunk_ends(0)


def test_the_first_samples_are_fair_although_the_data_is_sorted() -> None:
    first = in_fair_order(by_class(), TOP1).take(128)
    counts = np.bincount(np.concatenate([targets for _, targets in first.batches(32)]), minlength=10)
    assert counts.min() >= 5


def test_the_order_is_the_same_every_time_and_loses_nothing() -> None:
    order = in_fair_order(by_class(), TOP1).indices
    assert np.array_equal(order, in_fair_order(by_class(), TOP1).indices)
    assert np.array_equal(np.sort(order), np.arange(1000))
    assert not np.array_equal(order, np.arange(1000))


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 3)), min_size=1, max_size=6), st.integers(1, 50))
def test_no_batch_crosses_a_chunk_and_each_sample_keeps_its_target(
    shapes: list[tuple[int, int]], batch_size: int
) -> None:
    batches, number = [], 0
    for count, length in shapes:
        numbers = np.arange(number, number + count)
        batches.append(({"ids": np.repeat(numbers[:, None], length, axis=1)}, numbers))
        number += count
    samples = in_fair_order(Samples(batches), TOP1)
    seen, ends = [], set()
    for feeds, targets in samples.batches(batch_size):
        assert (feeds["ids"] == np.asarray(targets)[:, None]).all()
        assert feeds["ids"].flags.c_contiguous
        seen.extend(int(target) for target in targets)
        ends.add(len(seen))
    assert np.array_equal(seen, samples.indices)
    assert set(chunk_ends(number)) <= ends


def test_equal_shapes_stand_together_within_a_chunk() -> None:
    """Shuffled sample by sample, texts of different lengths would be run one by one."""
    batches = [({"ids": np.zeros((100, length))}, np.zeros(100)) for length in (3, 4)]
    samples = in_fair_order(Samples(batches), TOP1)
    assert sum(1 for _ in samples.batches(16)) <= 2 * len(chunk_ends(200)) + 200 // 16


def test_samples_that_a_metric_needs_together_stay_in_the_users_order() -> None:
    samples = by_class()
    assert in_fair_order(samples, Metric(name="f1", function=top1, scope="all")) is samples
