"""Which channels depend on one another, on networks small enough to know the answer."""

import functools

import numpy as np
import pytest

from compress.channels.groups import ChannelGroup, ChannelGroups, find_channel_groups, pruned_layer, pruned_shape
from compress.layers import Layer
from tests.compress.zoo.networks import NAMES, network

# Units, producers, consumers.
Expected = tuple[int, list[str], list[str]]


@functools.cache
def groups_of(name: str) -> ChannelGroups:
    return find_channel_groups(network(name)[0])


def _found(groups: ChannelGroups) -> dict[str, Expected]:
    return {
        g.name: (g.unit_count, [m.layer for m in g.producers], [m.layer for m in g.consumers]) for g in groups.groups
    }


_EXPECTED: dict[str, dict[str, Expected]] = {
    "plain_convolutions": {
        "conv0": (8, ["conv0"], ["conv2"]),
        "conv2": (16, ["conv2"], ["conv4"]),
        "conv4": (16, ["conv4"], ["head"]),
    },
    "residual": {
        "conv0": (8, ["conv0", "conv6"], ["conv3", "conv10", "conv15"]),
        "conv3": (8, ["conv3"], ["conv6"]),
        "conv10": (16, ["conv10"], ["conv13"]),
        "conv13": (16, ["conv13", "conv15"], ["head"]),
    },
    "depthwise_clip": {
        "conv0": (8, ["conv0", "conv2"], ["conv4"]),
        "conv4": (8, ["conv4", "conv9"], ["conv5", "head"]),
        "conv5": (24, ["conv5", "conv7"], ["conv9"]),
    },
    "depthwise_multiplied": {"conv0": (6, ["conv0", "conv2"], ["conv4"])},
    "concatenated": {
        "conv0": (8, ["conv0"], ["conv3", "conv7", "conv11", "conv14"]),
        "conv3": (4, ["conv3"], ["conv7", "conv11", "conv14"]),
        "conv7": (4, ["conv7"], ["conv11", "conv14"]),
        "conv11": (4, ["conv11"], ["conv14"]),
        "conv14": (8, ["conv14"], ["head"]),
    },
    "grouped": {},
    "grouped_between": {
        "conv0": (8, ["conv0", "conv6"], ["conv2", "conv9"]),
        "conv2": (4, ["conv2", "conv4"], ["conv6"]),
    },
    # The gate and what it scales are one group; the gate's own bottleneck is another.
    "hard_swish": {
        "conv0": (8, ["conv0", "conv5"], ["conv3", "conv8"]),
        "conv3": (4, ["conv3"], ["conv5"]),
        "conv8": (8, ["conv8", "conv9"], ["conv11"]),
    },
    "one_dimensional": {"a": (8, ["a"], ["b"]), "b": (16, ["b"], ["head"])},
    "old_opset": {"conv0": (8, ["conv0"], ["b"])},
    "constant_nodes": {"Conv_2": (8, ["Conv_2"], ["MatMul_6"])},
    "transformer_block": {"q": (2, ["q", "k", "v"], ["o"]), "up": (32, ["up"], ["down"])},
    "sizes_at_run_time": {"q": (4, ["q", "k", "v"], ["o"])},
    # What is sliced away feeds nothing.
    "gathered": {"conv0": (4, ["conv0"], []), "conv0_2": (4, ["conv0"], ["a"])},
    "shuffled": {"conv0": (4, ["conv0", "conv3"], ["conv9"])},
    "group_normed": {"conv0": (4, ["conv0"], ["conv7"])},
    "sliced_from_the_end": {
        "conv0": (4, ["conv0"], ["conv10"]),
        "conv0_2": (4, ["conv0"], ["conv4"]),
        "conv4": (4, ["conv4"], ["conv10"]),
    },
    "shared_weight": {},
}


@pytest.mark.parametrize("name", _EXPECTED)
def test_groups(name: str) -> None:
    assert _found(groups_of(name)) == _EXPECTED[name]


@pytest.mark.parametrize(("name", "heads"), [("separate_heads_net", 3), ("fused_heads_net", 1), ("transformer_net", 1)])
def test_heads_and_hidden_units_of_exported_attention(name: str, heads: int) -> None:
    """A unit is a head: its slices of queries, keys and values, whether from three layers or one."""
    attention, hidden = groups_of(name).groups
    layers = {layer.name: layer for layer in network(name)[0].layers}
    assert len(attention.producers) == heads
    assert len(attention.consumers) == len(hidden.producers) == len(hidden.consumers) == 1
    count, width = attention.unit_count, layers[attention.consumers[0].layer].output_channels
    per_head = np.repeat(np.arange(count), width // count)
    for member in (*attention.producers, *attention.consumers):
        repeats = len(member.unit_of_channel) // width
        np.testing.assert_array_equal(member.unit_of_channel, np.tile(per_head, repeats))


def test_a_channel_is_many_columns_behind_a_flatten() -> None:
    consumer = groups_of("pooled_into_gemm").group("conv0").consumers[0]
    np.testing.assert_array_equal(consumer.unit_of_channel, np.repeat(np.arange(8), 16))


def test_a_concatenation_has_channels_of_several_groups() -> None:
    group = groups_of("inception").group("conv6")
    np.testing.assert_array_equal(group.consumers[0].unit_of_channel, [*[-1] * 8, *range(8), *[-1] * 8])


def test_groups_of_a_convolution_are_units() -> None:
    group = groups_of("grouped_between").group("conv2")
    for member in (*group.producers, *group.consumers):
        np.testing.assert_array_equal(member.unit_of_channel, np.repeat(np.arange(4), 4))


def test_a_shuffle_ties_what_it_interleaves() -> None:
    first, depthwise = groups_of("shuffled").group("conv0").producers
    np.testing.assert_array_equal(first.unit_of_channel, [0, 1, 2, 3, 0, 1, 2, 3])
    np.testing.assert_array_equal(depthwise.unit_of_channel, [0, 1, 2, 3])


@pytest.mark.parametrize(
    ("name", "vanishing"),
    [
        ("residual", {"conv3": ("conv6",), "conv10": ("conv13",)}),
        ("depthwise_clip", {"conv5": ("conv9",)}),
        ("transformer_block", {"q": ("o",), "up": ("down",)}),
        ("plain_convolutions", {}),
        ("concatenated", {}),
        ("hard_swish", {}),
        # Either branch may go, but something must be left to add the other's constant to.
        ("opposite_branches", {"conv2": ("conv4",)}),
    ],
)
def test_branches_that_may_vanish(name: str, vanishing: dict[str, tuple[str, ...]]) -> None:
    assert {group.name: group.vanishing for group in groups_of(name).groups if group.may_vanish} == vanishing


@pytest.mark.parametrize(
    ("name", "layer", "reason"),
    [
        ("plain_convolutions", "head", "they are the graph's output 'scores'"),
        ("inner_outputs", "conv0", "they are the graph's output 'raw'"),
        ("old_opset", "b", "Softmax 'Softmax_7' computes over them"),
        ("transformer_net", "attention.out_proj", "LayerNormalization 'node_layer_norm' computes over them"),
        ("classes_by_arg_max", "a", "ArgMax 'ArgMax_4' computes over them"),
        ("matrix_residual", "a", "Add 'Add_3' combines them with channels that must stay"),
        ("grouped", "conv0", "its groups tie its outputs to inputs that must stay"),
        ("transposed_convolution", "conv0", "operator ConvTranspose is not understood"),
        ("shared_weight", "a", "its weight is shared with another operator"),
        ("transposed_weight", "MatMul_1", "Reshape 'Reshape_4' mixes them with other axes"),
        ("branching", "conv0", "ReduceMean 'ReduceMean_2' computes over them"),
        ("counted_channels", "conv0", "ReduceMax 'ReduceMax_4' computes with their number"),
        ("single_channel_gate", "conv2", "it has a single output"),
    ],
)
def test_what_stays_has_a_reason(name: str, layer: str, reason: str) -> None:
    assert groups_of(name).fixed[layer] == reason


@pytest.mark.parametrize("name", NAMES)
def test_every_output_is_in_one_group_or_has_a_reason(name: str) -> None:
    groups = groups_of(name)
    for layer in network(name)[0].layers:
        covered = np.zeros(layer.output_channels, int)
        for member in (m for group in groups.groups for m in group.producers if m.layer == layer.name):
            covered += member.unit_of_channel >= 0
        assert covered.max(initial=0) <= 1
        assert (covered == 1).all() != (layer.name in groups.fixed)
    assert len({group.name for group in groups.groups}) == len(groups.groups)
    for group in groups.groups:
        assert group.unit_count > 1 or group.may_vanish
        assert group.producers
        for member in (*group.producers, *group.consumers):
            assert set(range(group.unit_count)) == set(member.unit_of_channel.tolist()) - {-1}


def test_the_same_network_gives_the_same_groups() -> None:
    for name in ("concatenated", "transformer_net", "shuffled"):
        again = find_channel_groups(network(name)[0])
        assert _found(again) == _found(groups_of(name))
        assert again.fixed == groups_of(name).fixed
        for layer, units in again.outputs.items():
            np.testing.assert_array_equal(units, groups_of(name).outputs[layer])


def test_units_are_chosen_by_group() -> None:
    groups = groups_of("concatenated")
    kept = {"conv0": np.array([1, 5]), "conv7": np.array([0, 3])}
    inputs, outputs = groups.kept_channels("conv11", kept)
    assert inputs.tolist() == [1, 5, *range(8, 12), 12, 15]
    assert outputs.tolist() == [0, 1, 2, 3]
    assert groups.kept_channels("conv0", kept)[1].tolist() == [1, 5]
    assert isinstance(groups.group("conv3"), ChannelGroup)
    with pytest.raises(KeyError):
        groups.group("conv99")


def _layer(op_type: str, shape: tuple[int, ...], *, axis: int = 0, groups: int = 1) -> Layer:
    return Layer(
        name="a",
        node_name="a",
        op_type=op_type,
        weight_name="w",
        weight_shape=shape,
        output_axis=axis,
        groups=groups,
        macs=10 * int(np.prod(shape)),
    )


def test_shapes_that_are_left() -> None:
    assert pruned_shape(_layer("Conv", (8, 4, 3, 3)), 3, 5) == (5, 3, 3, 3)
    assert pruned_shape(_layer("Conv", (8, 1, 3, 3), groups=8), 5, 5) == (5, 1, 3, 3)
    assert pruned_shape(_layer("Conv", (8, 2, 1), groups=4), 6, 6) == (6, 2, 1)
    assert pruned_shape(_layer("Gemm", (8, 4)), 3, 5) == (5, 3)
    assert pruned_shape(_layer("MatMul", (4, 8), axis=1), 3, 5) == (3, 5)
    left = pruned_layer(_layer("Conv", (8, 2, 1), groups=4), 6, 6)
    assert (left.weight_shape, left.groups, left.macs) == ((6, 2, 1), 3, 120)
