"""Limits that make no sense, or that a run cannot speak of, are refused."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from search.choosing.budgets import QUANTITIES, Budget, require_answerable
from search.errors import SearchError


@pytest.mark.parametrize("name", QUANTITIES)
@pytest.mark.parametrize("limit", [math.nan, math.inf, -math.inf])
def test_limits_are_finite(name: str, limit: float) -> None:
    with pytest.raises(SearchError, match="takes a finite number, got"):
        Budget(name=name, limit=limit)


@pytest.mark.parametrize("name", sorted(set(QUANTITIES) - {"max_drop"}))
@pytest.mark.parametrize("limit", [0.0, -1.0])
def test_what_is_always_above_zero_has_such_a_limit(name: str, limit: float) -> None:
    with pytest.raises(SearchError, match=f"{QUANTITIES[name].option} must be above 0, got"):
        Budget(name=name, limit=limit)


def test_a_drop_may_have_to_be_a_gain() -> None:
    assert Budget(name="max_drop", limit=-0.01).limit == -0.01


def facts(**changes: Any) -> Any:
    return SimpleNamespace(**{"is_emulated": False, "metric_is_fraction": True, "fp32_metric": 0.985, **changes})


def test_time_is_not_promised_of_counted_instructions() -> None:
    for name in ("max_latency_ms", "min_speedup"):
        with pytest.raises(SearchError, match="which are not time"):
            require_answerable((Budget(name=name, limit=2.0),), facts(is_emulated=True))
    require_answerable(
        (Budget(name="max_drop", limit=0.1), Budget(name="max_size_mb", limit=1)), facts(is_emulated=True)
    )


def test_a_drop_in_percentage_points_is_taken_for_the_mistake_it_is() -> None:
    with pytest.raises(SearchError, match=r"got 1 where FP32 itself has 0\.9850; one percentage point is 0\.01"):
        require_answerable((Budget(name="max_drop", limit=1.0),), facts())
    require_answerable((Budget(name="max_drop", limit=1.0),), facts(metric_is_fraction=False))
    require_answerable((Budget(name="max_drop", limit=1.0),), facts(fp32_metric=0.0))
