"""What a trial was expected to cost, and how far such expectations are to be trusted: as far as they were right."""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

PREDICTED = "predicted"
"""User attribute of a trial, written before its cost is taken: `{"cost_ratio": mean, "cost_deviation": deviation}`."""

LEAST_RECORD = 12
"""Predictions that have come to be measured before any is trusted."""

_LONGEST_RECORD = 100

# One prediction in two hundred may be further below its measurement, were the errors normal; and however they are, none
# so far was, by half as much again.
_TAIL = 0.005
_CAUTION = 1.5


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A cost ratio that a model expects.

    Attributes:
        cost_ratio: Candidate over FP32.
        cost_deviation: What the model believes its standard deviation to be.
    """

    cost_ratio: float
    cost_deviation: float

    def to_attribute(self) -> dict[str, float]:
        """As a JSON-able user attribute."""
        return {"cost_ratio": self.cost_ratio, "cost_deviation": self.cost_deviation}

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any]) -> Self | None:
        """That of a trial's user attributes; None where there is none, or none that can be used."""
        found = attributes.get(PREDICTED)
        if not isinstance(found, Mapping):
            return None
        ratio, deviation = (found.get(name) for name in ("cost_ratio", "cost_deviation"))
        if not all(isinstance(each, int | float) and math.isfinite(each) for each in (ratio, deviation)):
            return None
        return cls(cost_ratio=float(ratio), cost_deviation=float(deviation))  # type: ignore[arg-type]  # numbers


@dataclass(kw_only=True)
class PredictionRecord:
    """Predictions against measurements, in units of the deviations that the model gave itself; the latest hundred.

    Errors count whichever way they went. A prediction far too high leads to a trial stopped without a measurement, and
    would be missing from a record of one side.
    """

    _errors: deque[float] = field(default_factory=lambda: deque(maxlen=_LONGEST_RECORD))

    def add(self, prediction: Prediction, measured: float, measured_deviation: float) -> None:
        """Remember a prediction that has come to be measured, with the deviation of that measurement."""
        deviation = math.hypot(prediction.cost_deviation, measured_deviation)
        if deviation > 0.0:
            self._errors.append(abs(measured - prediction.cost_ratio) / deviation)

    def lowest(self, prediction: Prediction) -> float | None:
        """A cost ratio that the candidate hardly falls below; None while too little is known of such predictions.

        The model's deviation times what the record's errors say: the one-sided quantile of Student's t with their root
        mean square, or half as much again as the largest of them, whichever is more.
        """
        if len(self._errors) < LEAST_RECORD:
            return None
        from scipy.stats import t

        count = len(self._errors)
        scale = math.sqrt(sum(error**2 for error in self._errors) / count)
        width = max(float(t.ppf(1.0 - _TAIL, count)) * scale, _CAUTION * max(self._errors))
        return prediction.cost_ratio - width * prediction.cost_deviation
