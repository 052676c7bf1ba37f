"""How well the latency model foresaw what was then measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from search.trial.predictions import Prediction

if TYPE_CHECKING:
    import optuna

    from search.point import TrialPoint


@dataclass(frozen=True, kw_only=True)
class Foreseen:
    """What was expected of a trial's cost ratio before it was taken, and what was taken."""

    number: int
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """How far off the prediction was, as a share of what was measured."""
        return abs(self.predicted / self.measured - 1.0)


@dataclass(frozen=True, kw_only=True)
class PredictionFit:
    """All predictions of a run, at least one, in the order of the trials."""

    predictions: tuple[Foreseen, ...]

    @property
    def median_error(self) -> float:
        """Half of the predictions were at least this close, as a share of what was measured."""
        return median(prediction.error for prediction in self.predictions)

    def latest(self, count: int) -> PredictionFit:
        """The last `count` of them, at least one: what the model has learned by now."""
        return PredictionFit(predictions=self.predictions[-count:])

    def within(self, share: float) -> float:
        """The share of predictions that were off by at most `share`."""
        return sum(prediction.error <= share for prediction in self.predictions) / len(self.predictions)


def fit_of(trials: Sequence[optuna.trial.FrozenTrial], points: Sequence[TrialPoint]) -> PredictionFit | None:
    """Put predictions beside measurements.

    Args:
        trials: The study's.
        points: Its finished trials, with the figures that the search saw; those of an unreliable latency are left out.

    Returns:
        None where nothing was predicted: older paretunes did not.
    """
    predicted = {trial.number: Prediction.from_attributes(trial.user_attrs) for trial in trials}
    predictions = [
        Foreseen(number=point.number, predicted=found.cost_ratio, measured=point.cost_ratio)
        for point in points
        if (found := predicted.get(point.number)) is not None
        and math.isfinite(point.cost_ratio)
        and point.grade != "unreliable"
    ]
    return PredictionFit(predictions=tuple(predictions)) if predictions else None
