"""The solver finds what trying everything finds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.samplers.frontier.elimination import minimize, plan_elimination
from search.samplers.frontier.energy import Choices, Energy

from .energies import all_assignments, graphs, random_energy


@settings(deadline=None)
@given(graphs())
def test_the_minimum_of_every_weighting_is_the_least_of_all_assignments(
    graph: tuple[Choices, Choices, np.random.Generator],
) -> None:
    sizes, edges, rng = graph
    energies = [random_energy(rng, sizes, edges) for _ in range(2)]
    weights = np.array([[1.0, 0.0], [0.3, 2.0], [1.0, 1.0]])
    plan = plan_elimination(sizes, edges)
    assert plan.is_exact
    everything = all_assignments(sizes)
    for found, scales in zip(minimize(plan, energies, weights), weights, strict=True):
        energy = Energy.weighted(energies, scales)
        assert energy.values(found[None])[0] == pytest.approx(energy.values(everything).min())


@settings(deadline=None)
@given(graphs(), st.integers(16, 30))
def test_beyond_the_bound_no_single_change_improves_on_what_it_finds(
    graph: tuple[Choices, Choices, np.random.Generator], table_limit: int
) -> None:
    sizes, edges, rng = graph
    energy = random_energy(rng, sizes, edges)
    plan = plan_elimination(sizes, edges, table_limit=table_limit)
    found = minimize(plan, [energy], np.ones((1, 1)))[0]
    assert energy.changes(found).min() >= -1e-9
    around = [{u if v == step.variable else v for u, v in edges if step.variable in (u, v)} for step in plan.steps]
    assert len(plan.steps) == len(sizes) == len(around)
    for step in plan.steps:
        assert math.prod(int(sizes[v]) for v in (step.variable, *step.neighbours)) <= table_limit


def test_the_weakest_edges_are_dropped_first() -> None:
    sizes = np.full(4, 4, np.int64)
    edges = np.array([(u, v) for u in range(4) for v in range(u + 1, 4)], np.int64)
    strengths = [1.0, 5.0, 6.0, 7.0, 8.0, 0.5]
    plan = plan_elimination(sizes, edges, strengths, table_limit=4**3)
    assert plan.dropped == {5}
    assert not plan.is_exact


def test_a_chain_with_skips_of_200_layers_has_small_tables() -> None:
    edges = [(v, v + 1) for v in range(199)] + [(v, v + 3) for v in range(0, 196, 3)]
    plan = plan_elimination(np.full(200, 6, np.int64), np.array(edges, np.int64))
    assert plan.is_exact
    assert max(len(step.neighbours) for step in plan.steps) <= 2


@settings(deadline=None)
@given(graphs())
def test_a_change_adds_what_the_values_differ_by(graph: tuple[Choices, Choices, np.random.Generator]) -> None:
    sizes, edges, rng = graph
    energy = random_energy(rng, sizes, edges)
    x = rng.integers(0, sizes)
    changes = energy.changes(x)
    assert changes.shape == (len(sizes), int(sizes.max()))
    for variable, size in enumerate(sizes):
        assert np.isinf(changes[variable, size:]).all()
        for choice in range(size):
            changed = x.copy()
            changed[variable] = choice
            difference = energy.values(changed[None])[0] - energy.values(x[None])[0]
            assert changes[variable, choice] == pytest.approx(difference, abs=1e-9)
