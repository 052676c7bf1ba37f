"""What the space offers, and the laws of its enumeration."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.channels.groups import ChannelGroup, Member
from compress.layers import Layer
from compress.policy import FORMATS
from search.space.space import Knob, SearchSpace, build_space, summarize


def layer(name: str, shape: tuple[int, ...], op_type: str = "MatMul") -> Layer:
    return Layer(
        name=name, node_name=name, op_type=op_type, weight_name=f"{name}.weight", weight_shape=shape,
        output_axis=0 if op_type == "Conv" else 1, groups=1, macs=1,
    )  # fmt: skip


def group(*producers: str, units: int = 64) -> ChannelGroup:
    """Layers that write the same channels, one channel per unit."""
    members = tuple(Member(layer=name, unit_of_channel=np.arange(units)) for name in producers)
    return ChannelGroup(name=producers[0], unit_count=units, producers=members, consumers=())


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    sizes = st.integers(1, 96)
    layers = [layer(f"l{index}", (draw(sizes), draw(sizes))) for index in range(draw(st.integers(0, 4)))]
    groups = [group(each.name, units=each.output_channels) for each in layers if draw(st.booleans())]
    return build_space(
        layers,
        groups,
        formats=draw(st.sets(st.sampled_from(list(FORMATS)))),
        patterns=draw(st.sets(st.sampled_from(["channels", "2:4", "unstructured"]))),
        channel_multiple=draw(st.sampled_from([1, 16])),
    )


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
    assert len({start.label for start in starts}) == len(starts)
    for start in starts:
        assert set(start.params) == {knob.name for knob in space.knobs}
        assert all(start.params[knob.name] in knob.choices for knob in space.knobs)


@given(spaces())
def test_the_first_choice_of_every_knob_leaves_its_layers_alone(space: SearchSpace) -> None:
    assert space.policy(space.params(0)) == space.policy({})
    assert all(len(set(knob.choices)) == len(knob.choices) > 1 for knob in space.knobs)


def test_a_space_is_what_the_layers_have_crossed_with_what_pays() -> None:
    layers = [layer("wide", (64, 64)), layer("thin", (64, 4))]
    space = build_space(layers, formats=("int8", "int8-dynamic"), channel_multiple=16)
    assert [knob.name for knob in space.knobs] == ["bits/wide", "rank/wide", "bits/thin"]
    assert space.knobs[0] == Knob(name="bits/wide", layers=("wide",), choices=("fp32", "int8", "int8-dynamic"))
    assert [start.label for start in space.starts()][:3] == ["FP32", "all 8-bit", "all int8-dynamic"]


def test_a_convolution_is_offered_no_format_of_matrix_products() -> None:
    space = build_space([layer("conv", (64, 4, 3, 3), "Conv")], formats=FORMATS, channel_multiple=64)
    assert space.knobs[0].choices == ("fp32", "fp16", "int8")


def test_layers_that_write_the_same_channels_share_one_sparsity() -> None:
    layers = [layer(name, (64, 64)) for name in ("stem", "branch")]
    space = build_space(layers, [group("stem", "branch")], formats=(), patterns=("channels",), channel_multiple=16)
    knob = next(knob for knob in space.knobs if knob.kind == "sparsity")
    assert (knob.name, knob.layers, knob.choices) == ("sparsity/stem", ("stem", "branch"), (0.0, 0.25, 0.5, 0.75))
    policy = space.policy({"sparsity/stem": 0.5})
    assert {policy[name].sparsity for name in ("stem", "branch")} == {0.5}
    assert {policy[name].sparsity_pattern for name in ("stem", "branch")} == {"channels"}


def test_masks_are_settings_of_the_sparsity_knob() -> None:
    space = build_space([layer("a", (64, 64))], formats=(), patterns=("2:4", "unstructured"), channel_multiple=64)
    assert space.knobs[0].choices == (0.0, "2:4", "unstructured 0.5", "unstructured 0.75", "unstructured 0.9")
    choice = space.policy({"sparsity/a": "unstructured 0.9"})["a"]
    assert (choice.sparsity_pattern, choice.sparsity) == ("unstructured", 0.9)


@pytest.mark.parametrize("formats", [("fp32",), ()])
def test_without_anything_that_pays_there_is_one_policy(formats: tuple[str, ...]) -> None:
    space = build_space([layer("thin", (64, 4))], formats=formats, channel_multiple=16)
    assert (space.size, space.knobs) == (1, ())
    assert [start.label for start in space.starts()] == ["FP32"]


def test_a_policy_in_a_few_words() -> None:
    layers = [layer(name, (64, 64)) for name in "abc"]
    space = build_space(layers, [group("c")], formats=("int8",), patterns=("channels",), channel_multiple=1)
    assert summarize(space.policy({})) == "FP32"
    mixed = {"bits/a": "int8", "bits/b": "int8", "rank/b": 0.25, "sparsity/c": 0.5}
    assert summarize(space.policy(mixed)) == "2 of 3 layers int8, 1 at sparsity 0.5, 1 at rank 0.25"
