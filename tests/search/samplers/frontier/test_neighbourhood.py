"""Budgets between the corners of the hull, and policies that were not tried."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.samplers.frontier.elimination import minimize
from search.samplers.frontier.elimination_plan import plan_elimination
from search.samplers.frontier.energy import Choices, Energy, Layout
from search.samplers.frontier.neighbourhood import Neighbours, fill_budget, key, nearest_unseen

from .energies import all_assignments, chain, layouts, random_energy

Drawn = tuple[Layout, np.random.Generator]


def hull(cost: Energy, damage: Energy) -> Choices:
    weights = np.stack([np.ones(24), np.geomspace(1e-3, 1e3, 24)], axis=1)
    return minimize(plan_elimination(cost.layout), [cost, damage], weights)


def brackets(cost: Energy, corners: Choices, budget: float) -> Choices:
    """The dearest corner within the budget and the cheapest beyond it."""
    costs = cost.values(corners)
    order = np.argsort(costs)
    at = int(np.searchsorted(costs[order], budget))
    return corners[order[max(0, at - 1) : at + 1]]


@settings(deadline=None)
@given(layouts(), st.floats(0.0, 1.0))
def test_it_keeps_the_budget_and_is_no_worse_than_the_hull(drawn: Drawn, where: float) -> None:
    layout, rng = drawn
    cost, damage = random_energy(rng, layout), random_energy(rng, layout)
    corners = hull(cost, damage)
    costs = cost.values(corners)
    budget = float(costs.min() + where * (costs.max() - costs.min()))
    found = fill_budget(cost, damage, budget, brackets(cost, corners, budget))
    assert found is not None
    assert cost.values(found[None])[0] <= budget + 1e-9
    assert damage.values(found[None])[0] <= damage.values(corners[costs <= budget]).min() + 1e-9


def test_most_budgets_are_filled_as_well_as_by_trying_everything() -> None:
    rng = np.random.default_rng(0)
    layout = chain([4] * 7, [(0, 3), (3, 6)])
    everything = all_assignments(layout.sizes)
    optimal, excess = 0, []
    for _ in range(60):
        cost, damage = random_energy(rng, layout), random_energy(rng, layout)
        corners = hull(cost, damage)
        costs = cost.values(corners)
        budget = float(rng.uniform(costs.min(), costs.max()))
        found = fill_budget(cost, damage, budget, brackets(cost, corners, budget))
        assert found is not None
        damages = damage.values(everything)
        best = damages[cost.values(everything) <= budget].min()
        gap = (damage.values(found[None])[0] - best) / (damages.max() - damages.min())
        optimal += gap < 1e-9
        excess.append(gap)
    assert optimal >= 30
    assert np.mean(excess) < 0.02


def test_a_budget_below_all_has_no_answer() -> None:
    energy = random_energy(np.random.default_rng(0), chain([2, 2]))
    assert fill_budget(energy, energy, -1e6, np.zeros((1, 2), np.int64)) is None


@settings(deadline=None)
@given(layouts(4), st.integers(0, 40))
def test_what_is_near_is_new_and_everything_is_reached(drawn: Drawn, steps: int) -> None:
    layout, rng = drawn
    energy = random_energy(rng, layout)
    start = minimize(plan_elimination(layout), [energy], np.ones((1, 1)))[0]
    seen: set[bytes] = set()
    for _ in range(min(steps, int(np.prod(layout.sizes)))):
        found = nearest_unseen(energy, start, seen)
        assert found is not None
        assert key(found) not in seen
        assert (found < layout.sizes).all()
        seen.add(key(found))
    if len(seen) == np.prod(layout.sizes):
        assert nearest_unseen(energy, start, seen) is None


def test_of_single_changes_the_cheapest_comes_first() -> None:
    layout = Layout(sizes=np.array([3, 2]), scopes=((0,), (1,)))
    energy = Energy(layout=layout, constant=0.0, table=np.array([0.0, 5.0, 1.0, 0.0, 3.0]))
    seen = {key(np.array([0, 0]))}
    found = []
    for _ in range(3):
        x = nearest_unseen(energy, np.array([0, 0]), seen)
        assert x is not None
        seen.add(key(x))
        found.append(x.tolist())
    assert found == [[2, 0], [0, 1], [2, 1]]
    assert energy.values(np.array(found)) == pytest.approx([1.0, 3.0, 4.0])


@settings(deadline=None)
@given(layouts())
def test_neighbours_are_all_that_differs_in_one_variable_and_what_their_sums_are(drawn: Drawn) -> None:
    layout, rng = drawn
    energies = [random_energy(rng, layout) for _ in range(2)]
    everything = all_assignments(layout.sizes)
    bases = everything[rng.permutation(len(everything))[:3]]
    near = Neighbours.of(energies, bases)
    there = np.flatnonzero(np.isfinite(near.values[0]))
    found = np.array([near.choices(int(position)) for position in there])
    for energy, values in zip(energies, near.values, strict=True):
        assert values[there] == pytest.approx(energy.values(found))
    differing = [int((everything != base).sum(axis=1).tolist().count(1)) for base in bases]
    assert len({key(x) for x in found} | {key(x) for x in bases}) <= sum(differing) + len(bases)
    for base, count in zip(bases, differing, strict=True):
        beside = [x for x in found if (x != base).sum() == 1]
        assert len({key(x) for x in beside}) == count
