"""Labelled samples in a fixed order, re-batched at any size."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from workloads.errors import WorkloadError
from workloads.sample_runs import Feeds, Pick, Run, Targets, joined_runs, pick_from


class Samples:
    """Immutable validation samples in a fixed order.

    Consecutive batches of equal per-sample shapes and dtypes are joined, so that they can be cut at any batch size;
    batches of different per-sample shapes (padded text, say) stay apart and never share a batch.

    Args:
        batches: Pairs of feeds and targets. All arrays of a pair have the batch as first axis; targets are an array
            or a list of the same length. Batches of no samples are passed over.
        source: Where the batches come from, for messages.

    Raises:
        WorkloadError: There are no samples, or a batch is malformed.
    """

    def __init__(self, batches: Iterable[tuple[Feeds, Any]], *, source: str = "validation()") -> None:
        checked = [_checked_pair(pair, f"{source}, batch {number}") for number, pair in enumerate(batches)]
        _check_same_inputs([run.feeds for run in checked], source)
        self._runs: tuple[Run | Pick, ...] = joined_runs([run for run in checked if len(run)])
        self._indices = np.arange(sum(map(len, self._runs)))
        if not len(self._indices):
            raise WorkloadError(f"{source} gave no samples; it must yield (feeds, targets) pairs")

    @classmethod
    def _of(cls, runs: Iterable[Run | Pick], indices: NDArray[np.int64]) -> Self:
        samples = cls.__new__(cls)
        samples._runs = tuple(run for run in runs if len(run))
        samples._indices = indices
        return samples

    def __len__(self) -> int:
        return len(self._indices)

    def __repr__(self) -> str:
        return f"Samples({len(self)} samples, inputs {list(self.input_names)})"

    @property
    def input_names(self) -> tuple[str, ...]:
        """The inputs that every batch feeds."""
        return tuple(self._runs[0].feeds)

    @property
    def indices(self) -> NDArray[np.int64]:
        """Where each sample stood in the user's own order: int64 (N,)."""
        return self._indices.copy()

    def batches(self, batch_size: int) -> Iterator[tuple[Feeds, Targets]]:
        """Feeds and targets in order, `batch_size` samples at a time; a run's last batch may be smaller.

        Every call gives fresh, contiguous, writable copies.

        Raises:
            ValueError: `batch_size` is not positive.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size must be positive, got {batch_size}")
        for run in self._runs:
            for start in range(0, len(run), batch_size):
                piece = run[start : start + batch_size]
                yield piece.feeds, piece.targets

    def take(self, count: int) -> Self:
        """The first `count` samples, or all where there are fewer.

        Raises:
            ValueError: `count` is not positive.
        """
        if count < 1:
            raise ValueError(f"count must be positive, got {count}")
        runs, left = [], count
        for run in self._runs:
            runs.append(run[: max(left, 0)])
            left -= len(run)
        return self._of(runs, self._indices[:count])

    def spread(self, count: int) -> Self:
        """`count` samples at even distances, or all where there are fewer; data sorted by class stays balanced.

        Raises:
            ValueError: `count` is not positive.
        """
        if count < 1:
            raise ValueError(f"count must be positive, got {count}")
        if count >= len(self):
            return self
        chosen = np.arange(count) * len(self) // count
        runs, position = [], 0
        for run in self._runs:
            inside = chosen[(chosen >= position) & (chosen < position + len(run))] - position
            runs.append(run.pick(inside))
            position += len(run)
        return self._of(runs, self._indices[chosen])

    def pick(self, parts: Sequence[NDArray[np.int64]]) -> Self:
        """The samples at the given positions, part after part; no batch holds samples of two parts.

        Their arrays are these samples' own, read when a batch is asked for.

        Raises:
            ValueError: A position is out of range.
        """
        ends = np.cumsum([len(run) for run in self._runs])
        every = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        if not len(every) or every.min() < 0 or every.max() >= len(self):
            raise ValueError(f"positions must be at least one, from 0 to {len(self) - 1}, got {every}")
        runs: list[Run | Pick] = []
        for part in parts:
            owners = np.searchsorted(ends, part, side="right")
            for chosen in np.split(np.arange(len(part)), np.flatnonzero(np.diff(owners)) + 1):
                if len(chosen):
                    owner = int(owners[chosen[0]])
                    runs.append(pick_from(self._runs[owner], part[chosen] - (ends[owner] - len(self._runs[owner]))))
        return self._of(runs, self._indices[every])

    def split(self) -> tuple[Self, Self]:
        """The part that the search sees, and the part that only the confirmation of the front sees.

        Samples alternate: even positions go to the first part, odd ones to the second, so that data sorted by class
        stays balanced in both. (Data that itself alternates with period two would not: shuffle such data.)

        Raises:
            WorkloadError: There are fewer than two samples.
        """
        if len(self) < 2:
            raise WorkloadError(f"validation needs at least 2 samples to be split in two parts, got {len(self)}")
        even, odd, position = [], [], 0
        for run in self._runs:
            even.append(run[position % 2 :: 2])
            odd.append(run[1 - position % 2 :: 2])
            position += len(run)
        return self._of(even, self._indices[::2]), self._of(odd, self._indices[1::2])


def checked_feeds(value: object, where: str) -> dict[str, NDArray[Any]]:
    """`value` as input name to array, all with the same first axis.

    Args:
        value: What a user gave; anything that numpy can read as an array is taken as one.
        where: Where it comes from, for messages.

    Raises:
        WorkloadError: It is not a mapping from names to batches of one length.
    """
    if not isinstance(value, Mapping) or not value:
        raise WorkloadError(f"{where} must be a dict from input name to array, got {_described(value)}")
    feeds = {str(name): _as_batch(array, f"{where}, input {name!r}") for name, array in value.items()}
    lengths = {name: len(array) for name, array in feeds.items()}
    if len(set(lengths.values())) > 1:
        raise WorkloadError(f"{where} has inputs of different lengths {lengths}; the first axis of each is the batch")
    return feeds


def _checked_pair(pair: object, where: str) -> Run:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise WorkloadError(f"{where} must be a pair (feeds, targets), got {_described(pair)}")
    feeds = checked_feeds(pair[0], where)
    targets = _as_targets(pair[1], where)
    length = len(next(iter(feeds.values())))
    if len(targets) != length:
        raise WorkloadError(f"{where} has {length} samples but {len(targets)} targets; give one target per sample")
    return Run(feeds=feeds, targets=targets)


def _as_batch(value: Any, where: str) -> NDArray[Any]:
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:
        raise WorkloadError(f"{where} cannot be read as an array: {error}; give a numpy array") from error
    if array.dtype == object or array.ndim == 0:
        raise WorkloadError(
            f"{where} must be an array whose first axis is the batch, got {_described(value)} "
            f"(dtype {array.dtype}, shape {array.shape})"
        )
    return array


def _as_targets(value: Any, where: str) -> Targets:
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return list(value)
    if hasattr(value, "__array__") and (array := np.asarray(value)).ndim > 0:
        return array
    raise WorkloadError(
        f"{where} has targets of {_described(value)}; give an array or a list with one target per sample"
    )


def _check_same_inputs(feeds: Sequence[Feeds], source: str) -> None:
    for number, each in enumerate(feeds):
        if set(each) != set(feeds[0]):
            raise WorkloadError(
                f"{source}, batch {number} feeds {sorted(each)} but batch 0 feeds {sorted(feeds[0])}; "
                "every batch must feed the same inputs"
            )


def _described(value: object) -> str:
    text = " ".join(repr(value).split())
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
