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
    assert WonBack.seen_in([]).at(0.1) == ASSUMED
    lossless = point(1, 0.3, 0.0)
    assert WonBack.seen_in([(lossless, lossless)]).at(0.1) == ASSUMED


def test_between_two_trainings_lies_what_they_won() -> None:
    won = WonBack.seen_in([(point(1, 0.01, 0.6), point(1, 0.01, 0.45)), (point(2, 0.16, 0.2), point(2, 0.16, 0.1))])
    assert won.at(0.04) == pytest.approx((0.25 + 0.5) / 2), "half way in the logarithm of the cost"
    assert won.at(0.005) == pytest.approx(0.25)
    assert won.at(0.4) == pytest.approx((0.5 + ASSUMED) / 2), "nothing is known of what is dearer"
    assert won.at(1.0) == ASSUMED


def test_a_drop_of_many_points_tells_more_than_one_of_a_few() -> None:
    large, small = point(1, 0.05, 0.9), point(2, 0.1, 0.001)
    won = WonBack.seen_in([(large, point(1, 0.05, 0.009)), (small, point(2, 0.1, 0.001))])
    assert won.at(0.1) == pytest.approx(0.99, abs=0.002)


@given(trainings)
def test_more_of_a_network_never_wins_back_less(found: list[tuple[int, int, int]]) -> None:
    pairs = [(point(1, cost / 100, before / 100), point(1, cost / 100, after / 100)) for cost, before, after in found]
    won = WonBack.seen_in(pairs)
    shares = [won.at(cost / 200) for cost in range(1, 200)]
    assert all(0.0 <= share <= 1.0 for share in shares)
    assert all(low <= high + 1e-9 for low, high in pairwise(shares))
