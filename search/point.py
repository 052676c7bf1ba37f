"""One point of a run: what was tried, how fast and how accurate it is, and whether that was confirmed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from search.cost import INSTRUCTION_NAMES, LATENCY_NAMES, Cost
from search.figures import FIGURE_NAMES, METRIC_NAMES
from search.target_accuracy import TARGET_NAMES, TargetAccuracy

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
    *INSTRUCTION_NAMES,
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
    "search_instructions_ratio",
    "search_metric_drop",
    *TARGET_NAMES,
    "target_samples",
    "host_metric",
    "target_differs",
    "label",
    "policy_summary",
    "recovered_from",
    "recovery",
    "trained_in_search",
)
"""The columns of trials.csv and pareto.csv, in their order: every field of `TrialPoint` but `layers`."""

_TEXTS = ("digest", "grade", "state", "reason", "label", "policy_summary", "recovered_from", "recovery")
_SEARCH_RATIOS = ("search_latency_ratio", "search_instructions_ratio")


@dataclass(frozen=True, kw_only=True)
class TrialPoint(Cost, TargetAccuracy):
    """One trial as files and reports show it.

    The figures are those of the search until the point is confirmed and those of the confirmation from then on; what
    the search had seen then stands in `search_metric_drop` and in `search_latency_ratio` or, where the cost is
    instructions, `search_instructions_ratio`. Figures that were never taken (a failed trial) are NaN, and counts None.
    Ratios are candidate over FP32, drops FP32 minus candidate in the metric's own unit, `_low` and `_high` 95%
    intervals. `state` is 'complete', 'failed' or 'pruned'; what was taken of a pruned trial before it was given up is
    there, and never ranks. `reason` says why a trial failed or was given up, and of a confirmed point what is wrong
    with it on the target. A layer that `layers` does not name stays in FP32.

    Of a point whose weights were trained `recovered_from` is the digest of the candidate that its policy gives
    untrained, and `recovery` says in words how it was trained. Trained after the search it is no trial of the study,
    and `number` is that of the trial that it comes from; trained in the search (`trained_in_search`) it is the trial.

    Raises:
        ValueError: a complete point lacks a figure, a ratio is not above 0, an interval is upside down, the search
            values are there without a confirmation (or missing with one), or a recovered point does not say of what or
            how.
    """

    number: int
    digest: str
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
    search_instructions_ratio: float | None = None
    search_metric_drop: float | None = None
    label: str = ""
    policy_summary: str = ""
    recovered_from: str = ""
    recovery: str = ""
    trained_in_search: bool = False
    layers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ValueError(f"number must be 0 or more, got {self.number}; use the trial's number in the study")
        if not self.state:
            raise ValueError(f"state must not be empty for trial {self.number}; say 'complete', 'pruned' or 'failed'")
        if bool(self.recovered_from) != bool(self.recovery):
            raise ValueError(
                f"recovered_from and recovery must be given together, got {self.recovered_from!r} and "
                f"{self.recovery!r} for trial {self.number}; set both or neither"
            )
        if self.trained_in_search and not self.recovered_from:
            raise ValueError(
                f"trained_in_search must not be set for trial {self.number}, which says of no candidate that it comes "
                "from; set recovered_from and recovery too"
            )
        if self.state == "complete":
            self._require_figures()
        for name in ("latency_ratio", "instructions_ratio", "metric_drop", "target_metric_drop"):
            low, high = getattr(self, f"{name}_low"), getattr(self, f"{name}_high")
            if low > high:
                raise ValueError(
                    f"{name}_low must not exceed {name}_high, got {low} and {high} for trial {self.number}; swap them"
                )
        ratio = _SEARCH_RATIOS[self.is_emulated]
        for name in (ratio, "search_metric_drop"):
            if (getattr(self, name) is not None) != self.confirmed:
                raise ValueError(
                    f"{name} must be given exactly for confirmed points, got {getattr(self, name)} with "
                    f"confirmed={self.confirmed} for trial {self.number}; set both or neither"
                )

    def _require_figures(self) -> None:
        """All figures of the one cost that was taken, none of the other."""
        costs, others = LATENCY_NAMES, INSTRUCTION_NAMES
        if self.is_emulated:
            costs, others = others, costs
        for name in (*costs, *METRIC_NAMES):
            value = getattr(self, name)
            if not math.isfinite(value) or (name in costs and value <= 0):
                kind = "finite and above 0" if name in costs else "finite"
                raise ValueError(
                    f"{name} must be {kind} for a complete trial, got {value} for trial {self.number}; "
                    "mark the trial 'failed' with a reason"
                )
        for name in others:
            value = getattr(self, name)
            if value is not None and not math.isnan(value):
                raise ValueError(f"{name} must not stand beside {costs[0]}, got {value} for trial {self.number}")

    @property
    def name(self) -> str:
        """What people call it: '#12', and '#12r' once recovered after the search."""
        return f"#{self.number}{'' if self.is_trial else 'r'}"

    @property
    def is_trial(self) -> bool:
        """Whether it is a trial of the study, and was not made of one after the search."""
        return self.trained_in_search or not self.recovered_from

    @property
    def built_digest(self) -> str:
        """The digest of the candidate that its policy gives without training."""
        return self.recovered_from or self.digest

    @property
    def key(self) -> tuple[int, str]:
        """What tells it from every other point of its run; by number, before what was recovered from it."""
        return self.number, "" if self.is_trial else self.digest

    @property
    def search_cost_ratio(self) -> float | None:
        """What the search had seen of `cost_ratio`, for a confirmed point."""
        return self.search_instructions_ratio if self.is_emulated else self.search_latency_ratio

    @property
    def speedup(self) -> float:
        """How many times as fast as FP32 the candidate is: 1 / latency_ratio; NaN where no time was taken."""
        return 1.0 / self.latency_ratio

    @property
    def rankable(self) -> bool:
        """Whether the figures may decide anything: the trial is complete and its cost is not unreliable."""
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
    counts = dict.fromkeys(("model_bytes", "instructions", "target_samples"), "Int64")
    types = {"number": "int64", "confirmed": "bool", "trained_in_search": "bool", "target_differs": "boolean", **counts}
    floats = (*FIGURE_NAMES, *_SEARCH_RATIOS, "search_metric_drop", *TARGET_NAMES, "host_metric")
    return {**dict.fromkeys(_TEXTS, "str"), **dict.fromkeys(floats, "float64"), **types}
