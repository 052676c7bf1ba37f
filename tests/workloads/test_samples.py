"""Samples keep order and content whatever the batch size, and their split is a partition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workloads import Samples, WorkloadError

batch_shapes = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 3)), min_size=1, max_size=6).filter(
    lambda shapes: sum(count for count, _ in shapes) >= 2
)


def padded(shapes: list[tuple[int, int]]) -> list[tuple[dict[str, Any], Any]]:
    """Batches of (count, length) texts whose every element is the sample's number, and that as the target."""
    batches, number = [], 0
    for count, length in shapes:
        numbers = np.arange(number, number + count)
        batches.append(({"ids": np.repeat(numbers[:, None], length, axis=1)}, numbers))
        number += count
    return batches


def numbers_of(samples: Samples, batch_size: int = 3) -> list[int]:
    return [int(number) for _, targets in samples.batches(batch_size) for number in targets]


@given(batch_shapes, st.integers(1, 9), st.booleans())
def test_batches_of_any_size_keep_order_content_and_shape(
    shapes: list[tuple[int, int]], batch_size: int, as_list: bool
) -> None:
    lengths = [length for count, length in shapes for _ in range(count)]
    batches = [(feeds, list(targets) if as_list else targets) for feeds, targets in padded(shapes)]
    samples = Samples(batches)
    seen = []
    for feeds, targets in samples.batches(batch_size):
        assert 1 <= len(targets) <= batch_size
        assert isinstance(targets, list) == as_list
        assert (feeds["ids"] == np.asarray(targets)[:, None]).all()
        assert all(feeds["ids"].shape[1] == lengths[int(number)] for number in targets)
        seen += [int(number) for number in targets]
    assert seen == list(range(len(samples))) == samples.indices.tolist()


@given(batch_shapes)
def test_the_split_is_a_partition_by_parity_of_the_place(shapes: list[tuple[int, int]]) -> None:
    samples = Samples(padded(shapes))
    search, confirmation = samples.split()
    assert numbers_of(search) == search.indices.tolist() == list(range(0, len(samples), 2))
    assert numbers_of(confirmation) == confirmation.indices.tolist() == list(range(1, len(samples), 2))


@given(batch_shapes, st.integers(1, 40))
def test_take_gives_the_first_ones(shapes: list[tuple[int, int]], count: int) -> None:
    samples = Samples(padded(shapes))
    taken = samples.take(count)
    assert numbers_of(taken) == taken.indices.tolist() == list(range(len(samples)))[:count]
    assert len(taken) == min(count, len(samples))


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 3)), min_size=1, max_size=5), st.integers(1, 40))
def test_spread_samples_lie_at_even_distances(shapes: list[tuple[int, int]], count: int) -> None:
    samples = Samples(padded(shapes))
    spread = samples.spread(count)
    assert len(spread) == min(count, len(samples))
    assert numbers_of(spread) == spread.indices.tolist()
    distances = np.diff(spread.indices)
    assert not len(distances) or distances.max() - distances.min() <= 1
    assert spread.indices[0] == 0


def test_a_split_of_a_split_still_points_into_the_users_order() -> None:
    samples = Samples(padded([(9, 2)]))
    _, confirmation = samples.split()
    assert confirmation.split()[1].indices.tolist() == [3, 7]


def test_equal_shapes_are_joined_and_others_never_share_a_batch() -> None:
    samples = Samples(padded([(3, 2), (4, 2), (2, 5), (1, 2)]))
    assert [len(targets) for _, targets in samples.batches(100)] == [7, 2, 1]


def test_nobody_can_change_the_samples() -> None:
    own = np.arange(4.0)
    samples = Samples([({"x": own}, own)])
    own[:] = -1
    feeds, targets = next(samples.batches(4))
    feeds["x"][:] = -2
    targets[:] = -3  # type: ignore[call-overload]
    samples.indices[:] = -4
    again, targets = next(samples.batches(4))
    assert again["x"].tolist() == list(targets) == [0, 1, 2, 3]
    assert samples.indices.tolist() == [0, 1, 2, 3]


def test_tensors_count_as_arrays() -> None:
    import torch

    samples = Samples([({"x": torch.ones(2, 3)}, torch.tensor([0, 1]))])
    feeds, targets = next(samples.batches(2))
    assert isinstance(feeds["x"], np.ndarray)
    assert isinstance(targets, np.ndarray)


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "gave no samples"),
        ([({"x": np.ones((0, 2))}, [])], "gave no samples"),
        ([np.ones(3)], r"batch 0 must be a pair \(feeds, targets\), got ndarray"),
        ([(np.ones(3), [1, 2, 3])], "batch 0 must be a dict from input name to array, got ndarray"),
        ([({}, [1])], "must be a dict from input name to array, got dict"),
        ([({"x": 3.0}, [1])], "input 'x' must be an array whose first axis is the batch, got float 3.0"),
        ([({"x": [[1], [1, 2]]}, [1, 2])], "input 'x' cannot be read as an array"),
        ([({"x": np.array([{}, {}])}, [1, 2])], "input 'x' must be an array .*dtype object"),
        ([({"x": np.ones(3), "y": np.ones(2)}, [1, 2, 3])], "inputs of different lengths {'x': 3, 'y': 2}"),
        ([({"x": np.ones(3)}, [1, 2])], "batch 0 has 3 samples but 2 targets; give one target per sample"),
        ([({"x": np.ones(3)}, {"label": 1})], "targets of dict .*; give an array or a list"),
        ([({"x": np.ones(3)}, "abc")], "targets of str 'abc'"),
        ([({"x": np.ones(1)}, [1]), ({"y": np.ones(1)}, [1])], r"batch 1 feeds \['y'\] but batch 0 feeds \['x'\]"),
    ],
)
def test_malformed_batches_are_refused_in_one_line(batches: Any, message: str) -> None:
    with pytest.raises(WorkloadError, match=message) as caught:
        Samples(batches)
    assert "\n" not in str(caught.value)


def test_one_sample_cannot_be_split() -> None:
    with pytest.raises(WorkloadError, match="at least 2 samples to be split in two parts, got 1"):
        Samples([({"x": np.ones(1)}, [1])]).split()


@pytest.mark.parametrize("size", [0, -1])
def test_sizes_must_be_positive(size: int) -> None:
    samples = Samples([({"x": np.ones(2)}, [1, 2])])
    with pytest.raises(ValueError, match=f"batch_size must be positive, got {size}"):
        next(samples.batches(size))
    with pytest.raises(ValueError, match=f"count must be positive, got {size}"):
        samples.take(size)
    with pytest.raises(ValueError, match=f"count must be positive, got {size}"):
        samples.spread(size)


@given(batch_shapes, st.data())
def test_picked_samples_are_those_and_can_be_picked_and_cut_again(
    shapes: list[tuple[int, int]], data: st.DataObject
) -> None:
    samples = Samples(padded(shapes))
    positions = data.draw(st.lists(st.integers(0, len(samples) - 1), min_size=1, max_size=12))
    cut = data.draw(st.integers(0, len(positions)))
    picked = samples.pick([np.array(positions[:cut], np.int64), np.array(positions[cut:], np.int64)])
    assert numbers_of(picked) == positions == picked.indices.tolist()
    again = data.draw(st.lists(st.integers(0, len(positions) - 1), min_size=1, max_size=6))
    assert numbers_of(picked.pick([np.array(again)])) == [positions[each] for each in again]
    assert numbers_of(picked.take(2)) == positions[:2]
    assert numbers_of(picked.spread(1)) == positions[:1]
    if len(positions) > 1:
        assert numbers_of(picked.split()[1]) == positions[1::2]


def test_picked_samples_are_copied_only_when_they_are_asked_for() -> None:
    x = np.zeros((4, 2))
    picked = Samples([({"x": x}, np.arange(4))]).pick([np.array([3, 1])])
    first, _ = next(picked.batches(2))
    first["x"] += 1
    assert (next(picked.batches(2))[0]["x"] == 0).all()
    assert picked.input_names == ("x",)


@pytest.mark.parametrize("parts", [[], [np.array([0, 4])], [np.array([-1])]])
def test_positions_out_of_range_are_refused(parts: list[Any]) -> None:
    with pytest.raises(ValueError, match="positions must be at least one, from 0 to 3"):
        Samples([({"x": np.zeros((4, 2))}, np.arange(4))]).pick(parts)
