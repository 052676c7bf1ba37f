"""One point of a run: what was tried, how fast and how accurate it is, and whether that was confirmed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from search.figures import FIGURE_NAMES

if TYPE_CHECKING:
    import pandas as pd

FP32_LABEL = "FP32"
ALL_8_BIT_LABEL = "all 8-bit"

COLUMNS = (
    "number",
    "digest",
    "latency_ms",
    "latency_ratio",
    "latency_ratio_low",
    "latency_ratio_high",
    "grade",
    "metric",
    "metric_drop",
    "metric_drop_low",
    "metric_drop_high",
    "model_bytes",
    "confirmed",
    "state",
    "reason",
    "search_latency_ratio",
    "search_metric_drop",
    "label",
    "policy_summary",
)
"""The columns of trials.csv and pareto.csv, in their order: every field of `TrialPoint` but `layers`."""

_TEXTS = ("digest", "grade", "state", "reason", "label", "policy_summary")
_SEARCH_FIGURES = ("search_latency_ratio", "search_metric_drop")


@dataclass(frozen=True, kw_only=True)
class TrialPoint:
    """One trial as files and reports show it.

    The figures are those of the search until the point is confirmed and those of the confirmation from then on; what
    the search had seen then stands in `search_latency_ratio` and `search_metric_drop`. Figures that were never taken
    (a failed trial) are NaN, and `model_bytes` is None. Ratios are candidate over FP32, drops FP32 minus candidate in
    the metric's own unit, `_low` and `_high` 95% intervals. A layer that `layers` does not name stays in FP32.

    Raises:
        ValueError: a complete point lacks a figure, a ratio is not above 0, an interval is upside down, or the search
            values are there without a confirmation (or missing with one).
    """

    number: int
    digest: str
    latency_ms: float = math.nan
    latency_ratio: float = math.nan
    latency_ratio_low: float = math.nan
    latency_ratio_high: float = math.nan
    grade: str = ""
    metric: float = math.nan
    metric_drop: float = math.nan
    metric_drop_low: float = math.nan
    metric_drop_high: float = math.nan
    model_bytes: int | None = None
    confirmed: bool = False
    state: str
    reason: str = ""
    search_latency_ratio: float | None = None
    search_metric_drop: float | None = None
    label: str = ""
    policy_summary: str = ""
    layers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ValueError(f"number must be 0 or more, got {self.number}; use the trial's number in the study")
        if not self.state:
            raise ValueError(f"state must not be empty for trial {self.number}; say 'complete' or 'failed'")
        if self.state == "complete":
            self._require_figures()
        for name in ("latency_ratio", "metric_drop"):
            low, high = getattr(self, f"{name}_low"), getattr(self, f"{name}_high")
            if low > high:
                raise ValueError(
                    f"{name}_low must not exceed {name}_high, got {low} and {high} for trial {self.number}; swap them"
                )
        for name in _SEARCH_FIGURES:
            if (getattr(self, name) is not None) != self.confirmed:
                raise ValueError(
                    f"{name} must be given exactly for confirmed points, got {getattr(self, name)} with "
                    f"confirmed={self.confirmed} for trial {self.number}; set both or neither"
                )

    def _require_figures(self) -> None:
        for name in FIGURE_NAMES:
            value = getattr(self, name)
            if not math.isfinite(value) or (name.startswith("latency") and value <= 0):
                kind = "finite and above 0" if name.startswith("latency") else "finite"
                raise ValueError(
                    f"{name} must be {kind} for a complete trial, got {value} for trial {self.number}; "
                    "mark the trial 'failed' with a reason"
                )

    @property
    def speedup(self) -> float:
        """How many times as fast as FP32 the candidate is: 1 / latency_ratio."""
        return 1.0 / self.latency_ratio

    @property
    def rankable(self) -> bool:
        """Whether the figures may decide anything: the trial is complete and its latency is not unreliable."""
        return self.state == "complete" and self.grade != "unreliable"


def to_frame(points: Sequence[TrialPoint]) -> pd.DataFrame:
    """Lay points out as rows.

    Args:
        points: any number of points.

    Returns:
        One row per point in the given order, with `COLUMNS` in theirs; figures that are not there are missing values.
    """
    import pandas as pd

    frame = pd.DataFrame([[getattr(point, name) for name in COLUMNS] for point in points], columns=list(COLUMNS))
    return frame.astype(_column_types())


def to_csv(points: Sequence[TrialPoint]) -> str:
    """Write points as the text of a CSV file, figures with all their digits."""
    return to_frame(points).to_csv(index=False, lineterminator="\n")


def _column_types() -> dict[str, str]:
    types = {"number": "int64", "confirmed": "bool", "model_bytes": "Int64"}
    return {
        **types,
        **dict.fromkeys(_TEXTS, "str"),
        **dict.fromkeys((*FIGURE_NAMES, *_SEARCH_FIGURES), "float64"),
    }
