"""What a report says about the run as a whole."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from search.point import TrialPoint


@dataclass(frozen=True, kw_only=True)
class ReportFacts:
    """The circumstances of a run.

    `metric_is_fraction` says that the metric lies between 0 and 1 and that drops read best in percentage points;
    other metrics keep their own unit. The confirmation's figures are None until there is one. `fp32_instructions`
    stands in the place of `fp32_latency_ms` where the target is emulated and instructions are counted.
    `trials_finished` have all their figures; `trials_stopped` were given up early, when they could not become good.
    `search_epochs` says for how many epochs each candidate was trained in the search; None where none was.
    `target_is_host` says that the target is the machine and the runtime that accuracy was taken with.

    Raises:
        ValueError: FP32's cost is not above 0, or there are two of it, a metric is not finite, a count is negative, or
            `started_at` has no time zone.
    """

    workload_name: str
    metric_name: str
    metric_is_fraction: bool = True
    target_name: str
    target_is_host: bool = False
    device: str
    runtime: str
    fp32_latency_ms: float | None = None
    fp32_instructions: int | None = None
    fp32_metric_search: float
    fp32_metric_confirmation: float | None = None
    samples_search: int
    samples_confirmation: int | None = None
    trials_finished: int
    trials_failed: int
    trials_stopped: int = 0
    search_epochs: int | None = None
    started_at: datetime
    wall_seconds: float
    paretune_version: str

    def __post_init__(self) -> None:
        if (self.fp32_latency_ms is None) == (self.fp32_instructions is None):
            raise ValueError("FP32's cost is either fp32_latency_ms or fp32_instructions; measure FP32 first")
        for name in ("fp32_latency_ms", "fp32_instructions"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be above 0, got {value}; measure FP32 first")
        for name in ("fp32_metric_search", "fp32_metric_confirmation"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ValueError(f"{name} must be finite, got {value}; check the workload's metric")
        counts = ("trials_finished", "trials_failed", "trials_stopped")
        for name in ("samples_search", "samples_confirmation", *counts, "wall_seconds"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ValueError(f"{name} must be 0 or more, got {value}")
        if self.started_at.tzinfo is None:
            raise ValueError(f"started_at must carry a time zone, got {self.started_at}; use datetime.now(UTC)")

    @property
    def is_emulated(self) -> bool:
        """Whether costs are instructions under emulation, not time."""
        return self.fp32_instructions is not None

    @property
    def trials_text(self) -> str:
        """How many trials there were and what became of them: '40 trials finished, 12 stopped early, 2 failed'."""
        stopped = f", {self.trials_stopped} stopped early" if self.trials_stopped else ""
        return f"{self.trials_finished} trials finished{stopped}, {self.trials_failed} failed"

    @property
    def fp32_cost(self) -> float:
        """FP32's milliseconds, or instructions."""
        return float(self.fp32_instructions or self.fp32_latency_ms or math.nan)

    @property
    def fp32_metric(self) -> float:
        """FP32's metric that reports show: on the confirmation part once there is one."""
        confirmed = self.fp32_metric_confirmation
        return self.fp32_metric_search if confirmed is None else confirmed

    def metric_of(self, point: TrialPoint) -> float:
        """Give a point's metric beside `fp32_metric`: FP32's minus the point's own paired drop.

        For a confirmed point that is its metric; for the others it carries what the search saw over to the
        confirmation part, so that one table or plot never mixes two parts.
        """
        return self.fp32_metric - point.metric_drop
