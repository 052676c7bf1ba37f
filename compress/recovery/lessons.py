"""What recovery learns from: inputs, and targets where there are any."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.errors import CompressionError

_HELD_OUT_OF = 16

Feeds = Mapping[str, NDArray[Any]]
"""Input name to array, first axis the batch."""

Score = Callable[[Any, Any], Any]
"""From outputs and targets to one score per sample, higher is better, as a workload's metric is."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Lesson:
    """Samples whose arrays fit together.

    Attributes:
        feeds: Inputs by name, first axis the samples.
        targets: What the network should answer, first axis the samples; None where only the original network knows.
        place: Which run of the lessons they were picked from, and from which positions; None for a run itself.
    """

    feeds: Feeds
    targets: NDArray[Any] | None = None
    place: tuple[int, NDArray[np.int64]] | None = None

    def __len__(self) -> int:
        return len(next(iter(self.feeds.values()), ()))

    def pick(self, positions: NDArray[np.int64], *, run: int | None = None) -> "Lesson":
        """The samples at `positions`, as copies.

        Args:
            positions: Any, in any order.
            run: Which run of the lessons this is.
        """
        return Lesson(
            feeds={name: np.ascontiguousarray(array[positions]) for name, array in self.feeds.items()},
            targets=None if self.targets is None else self.targets[positions],
            place=None if run is None else (run, positions),
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Lessons:
    """All samples that recovery may look at; none of them is a validation sample.

    Attributes:
        runs: Samples of equal shapes together, in the order they came in.
        score: How good outputs are, for the progress that is said; None where nobody can tell.
    """

    runs: tuple[Lesson, ...]
    score: Score | None = field(default=None, repr=False)

    @classmethod
    def of(cls, batches: Iterable[Any], *, score: Score | None = None, source: str = "training()") -> "Lessons":
        """The lessons in `batches`: each of them feeds, or a pair of feeds and targets, or of feeds and None.

        Args:
            batches: All arrays of a batch have the same first axis, and all batches feed the same inputs.
            score: How good outputs are.
            source: Where the batches come from, for messages.

        Raises:
            CompressionError: There are no samples, or a batch is malformed.
        """
        runs: dict[tuple[object, ...], list[Lesson]] = {}
        names: set[str] | None = None
        for number, batch in enumerate(batches):
            lesson = _checked(batch, f"{source}, batch {number}")
            names = set(lesson.feeds) if names is None else names
            if set(lesson.feeds) != names:
                raise CompressionError(
                    f"{source}, batch {number} feeds {sorted(lesson.feeds)}, those before it {sorted(names)}; "
                    "every batch must feed the network's inputs"
                )
            if len(lesson):
                runs.setdefault(_signature(lesson), []).append(lesson)
        if not runs:
            raise CompressionError(f"{source} gave no samples; yield feeds, or pairs of feeds and targets")
        return cls(runs=tuple(_joined(lessons) for lessons in runs.values()), score=score)

    def __len__(self) -> int:
        return sum(map(len, self.runs))

    @property
    def have_targets(self) -> bool:
        """Whether every sample comes with a target."""
        return all(run.targets is not None for run in self.runs)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all inputs and targets, in hexadecimal."""
        found = hashlib.sha256()
        for run in self.runs:
            arrays = [*sorted(run.feeds.items()), *([] if run.targets is None else [("", run.targets)])]
            for name, array in arrays:
                found.update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
                found.update(np.ascontiguousarray(array).tobytes())
        return found.hexdigest()

    def epoch(self, batch_size: int, generator: np.random.Generator) -> Iterator[Lesson]:
        """Every sample once, in an order that `generator` draws; a run's last batch may be smaller."""
        orders = [generator.permutation(len(run)) for run in self.runs]
        pieces = [
            (number, order[start : start + batch_size])
            for number, order in enumerate(orders)
            for start in range(0, len(order), batch_size)
        ]
        for index in generator.permutation(len(pieces)):
            number, positions = pieces[index]
            yield self.runs[number].pick(positions, run=number)

    def in_order(self, batch_size: int) -> Iterator[Lesson]:
        """Every sample once, in the order they came in."""
        for run in self.runs:
            for start in range(0, len(run), batch_size):
                yield run.pick(np.arange(start, min(start + batch_size, len(run))))

    def hold_out(self, most: int, seed: int) -> "tuple[Lessons, Lessons]":
        """What is left to learn from, and samples at random that are not.

        Args:
            most: So many samples are held out, but no more than every sixteenth. Where that is none, what is learned
                from is looked at, up to `most` samples.
            seed: Of the choice.
        """
        places = [(run, index) for run, lesson in enumerate(self.runs) for index in range(len(lesson))]
        order = np.random.default_rng(seed).permutation(len(places))
        count = min(most, len(places) // _HELD_OUT_OF)
        held, left = (order[:count], order[count:]) if count else (order[:most], order)
        return self._only([places[i] for i in np.sort(left)]), self._only([places[i] for i in np.sort(held)])

    def _only(self, places: list[tuple[int, int]]) -> "Lessons":
        positions: dict[int, list[int]] = {}
        for run, index in places:
            positions.setdefault(run, []).append(index)
        runs = tuple(self.runs[run].pick(np.array(found)) for run, found in positions.items())
        return Lessons(runs=runs, score=self.score)

    def batch_count(self, batch_size: int) -> int:
        """Batches of an epoch."""
        return sum(-(-len(run) // batch_size) for run in self.runs)


def _checked(batch: Any, place: str) -> Lesson:
    feeds, targets = batch if isinstance(batch, tuple) and len(batch) == 2 else (batch, None)
    if not isinstance(feeds, Mapping) or not feeds:
        raise CompressionError(
            f"{place}: expected feeds ({{input name: array}}) or a pair of feeds and targets, "
            f"got {type(batch).__name__}"
        )
    arrays = {str(name): np.asarray(array) for name, array in feeds.items()}
    wanted = None if targets is None else np.asarray(targets)
    everything = [*arrays.items(), *([] if wanted is None else [("targets", wanted)])]
    for name, array in everything:
        if array.dtype == object or not array.ndim:
            raise CompressionError(f"{place}: {name!r} must be an array of numbers whose first axis is the batch")
    lengths = {name: len(array) for name, array in everything}
    if len(set(lengths.values())) > 1:
        raise CompressionError(f"{place}: the arrays have different numbers of samples, got {lengths}")
    return Lesson(feeds=arrays, targets=wanted)


def _signature(lesson: Lesson) -> tuple[object, ...]:
    arrays = [*sorted(lesson.feeds.items()), *([] if lesson.targets is None else [("", lesson.targets)])]
    return tuple((name, array.dtype.str, array.shape[1:]) for name, array in arrays)


def _joined(lessons: list[Lesson]) -> Lesson:
    if len(lessons) == 1:
        return lessons[0]
    targets = [lesson.targets for lesson in lessons if lesson.targets is not None]
    return Lesson(
        feeds={name: np.concatenate([lesson.feeds[name] for lesson in lessons]) for name in lessons[0].feeds},
        targets=np.concatenate(targets) if targets else None,
    )
