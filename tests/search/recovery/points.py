"""Points of a made-up run, as the search saw them."""

from __future__ import annotations

from typing import Any

from search.point import TrialPoint


def point(number: int, ratio: float, drop: float, **changes: Any) -> TrialPoint:
    """A complete trial whose metric is 1 less its drop."""
    values: dict[str, Any] = {
        "digest": f"{number:064x}", "latency_ms": ratio, "latency_ratio": ratio, "latency_ratio_low": ratio,
        "latency_ratio_high": ratio, "grade": "clean", "metric": 1.0 - drop, "metric_drop": drop,
        "metric_drop_low": drop - 0.002, "metric_drop_high": drop + 0.002, "state": "complete",
        "policy_summary": f"policy {number}", "layers": {"conv": {"bits": 8}}, "model_bytes": 1000, **changes,
    }  # fmt: skip
    return TrialPoint(number=number, **values)
