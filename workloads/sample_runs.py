"""Runs of samples whose arrays fit together: what batches are cut from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Feeds = Mapping[str, NDArray[Any]]
"""Input name to array, first axis the batch."""

Targets = NDArray[Any] | list[Any]
"""One target per sample."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Run:
    """Consecutive samples whose arrays fit together."""

    feeds: dict[str, NDArray[Any]]
    targets: Targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, chosen: slice) -> "Run":
        # Copies, so that neither a predictor nor a metric that works in place can change what the next one gets.
        feeds = {name: np.array(array[chosen], order="C") for name, array in self.feeds.items()}
        targets = self.targets[chosen]
        return Run(feeds=feeds, targets=np.array(targets) if isinstance(targets, np.ndarray) else targets)

    def pick(self, positions: NDArray[np.int64]) -> "Run":
        """The samples at `positions`, as copies."""
        feeds = {name: np.ascontiguousarray(array[positions]) for name, array in self.feeds.items()}
        targets = self.targets
        picked = targets[positions] if isinstance(targets, np.ndarray) else [targets[each] for each in positions]
        return Run(feeds=feeds, targets=picked)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pick:
    """Some samples of a run, copied not before they are asked for: a second order needs no second copy of the data."""

    run: Run
    positions: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, chosen: slice) -> Run:
        return self.run.pick(self.positions[chosen])

    def pick(self, positions: NDArray[np.int64]) -> Run:
        """The samples at `positions` of these, as copies."""
        return self.run.pick(self.positions[positions])

    @property
    def feeds(self) -> Feeds:
        """Those of the run, for their names."""
        return self.run.feeds


def pick_from(run: Run | Pick, positions: NDArray[np.int64]) -> Pick:
    """The samples at `positions` of a run."""
    if isinstance(run, Pick):
        return Pick(run=run.run, positions=run.positions[positions])
    return Pick(run=run, positions=positions)


def joined_runs(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Consecutive runs of equal per-sample shapes and dtypes as one."""
    groups: list[list[Run]] = []
    for run in runs:
        if groups and _signature(groups[-1][0]) == _signature(run):
            groups[-1].append(run)
        else:
            groups.append([run])
    return tuple(_concatenated(group) for group in groups)


def _signature(run: Run) -> tuple[object, ...]:
    inputs = {name: (array.dtype, array.shape[1:]) for name, array in run.feeds.items()}
    targets = (run.targets.dtype, run.targets.shape[1:]) if isinstance(run.targets, np.ndarray) else list
    return inputs, targets


def _concatenated(runs: Sequence[Run]) -> Run:
    names = runs[0].feeds
    feeds = {name: np.concatenate([run.feeds[name] for run in runs]) for name in names}
    return Run(feeds=feeds, targets=joined_targets([run.targets for run in runs]))


def joined_targets(parts: Sequence[Targets]) -> Targets:
    """The targets of consecutive batches as one: an array where all are arrays that fit together, else a list."""
    arrays = [part for part in parts if isinstance(part, np.ndarray)]
    if len(arrays) == len(parts) and len({(array.dtype, array.shape[1:]) for array in arrays}) == 1:
        return np.concatenate(arrays)
    return [target for part in parts for target in part]
