"""What a policy is expected to add: the hypervolume that it adds, averaged over what its metric may be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.pareto import front, hypervolume
from search.samplers.frontier.gain import expected_gains

REFERENCE = (1.05, 0.1)

pairs = st.lists(st.tuples(st.floats(0, 1.2), st.floats(-0.2, 1)), max_size=20)


def added(points: list[tuple[float, float]], pair: tuple[float, float]) -> float:
    mine = [points[position] for position in front(points)]
    return hypervolume([*mine, pair], REFERENCE) - hypervolume(mine, REFERENCE)


@settings(deadline=None)
@given(pairs, pairs)
def test_what_is_certain_adds_its_hypervolume(
    points: list[tuple[float, float]], policies: list[tuple[float, float]]
) -> None:
    costs, metrics = np.array(policies, float).reshape(-1, 2).T
    found = expected_gains(points, REFERENCE, costs, metrics, np.zeros(len(policies)))
    assert found == pytest.approx([added(points, pair) for pair in policies], abs=1e-9)


@pytest.mark.parametrize(("cost", "metric"), [(0.3, 0.5), (0.45, 0.62), (0.9, 0.2), (0.1, 0.0)])
def test_what_is_uncertain_adds_what_it_adds_on_average(cost: float, metric: float) -> None:
    points, rng = [(0.2, 0.4), (0.4, 0.6), (0.7, 0.8)], np.random.default_rng(0)
    drawn = rng.normal(metric, 0.1, 4000)
    average = np.mean([added(points, (cost, float(each))) for each in drawn])
    found = expected_gains(points, REFERENCE, np.array([cost]), np.array([metric]), np.array([0.1]))
    assert found[0] == pytest.approx(average, rel=0.1, abs=2e-4)


def test_of_two_behind_the_front_the_one_that_is_nearer_counts_more() -> None:
    points, spreads = [(0.4, 0.6)], np.full(3, 0.01)
    found = expected_gains(points, REFERENCE, np.full(3, 0.5), np.array([0.6, 0.59, 0.3]), spreads)
    assert found[0] > found[1] > found[2] >= 0.0


def test_what_has_no_finite_cost_adds_nothing() -> None:
    found = expected_gains([(0.4, 0.6)], REFERENCE, np.array([np.inf, np.nan]), np.ones(2), np.full(2, 0.1))
    assert found.tolist() == [0.0, 0.0]
