"""One matrix for rows and for tables: what a model predicts is what the solver minimizes."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from search.layers.effects import Effect
from search.layers.graph import LayerGraph
from search.samplers.frontier.design import build_design
from search.samplers.frontier.priors import Priors
from search.samplers.frontier.variables import Variables, lay_out
from search.space.space import Knob, SearchSpace

LAYERS = ("a", "b", "c")
SPACE = SearchSpace(
    layers=LAYERS,
    knobs=(
        Knob(name="bits/a", layers=("a",), choices=("fp32", "fp16", "int8")),
        Knob(name="sparsity/a", layers=("a", "b"), choices=(0.0, 0.25, 0.5, "2:4")),
        Knob(name="bits/b", layers=("b",), choices=("fp32", "int8")),
        Knob(name="rank/b", layers=("b",), choices=(1.0, 0.5)),
        Knob(name="bits/c", layers=("c",), choices=("fp32", "int8")),
    ),
)
GRAPH = LayerGraph(macs={"a": 600, "b": 300, "c": 100}, neighbours=(("a", "b"), ("b", "c"), ("a", "c")))


@pytest.fixture(scope="module")
def variables() -> Variables:
    return lay_out(SPACE, GRAPH)


def test_edges_join_neighbours_formats_and_a_layer_s_own_knobs(variables: Variables) -> None:
    found = {
        (edge.kind, SPACE.knobs[edge.first].name, SPACE.knobs[edge.second].name): edge.share for edge in variables.edges
    }
    assert found == {
        ("transition", "bits/a", "bits/b"): 0.0,
        ("transition", "bits/b", "bits/c"): 0.0,
        ("transition", "bits/a", "bits/c"): 0.0,
        ("joint", "bits/a", "sparsity/a"): 0.6,
        ("joint", "bits/b", "sparsity/a"): 0.3,
        ("joint", "bits/b", "rank/b"): 0.3,
    }
    assert variables.shares == pytest.approx((0.6, 0.9, 0.3, 0.3, 0.1))


@pytest.mark.parametrize("kind", ["cost", "constraint"])
def test_rows_and_tables_say_the_same(variables: Variables, kind: Literal["cost", "constraint"]) -> None:
    design = build_design(variables, Priors(kind=kind))
    rng = np.random.default_rng(0)
    weights = np.abs(rng.normal(size=len(design.mean)))  # tables of transitions are never negative
    choices = rng.integers(0, variables.sizes, (40, len(variables.knobs)))
    np.testing.assert_allclose(design.rows(choices) @ weights, design.energy(weights).values(choices))


def test_nothing_done_is_the_constant(variables: Variables) -> None:
    nothing = np.zeros((1, len(variables.knobs)), np.int64)
    for kind, constant in (("cost", 1.0), ("damage", 0.0)):
        design = build_design(variables, Priors(kind=kind))  # type: ignore[arg-type]
        assert design.rows(nothing) @ design.mean == pytest.approx([constant])


def test_what_is_sampled_of_damage_and_of_conversions_is_never_negative(variables: Variables) -> None:
    for kind in ("cost", "damage"):
        design = build_design(variables, Priors(kind=kind))  # type: ignore[arg-type]
        energy = design.energy(-np.ones(len(design.mean)))
        transitions = [at for at, scope in enumerate(energy.layout.scopes) if len(scope) == 2][:3]
        for at in transitions if kind == "cost" else range(len(SPACE.knobs)):
            assert (energy.table[energy.layout.offsets[at] : energy.layout.offsets[at + 1]] >= 0).all()


def test_int8_everywhere_is_believed_faster_than_fp16_and_more_harmful(variables: Variables) -> None:
    uniform = np.stack([variables.encode(start.params) for start in SPACE.starts()][:3])
    cost, damage = (build_design(variables, Priors(kind=kind)) for kind in ("cost", "damage"))
    fp32, fp16, int8 = cost.rows(uniform) @ cost.mean
    assert int8 < fp16 < fp32
    lost = damage.rows(uniform) @ damage.mean
    assert lost[0] < lost[1] < lost[2]


def test_known_effects_replace_beliefs(variables: Variables) -> None:
    effects = {("bits/a", "int8"): Effect(mean=0.25, deviation=0.01)}
    design = build_design(variables, Priors(kind="damage", effects=effects))
    choices = np.zeros((1, len(variables.knobs)), np.int64)
    choices[0, 0] = 2
    assert design.rows(choices) @ design.mean == pytest.approx([0.25])


def test_parameters_and_positions_are_the_same_thing(variables: Variables) -> None:
    for position in range(0, SPACE.size, 7):
        params = SPACE.params(position)
        choices = variables.encode(params)
        assert choices is not None
        assert variables.decode(choices) == params
    assert variables.encode({"bits/a": "fp32"}) is None
    assert variables.encode({**SPACE.params(0), "bits/a": "int4"}) is None
