"""What may be spent before the first trial."""

from __future__ import annotations

import datetime as dt
import math

import optuna
import pytest

from latency import SEARCH
from search.outlook import Budget
from search.sweep.limit import limit_s

MEASUREMENT_S = 4 * SEARCH.seconds_per_process


def limit(done: list[optuna.trial.FrozenTrial] | None = None, **budget: float | int) -> float:
    return limit_s(Budget(**budget), done or [], validation_s=3.0, clock=lambda: 100.0)


def finished(seconds: float) -> optuna.trial.FrozenTrial:
    start = dt.datetime(2026, 1, 1)  # noqa: DTZ001  # as Optuna has them
    trial = optuna.trial.create_trial(values=[1.0, 1.0])
    trial.datetime_start, trial.datetime_complete = start, start + dt.timedelta(seconds=seconds)
    return trial


def test_a_tenth_of_the_time() -> None:
    assert limit(deadline_s=700.0) == pytest.approx(60.0)


def test_nothing_when_the_deadline_has_passed() -> None:
    assert limit(deadline_s=90.0) == 0.0


@pytest.mark.parametrize(("trials", "granted"), [(300, 60), (30, 10), (4, 4)])
def test_a_fifth_of_the_trials_but_ten_where_there_are_as_many(trials: int, granted: int) -> None:
    assert limit(trials=trials) == pytest.approx(granted * (3.0 + MEASUREMENT_S))


def test_finished_trials_say_how_long_one_takes() -> None:
    assert limit([finished(1.0), finished(2.0), finished(30.0)], trials=303) == pytest.approx(60 * 2.0)


def test_nothing_when_all_trials_are_done() -> None:
    assert limit([finished(1.0)], trials=1) == 0.0


def test_both_limits_hold() -> None:
    assert limit(trials=300, deadline_s=110.0) == pytest.approx(1.0)
    assert limit(trials=4, deadline_s=1e6) == pytest.approx(4 * (3.0 + MEASUREMENT_S))


def test_a_search_without_an_end_may_take_its_time() -> None:
    assert limit() == math.inf
