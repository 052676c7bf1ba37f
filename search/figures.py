"""The figures of a candidate, as trials, confirmations and points share them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from search.cost import INSTRUCTION_NAMES, LATENCY_NAMES, Cost, cost_fields

if TYPE_CHECKING:
    from search.cost import Measured
    from workloads import Accuracy, Drop

METRIC_NAMES = ("metric", "metric_drop", "metric_drop_low", "metric_drop_high")
FIGURE_NAMES = (*LATENCY_NAMES, *INSTRUCTION_NAMES, *METRIC_NAMES)
"""The names of the figures that are numbers."""


@dataclass(frozen=True, kw_only=True)
class Figures(Cost):
    """What a candidate costs and how accurate it is.

    Attributes:
        grade: `clean`, `contended` or `unreliable`; `emulated` where instructions were counted.
        metric: Mean score.
        metric_drop: FP32 minus candidate on the same samples; `_low`, `_high` its paired 95% interval.

    Raises:
        TypeError: A figure is no number.
        ValueError: It has no cost, or two.
    """

    grade: str
    metric: float
    metric_drop: float
    metric_drop_low: float
    metric_drop_high: float

    def __post_init__(self) -> None:
        for name in FIGURE_NAMES:
            value = getattr(self, name)
            if not isinstance(value, int | float) and not (name == "instructions" and value is None):
                raise TypeError(f"{name} must be a number, got {value!r}")
        if math.isnan(self.latency_ratio) == math.isnan(self.instructions_ratio):
            raise ValueError("figures have either a latency or instructions; a cost is not both, nor none")

    @classmethod
    def taken(
        cls, measured: Measured, accuracy: Accuracy, drop: Drop, *, reference_ms: float | None, **others: Any
    ) -> Self:
        """From what was measured.

        Args:
            measured: The latency, or the count of instructions.
            accuracy: The scores.
            drop: Their distance from FP32's.
            reference_ms: FP32's latency that the ratio is multiplied with; None takes this measurement's own.
            others: The fields that a subclass adds.
        """
        return cls(
            **cost_fields(measured, reference_ms),
            grade=measured.grade,
            metric=accuracy.value,
            metric_drop=drop.value,
            metric_drop_low=drop.low,
            metric_drop_high=drop.high,
            **others,
        )


def is_fraction(fp32_metric: float) -> bool:
    """Whether the metric lies between 0 and 1, so that its drops read best in percentage points."""
    return 0.0 <= fp32_metric <= 1.0
