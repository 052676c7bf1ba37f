"""The solver finds what trying everything finds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.samplers.frontier.elimination import minimize
from search.samplers.frontier.elimination_plan import interplay, plan_elimination
from search.samplers.frontier.energy import Energy, Layout, Walk

from .energies import all_assignments, chain, layouts, random_energy

Drawn = tuple[Layout, np.random.Generator]


@settings(deadline=None)
@given(layouts())
def test_the_minimum_of_every_weighting_is_the_least_of_all_assignments(drawn: Drawn) -> None:
    layout, rng = drawn
    energies = [random_energy(rng, layout) for _ in range(2)]
    weights = np.array([[1.0, 0.0], [0.3, 2.0], [1.0, 1.0]])
    plan = plan_elimination(layout)
    assert plan.is_exact
    everything = all_assignments(layout.sizes)
    for found, scales in zip(minimize(plan, energies, weights), weights, strict=True):
        energy = Energy.weighted(energies, scales)
        assert energy.values(found[None])[0] == pytest.approx(energy.values(everything).min())


def test_sums_too_large_to_be_written_down_have_the_same_minimum() -> None:
    rng, layout = np.random.default_rng(0), chain([4] * 5, [(0, 2), (1, 4)])
    energies = [random_energy(rng, layout) for _ in range(2)]
    weights = rng.exponential(size=(4000, 2))
    found = minimize(plan_elimination(layout), energies, weights)
    everything = all_assignments(layout.sizes)
    all_values = np.stack([energy.values(everything) for energy in energies])
    values = np.stack([energy.values(found) for energy in energies])
    assert (weights * values.T).sum(axis=1) == pytest.approx((weights @ all_values).min(axis=1), abs=1e-4)


@settings(deadline=None)
@given(layouts(), st.integers(4, 30))
def test_beyond_the_bound_no_single_change_improves_on_what_it_finds(drawn: Drawn, table_limit: int) -> None:
    layout, rng = drawn
    energy = random_energy(rng, layout)
    plan = plan_elimination(layout, interplay(energy), table_limit=table_limit)
    found = minimize(plan, [energy], np.ones((1, 1)))[0]
    assert energy.changes(found).min() >= -1e-9
    assert len(plan.steps) == len(layout.sizes)
    for step in plan.steps:
        assert math.prod(int(layout.sizes[v]) for v in (step.variable, *step.neighbours)) <= table_limit


@settings(deadline=None)
@given(layouts(), st.integers(4, 30))
def test_what_adds_up_is_solved_exactly_under_any_bound(drawn: Drawn, table_limit: int) -> None:
    """Of tables that are sums over their variables, nothing is lost when variables are cut from them."""
    layout, rng = drawn
    tables = []
    for shape in layout.shapes:
        parts = [
            rng.normal(size=[size if axis == at else 1 for at, size in enumerate(shape)]) for axis in range(len(shape))
        ]
        tables.append(sum(parts, np.zeros(shape)).ravel())
    energy = Energy(layout=layout, constant=0.0, table=np.concatenate([np.zeros(0), *tables]))
    plan = plan_elimination(layout, interplay(energy), table_limit=table_limit)
    found = minimize(plan, [energy], np.ones((1, 1)))
    assert energy.values(found)[0] == pytest.approx(energy.values(all_assignments(layout.sizes)).min())


def test_the_weakest_interplay_is_cut_first() -> None:
    pairs = [(u, v) for u in range(4) for v in range(u + 1, 4)]
    layout = Layout(sizes=np.full(4, 4, np.int64), scopes=tuple(pairs))
    rng = np.random.default_rng(0)
    scales = np.repeat([1.0, 5.0, 6.0, 7.0, 8.0, 0.5], 16)
    energy = Energy(
        layout=layout, constant=0.0, table=scales * rng.uniform(0.9, 1.0, 96) * np.tile(np.eye(4).ravel(), 6)
    )
    plan = plan_elimination(layout, interplay(energy), table_limit=4**3)
    assert {table for table, _ in plan.cuts} == {5}
    assert not plan.is_exact


def test_a_chain_with_skips_of_200_layers_has_small_tables() -> None:
    plan = plan_elimination(chain([6] * 200, [(v, v + 3) for v in range(0, 196, 3)]))
    assert plan.is_exact
    assert max(len(step.neighbours) for step in plan.steps) <= 2


@settings(deadline=None)
@given(layouts())
def test_a_change_adds_what_the_values_differ_by(drawn: Drawn) -> None:
    layout, rng = drawn
    energy = random_energy(rng, layout)
    x = rng.integers(0, layout.sizes)
    changes = energy.changes(x)
    assert changes.shape == (len(layout.sizes), int(layout.sizes.max()))
    for variable, size in enumerate(layout.sizes):
        assert np.isinf(changes[variable, size:]).all()
        for choice in range(size):
            changed = x.copy()
            changed[variable] = choice
            difference = energy.values(changed[None])[0] - energy.values(x[None])[0]
            assert changes[variable, choice] == pytest.approx(difference, abs=1e-9)


@settings(deadline=None)
@given(layouts())
def test_a_walk_stands_where_its_changes_have_led(drawn: Drawn) -> None:
    layout, rng = drawn
    energy = random_energy(rng, layout)
    walk = Walk(energy, rng.integers(0, layout.sizes))
    for _ in range(6):
        variable = int(rng.integers(len(layout.sizes)))
        walk.change(variable, int(rng.integers(layout.sizes[variable])))
        assert walk.value == pytest.approx(energy.values(walk.choices[None])[0])
        np.testing.assert_allclose(walk.changes(), energy.changes(walk.choices), atol=1e-9)
