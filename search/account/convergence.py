"""How fast a search got where it is: the hypervolume of its front over trials and over seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from search import pareto
from search.account.active_time import ActiveTime

if TYPE_CHECKING:
    import optuna

    from search.point import TrialPoint

_BEYOND_THE_FRONT = 1.1
REFERENCE_RATIO = 1.0
"""FP32's own cost: what is no faster adds nothing."""


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What had been found when a trial ended.

    Attributes:
        trials: Finished trials so far, stopped and failed ones too.
        seconds: Of searching so far, pauses between sessions left out.
        hypervolume: Of the front so far.
    """

    trials: int
    seconds: float
    hypervolume: float


@dataclass(frozen=True, kw_only=True)
class Convergence:
    """The hypervolume of a search's front, trial by trial, as the search itself saw its points.

    Attributes:
        reference_drop: The drop of the reference point, in the metric's unit; its cost ratio is `REFERENCE_RATIO`. The
            hypervolume is the area of (cost ratio, drop) between the front and it.
        steps: After each finished trial; the hypervolume never falls.
    """

    reference_drop: float
    steps: tuple[Progress, ...]

    @property
    def hypervolume(self) -> float:
        """Of the front as it is."""
        return self.steps[-1].hypervolume

    def reaching(self, share: float) -> Progress:
        """The first step with at least this share of the hypervolume that was reached."""
        return next(step for step in self.steps if step.hypervolume >= share * self.hypervolume)


def converge(
    trials: Sequence[optuna.trial.FrozenTrial], points: Sequence[TrialPoint], session_starts: Sequence[datetime]
) -> Convergence | None:
    """Follow a search.

    The reference point is FP32's cost and 1.1 times the largest drop of the front, its interval included: networks that
    lose out of all proportion do not stretch it.

    Args:
        trials: The study's.
        points: Its finished trials, with the figures that the search saw.
        session_starts: When the run's sessions began.

    Returns:
        None where nothing was found yet that is faster than FP32 at a drop that can be compared.
    """
    from search.account.selection import comparable_front, select

    front = comparable_front(select(points).front)
    reference_drop = _BEYOND_THE_FRONT * max((point.metric_drop_high for point in front), default=0.0)
    by_number = {trial.number: trial for trial in trials}
    spans = {point.number: _span(by_number[point.number]) for point in points}
    ordered = sorted(points, key=lambda point: (spans[point.number][1], point.number))
    if reference_drop <= 0 or not ordered:
        return None
    clock = ActiveTime.of(list(spans.values()), session_starts)
    steps: list[Progress] = []
    found: list[pareto.Pair] = []
    for count, point in enumerate(ordered, start=1):
        if point.rankable:
            found.append((point.cost_ratio, -point.metric_drop))
            found = [found[position] for position in pareto.front(found)]
        volume = pareto.hypervolume(found, (REFERENCE_RATIO, -reference_drop))
        steps.append(Progress(trials=count, seconds=clock.seconds_at(spans[point.number][1]), hypervolume=volume))
    return Convergence(reference_drop=reference_drop, steps=tuple(steps)) if steps[-1].hypervolume > 0 else None


def _span(trial: optuna.trial.FrozenTrial) -> tuple[datetime, datetime]:
    """When a finished trial began and ended; Optuna writes the local time without its zone."""
    begin, end = trial.datetime_start, trial.datetime_complete
    if begin is None or end is None:
        raise ValueError(f"trial {trial.number} must have begun and ended, got {begin} and {end}")
    return begin.astimezone(), end.astimezone()
