"""How accurate a candidate is on the target itself, beside what this host made of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workloads import Accuracy

_NEGLIGIBLE = 1e-3
"""Of the scores' standard deviation: a metric that shifts by less needs a million samples to show it."""
_ROUNDING = 1e-6
"""What single precision loses of a score of one, and of larger ones in proportion."""

TARGET_NAMES = ("target_metric", "target_metric_drop", "target_metric_drop_low", "target_metric_drop_high")


@dataclass(frozen=True, kw_only=True)
class TargetAccuracy:
    """The metric as the target's own kernels give it; NaN and None where it was never taken there.

    Attributes:
        target_metric: Mean score on the target.
        target_metric_drop: FP32 minus candidate, both on the target and on the same samples; `_low`, `_high` the
            paired 95% interval.
        target_samples: On how many samples.
        host_metric: Mean score on this host, of these same samples.
        target_differs: Whether target and host differ by more than the paired 95% interval of their difference.
    """

    target_metric: float = math.nan
    target_metric_drop: float = math.nan
    target_metric_drop_low: float = math.nan
    target_metric_drop_high: float = math.nan
    target_samples: int | None = None
    host_metric: float = math.nan
    target_differs: bool | None = None


def compare_on_target(fp32: Accuracy, candidate: Accuracy, on_host: Accuracy) -> TargetAccuracy:
    """The candidate's accuracy on the target, against FP32's there and against its own on this host.

    Args:
        fp32: FP32's scores on the target.
        candidate: The candidate's scores there, on the same samples.
        on_host: The candidate's scores on this host, on the same samples.
    """
    from workloads import paired_drop

    drop, between = paired_drop(fp32, candidate), paired_drop(on_host, candidate)
    negligible = max(_NEGLIGIBLE * float(fp32.scores.std()), _ROUNDING * max(1.0, abs(on_host.value)))
    return TargetAccuracy(
        target_metric=candidate.value,
        target_metric_drop=drop.value,
        target_metric_drop_low=drop.low,
        target_metric_drop_high=drop.high,
        target_samples=candidate.count,
        host_metric=on_host.value,
        target_differs=abs(between.value) > negligible and not between.low <= 0.0 <= between.high,
    )
