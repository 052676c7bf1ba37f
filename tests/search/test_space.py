"""What the space offers, and the laws of its enumeration."""

from __future__ import annotations

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.layers import Layer
from search.space import Knob, SearchSpace, build_space, summarize


def layer(name: str, shape: tuple[int, ...]) -> Layer:
    return Layer(
        name=name, node_name=name, op_type="MatMul", weight_name=f"{name}.weight", weight_shape=shape, output_axis=1,
        groups=1, macs=1,
    )  # fmt: skip


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    sizes = st.integers(1, 96)
    layers = [layer(f"l{index}", (draw(sizes), draw(sizes))) for index in range(draw(st.integers(0, 4)))]
    bits = draw(st.sets(st.sampled_from([32, 16, 8, 4])))
    return build_space(layers, weight_bits=bits, rank_multiple=draw(st.sampled_from([1, 16])))


@given(spaces(), st.data())
def test_parameters_and_policies_correspond_one_to_one(space: SearchSpace, data: st.DataObject) -> None:
    positions = data.draw(st.lists(st.integers(0, space.size - 1), max_size=5))
    policies = [space.policy(space.params(position)) for position in positions]
    assert len({policy.digest for policy in policies}) == len(set(positions))
    for policy, position in zip(policies, positions, strict=True):
        trial = optuna.trial.FixedTrial(space.params(position))
        assert space.suggest(trial) == policy
        assert set(policy.layers) == set(space.layers)


@given(spaces())
def test_starts_are_unique_policies_of_the_space_and_begin_with_fp32(space: SearchSpace) -> None:
    starts = space.starts()
    assert starts[0].label == "FP32"
    assert space.policy(starts[0].params) == space.policy({})
    assert len({space.policy(start.params).digest for start in starts}) == len(starts)
    for start in starts:
        assert set(start.params) == {knob.name for knob in space.knobs}
        assert all(start.params[knob.name] in knob.choices for knob in space.knobs)


@given(spaces())
def test_the_first_choice_of_every_knob_leaves_its_layer_alone(space: SearchSpace) -> None:
    assert space.policy(space.params(0)) == space.policy({})
    assert all(len(set(knob.choices)) == len(knob.choices) > 1 for knob in space.knobs)


def test_a_space_is_what_the_layers_have_crossed_with_what_pays() -> None:
    space = build_space([layer("wide", (64, 64)), layer("thin", (64, 4))], weight_bits=(32, 8), rank_multiple=16)
    assert [knob.name for knob in space.knobs] == ["bits/wide", "rank/wide", "bits/thin"]
    assert space.knobs[0] == Knob(name="bits/wide", layer="wide", choices=(32.0, 8.0))
    assert [start.label for start in space.starts()][:2] == ["FP32", "all 8-bit"]


@pytest.mark.parametrize("bits", [(32,), (), (16, 4)])
def test_without_bits_that_pay_and_can_be_built_there_is_one_policy(bits: tuple[int, ...]) -> None:
    space = build_space([layer("thin", (64, 4))], weight_bits=bits, rank_multiple=16)
    assert (space.size, space.knobs) == (1, ())
    assert [start.label for start in space.starts()] == ["FP32"]


def test_a_policy_in_a_few_words() -> None:
    space = build_space([layer(name, (64, 64)) for name in "abc"], weight_bits=(32, 8), rank_multiple=1)
    assert summarize(space.policy({})) == "FP32"
    mixed = {"bits/a": 8.0, "bits/b": 8.0, "rank/b": 0.25}
    assert summarize(space.policy(mixed)) == "2 of 3 layers 8-bit, 1 at rank 0.25"
