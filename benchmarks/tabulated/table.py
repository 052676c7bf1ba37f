"""The table: every policy of a small real network with its figures, as a file that needs nothing else to be read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.samplers import BaseSampler

from search.pareto import Pair, front, hypervolume
from search.space.space import Choice, SearchSpace
from search.study.space_record import recorded_space

FORMAT_VERSION = 1

TABLE = Path(__file__).with_name("table.npz")

Column = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """Figures of all policies, each at its position in the enumeration of the space.

    Attributes:
        records: User attributes of a study of this network, as a search begins it (`search.study.space_record`,
            `search.layers.graph`, `search.layers.effects`, `search.layers.table`).
        ratio: Latency over FP32's.
        ratio_error: Standard error of the same.
        metric: Mean score over the search's samples.
        divergence: From FP32's outputs, mean over the same.
        same_as: Position of the first policy that led to the same bytes.
        facts: Where the figures come from: network, machine, runtime, passes, seconds.
    """

    records: Mapping[str, Any]
    ratio: Column
    ratio_error: Column
    metric: Column
    divergence: Column
    same_as: NDArray[np.uint16]
    facts: Mapping[str, Any]

    def __post_init__(self) -> None:
        for name in ("ratio", "ratio_error", "metric", "divergence", "same_as"):
            found = getattr(self, name).shape
            if found != (self.space.size,):
                raise ValueError(f"{name} must have one figure for each of {self.space.size} policies, got {found}")

    @cached_property
    def space(self) -> SearchSpace:
        """The policies."""
        space = recorded_space(study_of(self.records), TABLE)
        assert space is not None
        return space

    @property
    def fp32_metric(self) -> float:
        """FP32's own; position 0 leaves every layer alone."""
        return float(self.metric[0])

    def position(self, params: Mapping[str, Choice]) -> int:
        """Where the policy of these parameters stands."""
        position, size = 0, 1
        for knob in self.space.knobs:
            position += size * knob.choices.index(params[knob.name])
            size *= len(knob.choices)
        return position

    def pair(self, position: int) -> Pair:
        """A policy's cost ratio and metric."""
        return float(self.ratio[position]), float(self.metric[position])

    @property
    def head_start_trials(self) -> float:
        """What was found out before the first trial, in trials of the same search on the same machine."""
        return float(self.facts["head_start_s"] / self.facts["trial_s"])

    @cached_property
    def front(self) -> list[int]:
        """Positions of the policies that no other dominates, the fastest first."""
        return front([self.pair(position) for position in range(self.space.size)])

    def hypervolume(self, reference: Pair) -> float:
        """That of all policies: what a search can reach."""
        return hypervolume([self.pair(position) for position in self.front], reference)

    def write(self, path: Path) -> None:
        """Write the table."""
        head = {"format_version": FORMAT_VERSION, "records": dict(self.records), "facts": dict(self.facts)}
        np.savez_compressed(
            path,
            head=np.array(json.dumps(head)),
            ratio=self.ratio,
            ratio_error=self.ratio_error,
            metric=self.metric,
            divergence=self.divergence,
            same_as=self.same_as,
        )


def read_table(path: Path = TABLE) -> Table:
    """Read a table.

    Raises:
        ValueError: It has another format version.
    """
    with np.load(path, allow_pickle=False) as stored:
        head = json.loads(str(stored["head"]))
        if head["format_version"] != FORMAT_VERSION:
            raise ValueError(f"{str(path)!r} has format_version {head['format_version']}, read is {FORMAT_VERSION}")
        return Table(
            records=head["records"],
            facts=head["facts"],
            **{name: stored[name] for name in ("ratio", "ratio_error", "metric", "divergence", "same_as")},
        )


def study_of(records: Mapping[str, Any], sampler: BaseSampler | None = None) -> optuna.Study:
    """A study in memory as a search begins it: with these user attributes."""
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
    for name, record in records.items():
        study.set_user_attr(name, record)
    return study
