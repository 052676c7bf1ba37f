"""The clock of a search stands still while nobody searches."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.account.active_time import ActiveTime

START = datetime(2026, 11, 20, 21, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_one_session_runs_from_its_start() -> None:
    clock = ActiveTime.of([(at(10), at(20)), (at(20), at(35))], [at(0)])
    assert [clock.seconds_at(at(moment)) for moment in (0, 20, 35)] == [0, 20, 35]


def test_the_night_between_two_sessions_does_not_count() -> None:
    clock = ActiveTime.of([(at(10), at(20)), (at(1010), at(1020))], [at(0), at(1000)])
    assert clock.seconds_at(at(20)) == 20
    assert clock.seconds_at(at(500)) == 20
    assert clock.seconds_at(at(1020)) == 40


def test_sessions_that_finished_nothing_are_part_of_the_pause() -> None:
    clock = ActiveTime.of([(at(0), at(20)), (at(1010), at(1020))], [at(0), at(500), at(1000)])
    assert clock.seconds_at(at(1020)) == 40


def test_a_worker_that_joins_while_another_is_at_a_trial_ends_no_pause() -> None:
    clock = ActiveTime.of([(at(0), at(100)), (at(60), at(110))], [at(0), at(50)])
    assert clock.pauses == ()
    assert clock.seconds_at(at(110)) == 110


def test_sessions_that_nobody_wrote_down_leave_the_trials_alone() -> None:
    assert ActiveTime.of([(at(5), at(20))], []).seconds_at(at(20)) == 15


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(1, 50)), min_size=1), st.lists(st.integers(0, 500)))
def test_it_never_runs_backwards_nor_faster_than_time(spans: list[tuple[int, int]], starts: list[int]) -> None:
    trials = [(at(begin), at(begin + length)) for begin, length in spans]
    clock = ActiveTime.of(trials, [at(start) for start in starts])
    moments = sorted(end for _, end in trials)
    shown = [clock.seconds_at(moment) for moment in moments]
    assert shown[0] >= 0
    for (before, after), (low, high) in zip(itertools.pairwise(moments), itertools.pairwise(shown), strict=True):
        assert 0 <= high - low <= (after - before).total_seconds()
    # Not a second of any trial is lost.
    covered = {second for begin, length in spans for second in range(begin, begin + length)}
    assert shown[-1] >= len(covered) - 1e-9 or shown[-1] == pytest.approx(len(covered))
