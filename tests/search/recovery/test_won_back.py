"""What share of a drop comes back, by the trainings of a run."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.recovery.won_back import ASSUMED, WonBack

from .points import point

trainings = st.lists(st.tuples(st.integers(1, 100), st.integers(1, 90), st.integers(-5, 99)), min_size=1, max_size=12)


def test_nothing_trained_is_nothing_known() -> None:
    lossless = point(1, 0.3, 0.0)
    for won in (WonBack.seen_in([], 0.02), WonBack.seen_in([(lossless, lossless)], 0.02)):
        assert won.share(0.1) == ASSUMED
        assert [won.chance(cost) for cost in (0.01, 0.1, 1.0)] == pytest.approx([0.0, 0.5, 1.0])


def test_between_two_trainings_lies_what_they_won() -> None:
    pairs = [(point(1, 0.01, 0.6), point(1, 0.01, 0.24)), (point(2, 0.16, 0.2), point(2, 0.16, 0.04))]
    won = WonBack.seen_in(pairs, 0.01)
    assert won.share(0.04) == pytest.approx((0.6 + 0.8) / 2), "half way in the logarithm of the cost"
    assert won.share(0.005) == pytest.approx(0.6)
    assert won.share(0.4) == pytest.approx((0.8 + ASSUMED) / 2), "nothing is known of what is dearer"
    assert won.share(1.0) == ASSUMED


def test_each_training_halves_where_the_least_size_that_learns_may_lie() -> None:
    failed, came_back = (point(1, 0.01, 0.6), point(1, 0.01, 0.5)), (point(2, 0.16, 0.2), point(2, 0.16, 0.01))
    won = WonBack.seen_in([failed, came_back], 0.01)
    assert [won.chance(cost) for cost in (0.005, 0.01, 0.04, 0.16, 0.5)] == pytest.approx([0.0, 0.0, 0.5, 1.0, 1.0])
    assert won.share(0.04) == pytest.approx(0.95), "what failed says nothing of those that do not"
    assert WonBack.seen_in([failed], 0.01).chance(0.1) == pytest.approx(0.5)


def test_what_had_lost_little_says_nothing_of_the_least_size() -> None:
    light = point(1, 0.3, 0.005)
    assert WonBack.seen_in([(light, light)], 0.02).chance(0.1) == pytest.approx(0.5)


def test_a_drop_of_many_points_tells_more_than_one_of_a_few() -> None:
    large, small = point(1, 0.05, 0.9), point(2, 0.1, 0.001)
    won = WonBack.seen_in([(large, point(1, 0.05, 0.009)), (small, point(2, 0.1, 0.001))], 0.05)
    assert won.share(0.1) == pytest.approx(0.99, abs=0.002)
    assert won.chance(0.05) == 1.0


@given(trainings)
def test_more_of_a_network_never_wins_back_less(found: list[tuple[int, int, int]]) -> None:
    pairs = [(point(1, cost / 100, before / 100), point(1, cost / 100, after / 100)) for cost, before, after in found]
    won = WonBack.seen_in(pairs, min(cost for cost, _, _ in found) / 100)
    for figure in (won.share, won.chance):
        figures = [figure(cost / 200) for cost in range(1, 200)]
        assert all(0.0 <= value <= 1.0 for value in figures)
        assert all(low <= high + 1e-9 for low, high in pairwise(figures))
