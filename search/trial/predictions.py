"""What a trial was expected to cost, and how far such expectations are to be trusted: as far as they were right."""

import math
import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

PREDICTED = "predicted"
"""User attribute of a trial, written before its cost is taken: `{"cost_ratio": mean, "cost_deviation": deviation}`."""

LEAST_RECORD = 12
"""Predictions that have come to be measured before any is trusted."""

_LONGEST_RECORD = 100

# One prediction in two hundred may be further above its measurement.
_TAIL = 0.005


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A cost ratio that a model expects.

    Attributes:
        cost_ratio: Candidate over FP32.
        cost_deviation: What the model believes its standard deviation to be.
    """

    cost_ratio: float
    cost_deviation: float

    @property
    def doubt(self) -> float:
        """The deviation over the ratio: how unsure the model is."""
        return self.cost_deviation / self.cost_ratio

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
    """Measured over predicted cost ratios, the latest hundred.

    What the model says of its own deviation is believed only so far: a prediction that it is less sure of than of any
    in the record has no precedent.
    """

    _log_errors: deque[float] = field(default_factory=lambda: deque(maxlen=_LONGEST_RECORD))
    _doubts: deque[float] = field(default_factory=lambda: deque(maxlen=_LONGEST_RECORD))

    def __len__(self) -> int:
        return len(self._log_errors)

    def add(self, prediction: Prediction, measured: float) -> None:
        """Remember what a prediction came to."""
        if prediction.cost_ratio > 0.0 and measured > 0.0:
            self._log_errors.append(math.log(measured / prediction.cost_ratio))
            self._doubts.append(prediction.doubt)

    def lowest(self, prediction: Prediction) -> float | None:
        """A cost ratio that the candidate hardly falls below; None where such predictions have no record.

        The prediction interval of a normal variable's next value (Student's t), of the logarithms, with the deviation
        of the half that lies below their median: how far predictions are too low is of no concern here. Where an error
        was larger than that, it is the limit.
        """
        count = len(self._log_errors)
        if count < LEAST_RECORD or prediction.cost_ratio <= 0.0 or prediction.doubt > max(self._doubts):
            return None
        from scipy.special import stdtrit  # `scipy.stats` has the same, and takes half a second to import

        width = float(stdtrit(count - 1, 1.0 - _TAIL)) * math.sqrt(1.0 + 1.0 / count)
        middle = statistics.median(self._log_errors)
        below = [error - middle for error in self._log_errors if error < middle]
        low = middle - width * math.sqrt(sum(error**2 for error in below) / max(1, len(below) - 1))
        return prediction.cost_ratio * math.exp(min(low, *self._log_errors))
