"""What a person can afford: limits that a point must keep, and by how much it misses one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from search.errors import SearchError

if TYPE_CHECKING:
    from search.facts import ReportFacts
    from search.point import TrialPoint

BYTES_PER_MB = 1e6
"""Sizes are decimal, as every report writes them."""


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """Something that a budget limits.

    Attributes:
        option: Of the command line.
        unit: Of its values; '' for the metric's own.
        is_time: Whether it can only be told where time was measured.
        below: Whether values must stay below the limit; else above.
        positive: Whether a limit of 0 or less makes no sense.
        value: Of a point.
        worst: The end of the point's 95% interval that a promise must hold for; the value itself where there is none.
    """

    option: str
    unit: str
    is_time: bool
    below: bool
    positive: bool
    value: Callable[[TrialPoint], float]
    worst: Callable[[TrialPoint], float]


def promised_drop(point: TrialPoint) -> float:
    """The drop that the point's users will see: the target's own where that differs from this host's."""
    return point.target_metric_drop if point.target_differs else point.metric_drop


def _worst_drop(point: TrialPoint) -> float:
    return point.target_metric_drop_high if point.target_differs else point.metric_drop_high


def _size_mb(point: TrialPoint) -> float:
    return math.inf if point.model_bytes is None else point.model_bytes / BYTES_PER_MB


def _worst_latency_ms(point: TrialPoint) -> float:
    return point.latency_ms * point.latency_ratio_high / point.latency_ratio


QUANTITIES: dict[str, Quantity] = {
    "max_latency_ms": Quantity(
        option="--max-latency-ms", unit="ms", is_time=True, below=True, positive=True,
        value=lambda point: point.latency_ms, worst=_worst_latency_ms,
    ),
    "min_speedup": Quantity(
        option="--min-speedup", unit="×", is_time=True, below=False, positive=True,
        value=lambda point: point.speedup, worst=lambda point: 1.0 / point.latency_ratio_high,
    ),
    "max_drop": Quantity(
        option="--max-drop", unit="", is_time=False, below=True, positive=False,
        value=promised_drop, worst=_worst_drop,
    ),
    "max_size_mb": Quantity(
        option="--max-size-mb", unit="MB", is_time=False, below=True, positive=True,
        value=_size_mb, worst=_size_mb,
    ),
}  # fmt: skip
"""By the name that files and callers give them."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """One limit.

    Attributes:
        name: In `QUANTITIES`.
        limit: In the quantity's unit.

    Raises:
        SearchError: The limit is not finite, or not above 0 where it must be.
    """

    name: str
    limit: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.limit):
            raise SearchError(f"{self.quantity.option} takes a finite number, got {self.limit}")
        if self.quantity.positive and self.limit <= 0:
            raise SearchError(f"{self.quantity.option} must be above 0, got {self.limit:g}")

    @property
    def quantity(self) -> Quantity:
        """What is limited."""
        return QUANTITIES[self.name]

    def excess(self, point: TrialPoint) -> float:
        """By how much a point misses the limit, in its unit; 0 or less where the point keeps it."""
        return self._beyond(self.quantity.value(point))

    def is_kept_by(self, point: TrialPoint) -> bool:
        """Whether the point keeps the limit."""
        return self.excess(point) <= 0

    def is_certain_for(self, point: TrialPoint) -> bool:
        """Whether all of the point's 95% interval keeps the limit."""
        return self._beyond(self.quantity.worst(point)) <= 0

    def _beyond(self, value: float) -> float:
        return value - self.limit if self.quantity.below else self.limit - value


def require_answerable(budgets: tuple[Budget, ...], facts: ReportFacts) -> None:
    """Refuse limits that this run cannot speak of.

    Raises:
        SearchError: A limit on time, where instructions were counted; a drop larger than FP32's metric, where the
            metric lies between 0 and 1.
    """
    for budget in budgets:
        if budget.quantity.is_time and facts.is_emulated:
            raise SearchError(
                f"{budget.quantity.option} limits time, and this run counted instructions under emulation, which are "
                "not time; search on the device itself, or choose by --max-drop, --max-size-mb and --knee"
            )
        if budget.name == "max_drop" and facts.metric_is_fraction and 0 < facts.fp32_metric < budget.limit:
            raise SearchError(
                f"--max-drop is in the metric's own unit, got {budget.limit:g} where FP32 itself has "
                f"{facts.fp32_metric:.4f}; one percentage point is 0.01"
            )
