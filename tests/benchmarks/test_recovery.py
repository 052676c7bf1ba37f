"""What the recovery benchmark reads off a run: confirmed points alone say what recovery won."""

from typing import Any

import pytest

from benchmarks.recovery import Goal, figures_of_goal
from search.point import TrialPoint

GOAL = Goal(latency_share=0.05, points=1.0)
BELOW = "net, at most 0.05 of FP32's latency: below FP32"
WITHOUT = "net, at most 0.05 of FP32's latency: without recovery"
LATENCY = "net, at most 1 points below FP32: latency"


def _point(ratio: float, drop: float, *, confirmed: bool = True, recovered: bool = False, **others: Any) -> TrialPoint:
    search = {"search_latency_ratio": ratio, "search_metric_drop": drop} if confirmed else {}
    return TrialPoint(
        number=3,
        digest="d",
        latency_ms=ratio,
        latency_ratio=ratio,
        latency_ratio_low=ratio,
        latency_ratio_high=ratio,
        grade="clean",
        metric=1 - drop,
        metric_drop=drop,
        metric_drop_low=drop,
        metric_drop_high=drop,
        model_bytes=1,
        confirmed=confirmed,
        state="complete",
        recovered_from="e" if recovered else "",
        recovery="trained" if recovered else "",
        **{**search, **others},
    )


def test_the_best_confirmed_point_that_is_fast_enough_counts() -> None:
    points = [
        _point(0.04, 0.9),
        _point(0.045, 0.008, recovered=True),
        _point(0.03, 0.02, recovered=True),
        _point(0.048, 0.001, confirmed=False, recovered=True),
        _point(0.06, 0.0, recovered=True),
    ]
    figures = figures_of_goal("net", GOAL, points)
    assert figures[BELOW].value == pytest.approx(0.8)
    assert figures[BELOW].is_reached
    assert figures[WITHOUT].value == pytest.approx(90)
    assert figures[LATENCY].value == pytest.approx(0.045)


def test_what_the_search_saw_counts_without_recovery() -> None:
    """A point that its confirmation found slower was one of those to recover all the same."""
    lucky = _point(0.055, 0.5, search_latency_ratio=0.049, search_metric_drop=0.4)
    figures = figures_of_goal("net", GOAL, [lucky])
    assert figures[WITHOUT].value == pytest.approx(40)
    assert not figures[BELOW].is_reached


def test_nothing_fast_enough_is_all_lost() -> None:
    figures = figures_of_goal("net", GOAL, [_point(0.2, 0.0), _point(0.9, 0.5)])
    assert figures[BELOW].value == figures[WITHOUT].value == 100
    assert figures[LATENCY].value == pytest.approx(0.2)
    assert not figures[LATENCY].is_reached
    assert figures_of_goal("net", GOAL, [])[LATENCY].value == 1.0
