"""The figures of a candidate, as trials, confirmations and points share them."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from latency import Measurement
    from workloads import Accuracy, Drop


@dataclass(frozen=True, kw_only=True)
class Figures:
    """How fast and how accurate a candidate is.

    Attributes:
        latency_ms: Ratio times the run's FP32 reference.
        latency_ratio: Candidate over FP32, measured in the same processes; `_low`, `_high` its 95% interval.
        grade: `clean`, `contended` or `unreliable`.
        metric: Mean score.
        metric_drop: FP32 minus candidate on the same samples; `_low`, `_high` its paired 95% interval.

    Raises:
        TypeError: A figure is no number.
    """

    latency_ms: float
    latency_ratio: float
    latency_ratio_low: float
    latency_ratio_high: float
    grade: str
    metric: float
    metric_drop: float
    metric_drop_low: float
    metric_drop_high: float

    def __post_init__(self) -> None:
        for name in FIGURE_NAMES:
            value = getattr(self, name)
            if not isinstance(value, int | float):
                raise TypeError(f"{name} must be a number, got {value!r}")

    @classmethod
    def taken(
        cls, measurement: "Measurement", accuracy: "Accuracy", drop: "Drop", *, reference_ms: float, **others: Any
    ) -> Self:
        """From what was measured.

        Args:
            measurement: The latency.
            accuracy: The scores.
            drop: Their distance from FP32's.
            reference_ms: FP32's latency that the ratio is multiplied with.
            others: The fields that a subclass adds.
        """
        return cls(
            latency_ms=measurement.ratio * reference_ms,
            latency_ratio=measurement.ratio,
            latency_ratio_low=measurement.ratio_low,
            latency_ratio_high=measurement.ratio_high,
            grade=measurement.grade,
            metric=accuracy.value,
            metric_drop=drop.value,
            metric_drop_low=drop.low,
            metric_drop_high=drop.high,
            **others,
        )


FIGURE_NAMES = tuple(field.name for field in fields(Figures) if field.name != "grade")
"""The names of the figures that are numbers."""


def is_fraction(fp32_metric: float) -> bool:
    """Whether the metric lies between 0 and 1, so that its drops read best in percentage points."""
    return 0.0 <= fp32_metric <= 1.0
