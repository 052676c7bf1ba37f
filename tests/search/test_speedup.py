"""The best speedup is among those near FP32, by the scale of the metric."""

from __future__ import annotations

import pytest

from search.speedup import best_speedup, closeness
from search.study.trials import Outcome


def make_outcome(metric: float, drop: float, ratio: float = 0.5) -> Outcome:
    return Outcome(
        digest="d", latency_ms=ratio, latency_ratio=ratio, latency_ratio_low=ratio, latency_ratio_high=ratio,
        grade="clean", grade_reason="", metric=metric, metric_drop=drop, metric_drop_low=drop, metric_drop_high=drop,
        divergence=0.1, model_bytes=1000,
    )  # fmt: skip


def test_it_is_the_largest_of_those_that_are_close() -> None:
    assert best_speedup([]) is None
    outcomes = [make_outcome(0.9, 0.0, 1.0), make_outcome(0.895, 0.005, 0.5), make_outcome(0.8, 0.1, 0.1)]
    assert best_speedup(outcomes) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("fp32", "drop", "close"),
    [
        (0.9, 0.01, "1 point"),
        (0.9, 0.011, ""),
        (-2e-4, 1e-6, "1% of FP32's metric"),
        (-2e-4, 0.009, ""),
        (40, 0.3, "1%"),
    ],
)
def test_what_is_near_fp32_goes_by_the_scale_of_the_metric(fp32: float, drop: float, close: str) -> None:
    outcomes = [make_outcome(fp32 - drop, drop)]
    assert (best_speedup(outcomes) is not None) == bool(close)
    assert closeness(outcomes)[1].startswith(close)
