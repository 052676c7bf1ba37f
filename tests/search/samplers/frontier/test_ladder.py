"""What is best at each of a few costs."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from search.samplers.frontier.elimination_plan import plan_elimination
from search.samplers.frontier.energy import Energy, Layout
from search.samplers.frontier.ladder import climb
from search.samplers.frontier.neighbourhood import key
from search.samplers.frontier.proposal import Drawn

from .energies import all_assignments, layouts


def positive(rng: np.random.Generator, layout: Layout) -> Energy:
    return Energy(layout=layout, constant=0.1, table=rng.random(layout.offsets[-1]))


@given(layouts(), st.integers(1, 6), st.booleans())
def test_each_rung_is_a_policy_of_its_own_and_none_was_given_up(
    drawn: tuple[Layout, np.random.Generator], rungs: int, has_given_up: bool
) -> None:
    layout, rng = drawn
    expected = Drawn(cost=positive(rng, layout), damage=positive(rng, layout))
    plan = plan_elimination(layout)
    every = all_assignments(layout.sizes)
    given_up = {key(x) for x in every[rng.random(len(every)) < 0.5]} if has_given_up else set()
    found = climb(expected, plan, rungs, given_up)
    names = [key(x) for x in found]
    assert len(found) <= rungs
    assert len(set(names)) == len(names)
    assert not given_up & set(names)


@given(layouts())
def test_the_lowest_rung_is_the_cheapest_of_all_and_none_is_cheaper_and_gentler(
    drawn: tuple[Layout, np.random.Generator],
) -> None:
    layout, rng = drawn
    expected = Drawn(cost=positive(rng, layout), damage=positive(rng, layout))
    found = climb(expected, plan_elimination(layout), 4, set())
    costs, damages = expected.cost.values(found), expected.damage.values(found)
    assert costs[0] <= expected.cost.values(all_assignments(layout.sizes)).min() + 1e-9
    order = np.argsort(costs)
    assert all(damages[order][1:] <= damages[order][:-1] + 1e-9)


@given(layouts())
def test_no_rung_breaks_a_constraint_that_something_keeps(drawn: tuple[Layout, np.random.Generator]) -> None:
    layout, rng = drawn
    cost, damage, limit = (positive(rng, layout) for _ in range(3))
    every = all_assignments(layout.sizes)
    bound = Energy(layout=layout, constant=limit.constant - float(np.median(limit.values(every))), table=limit.table)
    expected = Drawn(cost=cost, damage=damage, constraints=(bound,))
    found = climb(expected, plan_elimination(layout), 6, set())
    cheapest, gentlest = (every[energy.values(every).argmin()] for energy in (cost, damage))
    if (bound.values(np.stack([cheapest, gentlest])) <= 0).any():
        assert (bound.values(found) <= 1e-9).all()
