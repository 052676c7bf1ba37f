"""The cheaper comes first."""

from __future__ import annotations

import pytest

from search.trial.pace import Pace


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(clock=clock)


def validate(pace: Pace, clock: Clock, samples: int, seconds: float) -> None:
    with pace.validating(samples):
        clock.now += seconds


def measure(pace: Pace, clock: Clock, seconds: float) -> None:
    with pace.measuring():
        clock.now += seconds


def test_medians_decide_and_one_outlier_does_not(pace: Pace, clock: Clock) -> None:
    for seconds in (1.0, 1.0, 60.0):
        measure(pace, clock, seconds)
    for samples in (10, 100):
        validate(pace, clock, samples, 0.01 * samples)
    assert not pace.is_measuring_cheaper(99)
    assert pace.is_measuring_cheaper(101)


def test_what_is_unknown_is_not_believed_to_be_cheap(pace: Pace, clock: Clock) -> None:
    assert not pace.is_measuring_cheaper(10**9)
    measure(pace, clock, 1.0)
    assert not pace.is_measuring_cheaper(10**9)
    validate(pace, clock, 1, 1.0)
    assert pace.is_measuring_cheaper(2)


def test_it_follows_a_machine_that_becomes_slow(pace: Pace, clock: Clock) -> None:
    measure(pace, clock, 1.0)
    for _ in range(20):
        validate(pace, clock, 1, 0.001)
    assert not pace.is_measuring_cheaper(100)
    for _ in range(20):
        validate(pace, clock, 1, 0.1)
    assert pace.is_measuring_cheaper(100)


def test_what_fails_is_not_counted(pace: Pace, clock: Clock) -> None:
    validate(pace, clock, 1, 1.0)
    with pytest.raises(RuntimeError), pace.measuring():
        raise RuntimeError
    assert not pace.is_measuring_cheaper(10**9)
