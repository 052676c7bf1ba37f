"""The largest learning rate is taken that does not tear a network apart."""

import math
from itertools import pairwise
from typing import Any, cast

import numpy as np
import pytest

from compress.recovery.learning_rate import RATES, TOLERATED, UNTRIED, share_of_peak, try_rates
from compress.recovery.lessons import Lesson, Lessons

LESSONS = Lessons.of([{"x": np.zeros((20, 1), np.float32)}])


class _Bowl:
    """A training whose loss after a step is told by the rate alone."""

    def __init__(self, losses: dict[float, float]) -> None:
        self._losses = losses
        self.begun: list[Any] = []
        self.rates: list[float] = []

    def begin_with(self, weights: Any) -> None:
        self.begun.append(weights)

    def step(self, lesson: Lesson, number: int, rate: float) -> tuple[float, None]:
        self.rates.append(rate)
        return self._losses[min(self._losses, key=lambda peak: math.inf if peak < rate - 1e-12 else peak)], None


def _tried(losses: dict[float, float], steps: int, *, most_steps: int = 1000) -> tuple[float, _Bowl, list[float]]:
    bowl, heard = _Bowl(losses), list[float]()
    rate = try_rates(
        cast(Any, bowl),
        {},
        LESSONS,
        batch_size=4,
        seed=0,
        steps=steps,
        told=heard.append,
        is_late=lambda: len(heard) >= most_steps,
    )
    return rate, bowl, heard


@pytest.mark.parametrize(
    ("losses", "wanted", "trials"),
    [
        ([1.0, 1.0, 1.0], RATES[0], 3),
        ([TOLERATED, 1.0, 1.2], RATES[0], 3),
        ([1.2 * TOLERATED, TOLERATED, 1.0], RATES[1], 3),  # hardly worse than the next smaller one, but than the least
        ([2.0, 1.0, 0.9], RATES[1], 3),
        ([1.0, 2.0, 1.0], RATES[2], 2),
        ([math.nan, 1.0, 1.0], RATES[1], 3),
        ([1.0, math.inf, math.inf], RATES[2], 1),
    ],
)
def test_the_largest_that_comes_near_the_least_before_it(losses: list[float], wanted: float, trials: int) -> None:
    rate, bowl, heard = _tried(dict(zip(RATES, losses, strict=True)), 1500)
    assert rate == wanted
    assert len(heard) == len(bowl.rates) == 24 * trials
    assert len(bowl.begun) == trials + 1, "each trial begins anew, and so does what follows"


@pytest.mark.parametrize(("steps", "tried"), [(10, 8), (282, 17), (5000, 24)])
def test_a_sixteenth_of_the_steps_is_tried(steps: int, tried: int) -> None:
    """More than there are batches, if need be."""
    _, bowl, _ = _tried(dict.fromkeys(RATES, 1.0), steps)
    assert len(bowl.rates) == len(RATES) * tried


@pytest.mark.parametrize("most_steps", [1, 30])
def test_without_time_to_try_it_is_the_middle_one(most_steps: int) -> None:
    rate, bowl, heard = _tried(dict.fromkeys(RATES, 1.0), 1500, most_steps=most_steps)
    assert rate == UNTRIED
    assert len(heard) == most_steps
    assert len(bowl.begun) == most_steps // 24 + 2


def test_the_rate_climbs_and_falls() -> None:
    shares = [share_of_peak(progress) for progress in np.linspace(0, 1, 101)]
    assert shares[0] < 0.05
    assert max(shares) == pytest.approx(1.0, abs=0.01)
    assert shares.index(max(shares)) == 5
    assert all(later < earlier for earlier, later in pairwise(shares[5:]))
    assert shares[-1] == pytest.approx(0.01)
