"""What a session is asked to recover, and how long it has."""

from __future__ import annotations

from typing import Any

import pytest

from search.errors import SearchError
from search.recovery.plan import DEFAULT_SECONDS, RecoveryPlan, plan_of


def test_off_is_no_plan_and_front_is_one() -> None:
    assert plan_of("off", 3, None, 0) is None
    assert plan_of("front", 5, 60.0, 7) == RecoveryPlan(epochs=5, time_s=60.0, seed=7)
    assert plan_of("search", 5, 60.0, 7, search_epochs=2) == RecoveryPlan(
        epochs=5, search_epochs=2, time_s=60.0, seed=7
    )


def test_it_has_what_it_is_given_else_a_share_of_the_sessions_time() -> None:
    assert RecoveryPlan(time_s=60.0).seconds_of(600.0) == 60.0
    assert RecoveryPlan(time_s=60.0).seconds_of(None) == 60.0
    assert RecoveryPlan().seconds_of(600.0) == pytest.approx(200.0)
    assert RecoveryPlan().seconds_of(None) == DEFAULT_SECONDS


def test_it_leaves_time_to_search() -> None:
    with pytest.raises(SearchError, match="recover_time_s must leave time to search: got 60 of 60 seconds"):
        RecoveryPlan(time_s=60.0).seconds_of(60.0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("all", 3, None, 0), "recover takes one of off, front, search, got 'all'"),
        (("search", 3, None, 0, 0), "recover_search_epochs must be at least 1, got 0"),
        (("front", 3, None, 0, 1, "tpu"), "recover_device must be 'cpu', 'cuda' or 'cuda:' and a number, got 'tpu'"),
        (("front", 0, None, 0), "recover_epochs must be at least 1, got 0"),
        (("off", 3, -1.0, 0), "recover_time_s must be above 0 seconds, got -1"),
        (("front", 3, float("nan"), 0), "recover_time_s must be above 0 seconds, got nan"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: Any, said: str) -> None:
    with pytest.raises(SearchError, match=said):
        plan_of(*arguments[:4], **dict(zip(("search_epochs", "device"), arguments[4:], strict=False)))


def test_the_run_records_what_was_asked() -> None:
    assert RecoveryPlan(time_s=9.0).to_config() == {
        "recover": "front", "recover_epochs": 3, "recover_seed": 0, "recover_time_s": 9.0,
    }  # fmt: skip
    assert "recover_time_s" not in RecoveryPlan().to_config()
    assert "recover_device" not in RecoveryPlan().to_config()
    assert RecoveryPlan(device="cuda:1").to_config()["recover_device"] == "cuda:1"
    assert RecoveryPlan(search_epochs=2).to_config() == {
        "recover": "search", "recover_epochs": 3, "recover_search_epochs": 2, "recover_seed": 0,
    }  # fmt: skip
