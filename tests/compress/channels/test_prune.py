"""A pruned network is the network with the inputs of its layers zeroed, only smaller."""

from collections.abc import Mapping

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from compress.channels.groups import ChannelGroups, find_channel_groups, pruned_layer
from compress.channels.prune import PruneChannels
from compress.errors import PolicyError
from compress.graph import constant, operand
from compress.network import Network, load_network, serialize
from compress.runtime import open_session
from tests.compress.channels.test_groups import groups_of
from tests.compress.test_random_graphs import convolutional, fully_connected
from tests.compress.zoo.case import Case, Feeds
from tests.compress.zoo.networks import NAMES, network, read

Kept = Mapping[str, NDArray[np.int64]]
_PRUNABLE = [name for name in NAMES if name not in {"nothing_to_compress"}]


def _prune(network: Network, groups: ChannelGroups, kept: Kept, **finished: Mapping[str, NDArray[np.float32]]) -> bytes:
    return serialize(
        ir.passes.functionalize(PruneChannels(network, groups, kept, **finished))(network.model).model  # type: ignore[arg-type]
    )


def _run(onnx_bytes: bytes, example: Feeds) -> list[NDArray[np.float64]]:
    return [np.asarray(output, np.float64) for output in open_session(onnx_bytes).run(None, dict(example))]


def _zeroed(network: Network, groups: ChannelGroups, kept: Kept) -> bytes:
    """The whole network, with zeros in the weights that would read what is not kept."""
    model, mask = network.model.clone(), groups.mask(kept)
    nodes = {node.name: node for node in model.graph}
    for layer in network.layers:
        gone = ~mask[groups.inputs[layer.name]]
        if layer.groups == 1 and gone.any():
            value = operand(nodes[layer.node_name], 1)
            weight = constant(value).copy()
            weight[(slice(None), gone) if layer.op_type == "Conv" or layer.output_axis == 0 else gone] = 0
            value.const_value = ir.Tensor(weight, name=value.name)
    return serialize(model)


def _check(network: Network, groups: ChannelGroups, kept: Kept, example: Feeds) -> bytes:
    """Everything that must hold of a pruned network; returns it."""
    pruned = _prune(network, groups, kept)
    assert pruned == _prune(network, groups, kept)
    assert serialize(network.model) == network.onnx_bytes
    found, wanted = _run(pruned, example), _run(_zeroed(network, groups, kept), example)
    for mine, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5 * max(np.abs(theirs).max(initial=0), 1e-3))
    model, whole = (onnx.load_model_from_string(b) for b in (pruned, network.onnx_bytes))
    onnx.checker.check_model(model, full_check=True)
    for ours, before in ((model.graph.input, whole.graph.input), (model.graph.output, whole.graph.output)):
        assert [v.SerializeToString() for v in ours] == [v.SerializeToString() for v in before]
    assert _parameters(model) <= _parameters(whole)
    _check_shapes(model, example)
    return pruned


def _parameters(model: onnx.ModelProto) -> int:
    return sum(
        int(np.prod(t.dims, dtype=np.int64)) for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT
    )


def _check_shapes(model: onnx.ModelProto, example: Feeds) -> None:
    """The shapes written down for inner tensors are those of the tensors."""
    declared = {v.name: v for v in model.graph.value_info}
    outside = {v.name for v in model.graph.output}
    inner = [name for name in declared if name not in outside]
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    probe.graph.output.extend(declared[name] for name in inner)
    results = open_session(probe.SerializeToString(), optimize=False).run(inner, dict(example)) if inner else []
    for name, array in zip(inner, results, strict=True):
        if declared[name].type.tensor_type.HasField("shape"):
            sizes = declared[name].type.tensor_type.shape.dim
            assert [d.dim_value or n for d, n in zip(sizes, array.shape, strict=True)] == list(array.shape), name


def _random_units(groups: ChannelGroups, seed: int) -> Kept:
    random = np.random.default_rng(seed)
    kept = {}
    for group in groups.groups:
        count = random.integers(0 if group.may_vanish else 1, group.unit_count + 1)
        if random.random() < 0.7:
            kept[group.name] = np.sort(random.permutation(group.unit_count)[:count])
    return kept


@pytest.mark.parametrize("name", _PRUNABLE)
def test_a_pruned_network_is_the_zeroed_one(name: str) -> None:
    (whole, example), groups = network(name), groups_of(name)
    for seed in range(2 if groups.groups else 0):
        _check(whole, groups, _random_units(groups, seed), example)


@pytest.mark.parametrize("name", _PRUNABLE)
def test_every_group_shrinks_to_one_unit(name: str) -> None:
    """Axes of length 1 are those that runtimes squeeze and broadcast."""
    (whole, example), groups = network(name), groups_of(name)
    smallest = {group.name: np.array([group.unit_count - 1]) for group in groups.groups}
    if smallest:
        _check(whole, groups, smallest, example)


@pytest.mark.parametrize("name", _PRUNABLE)
def test_keeping_everything_changes_nothing(name: str) -> None:
    (whole, _), groups = network(name), groups_of(name)
    everything = {group.name: np.arange(group.unit_count) for group in groups.groups}
    assert _prune(whole, groups, everything) == _prune(whole, groups, {}) == whole.onnx_bytes


@pytest.mark.parametrize(
    "name", ["residual", "depthwise_clip", "transformer_block", "grouped_between", "opposite_branches"]
)
def test_branches_vanish(name: str) -> None:
    """All at once; nothing of them is left but constants."""
    (whole, example), groups = network(name), groups_of(name)
    gone = {group.name: np.array([], np.int64) for group in groups.groups if group.may_vanish}
    assert gone
    pruned = _check(whole, groups, gone, example)
    left = {node.name for node in onnx.load_model_from_string(pruned).graph.node}
    nodes = {layer.name: layer.node_name for layer in whole.layers}
    for group in (groups.group(name) for name in gone):
        assert left.isdisjoint(nodes[member.layer] for member in (*group.producers, *group.consumers))


@pytest.mark.parametrize(("name", "group"), [("residual", "conv3"), ("transformer_block", "up")])
def test_the_bias_stands_in_for_a_branch(name: str, group: str) -> None:
    """A given bias is what the branch adds; a MatMul's stands before the constants that are added to it."""
    (whole, example), groups = network(name), groups_of(name)
    (end,) = groups.group(group).vanishing
    layer = whole.layer(end)
    answer = np.linspace(-1, 1, layer.output_channels, dtype=np.float32)
    pruned = _prune(whole, groups, {group: np.array([], np.int64)}, biases={end: answer})
    expected = _with_bias(_zeroed(whole, groups, {group: np.array([], np.int64)}), layer.node_name, answer)
    for mine, theirs in zip(_run(pruned, example), _run(expected, example), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def _with_bias(onnx_bytes: bytes, node_name: str, bias: NDArray[np.float32]) -> bytes:
    model = onnx.load_model_from_string(onnx_bytes)
    model.graph.initializer.append(onnx.numpy_helper.from_array(bias, f"{node_name}/bias"))
    for index, node in enumerate(model.graph.node):
        if node.name != node_name:
            continue
        if node.op_type == "MatMul":
            total, node.output[0] = node.output[0], f"{node_name}/product"
            add = onnx.helper.make_node("Add", [node.output[0], f"{node_name}/bias"], [total])
            model.graph.node.insert(index + 1, add)
        else:
            node.input[:] = [*node.input[:2], f"{node_name}/bias"]
        break
    return model.SerializeToString()


@pytest.mark.parametrize("name", ["residual", "without_bias", "transformer_block", "forked_products", "gemm_spellings"])
def test_finished_weights_and_biases_are_taken(name: str) -> None:
    """They replace what would have been cut, in layers with a bias of their own, an addition behind, or neither."""
    (whole, example), groups = network(name), groups_of(name)
    kept = {group.name: np.arange(0, group.unit_count, 2) for group in groups.groups}
    random, weights, biases = np.random.default_rng(0), {}, {}
    for layer in whole.layers:
        inputs, outputs = groups.kept_channels(layer.name, kept)
        shape = pruned_layer(layer, len(inputs), len(outputs)).weight_shape
        weights[layer.name] = random.normal(0, 0.1, shape).astype(np.float32)
        biases[layer.name] = random.normal(0, 1, len(outputs)).astype(np.float32)
    expected = _prune(whole, groups, kept, weights=weights)
    for layer in whole.layers:
        expected = _with_bias(expected, layer.node_name, biases[layer.name])
    pruned = _prune(whole, groups, kept, weights=weights, biases=biases)
    onnx.checker.check_model(onnx.load_model_from_string(pruned), full_check=True)
    for mine, theirs in zip(_run(pruned, example), _run(expected, example), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["residual", "grouped_between", "depthwise_clip", "gemm_spellings", "pooled_into_gemm"]
)
def test_layers_are_what_was_foretold(name: str) -> None:
    """Shapes, groups and multiply-adds of the pruned network, counted anew."""
    (whole, example), groups = network(name), groups_of(name)
    kept = {group.name: np.arange(max(1, group.unit_count // 3)) for group in groups.groups}
    counted = {layer.node_name: layer for layer in load_network(_prune(whole, groups, kept), example).layers}
    for layer in whole.layers:
        inputs, outputs = groups.kept_channels(layer.name, kept)
        foretold = pruned_layer(layer, len(inputs), len(outputs))
        found = counted[layer.node_name]
        assert (found.weight_shape, found.groups, found.macs) == (foretold.weight_shape, foretold.groups, foretold.macs)


def test_constants_that_others_read_stay_as_they_are() -> None:
    """A BatchNorm's constants are shared with one whose channels are pruned otherwise."""
    (whole, example), groups = network("shared_batch_norm"), groups_of("shared_batch_norm")
    _check(whole, groups, {"conv0": np.array([1, 2])}, example)
    _check(whole, groups, {"conv4": np.array([0, 7])}, example)


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ({"conv99": [0]}, "no channel group 'conv99'"),
        ({"conv0": []}, "'conv0': at least one unit must be kept"),
        ({"conv0": [1, 1]}, "ascending numbers below 8"),
        ({"conv0": [3, 2]}, "ascending numbers below 8"),
        ({"conv0": [8]}, "ascending numbers below 8"),
        ({"conv0": [-1]}, "ascending numbers below 8"),
    ],
)
def test_what_cannot_be_kept_is_refused(kept: dict[str, list[int]], message: str) -> None:
    units = {name: np.array(numbers, np.int64) for name, numbers in kept.items()}
    with pytest.raises(PolicyError, match=message):
        PruneChannels(network("residual")[0], groups_of("residual"), units)


@pytest.mark.parametrize(
    ("finished", "message"),
    [
        ({"weights": {"conv3": np.zeros((8, 8, 3, 3))}}, r"'conv3': the weight that is left has the shape \(8, 2, 3"),
        ({"biases": {"conv0": np.zeros(8)}}, r"'conv0': the bias that is left has the shape \(2,\), got \(8,\)"),
        ({"weights": {"conv99": np.zeros(8)}}, "no layer 'conv99'"),
    ],
)
def test_finished_weights_that_do_not_fit_are_refused(finished: dict[str, dict[str, NDArray]], message: str) -> None:
    whole, _ = network("residual")
    with pytest.raises(PolicyError, match=message):
        PruneChannels(whole, groups_of("residual"), {"conv0": np.array([0, 1])}, **finished).requires(whole.model)


def test_another_graph_is_refused() -> None:
    prune = PruneChannels(network("residual")[0], groups_of("residual"), {})
    with pytest.raises(PolicyError, match="no operator"):
        prune.requires(network("transformer_block")[0].model)


_RELAXED = settings(
    deadline=None,
    max_examples=60,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # a graph that fails is small enough as it is
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@_RELAXED
@given(convolutional(), st.integers(0, 99))
def test_random_convolutional_networks(case: Case, seed: int) -> None:
    _check_random(case, seed)


@_RELAXED
@given(fully_connected(), st.integers(0, 99))
def test_random_fully_connected_networks(case: Case, seed: int) -> None:
    _check_random(case, seed)


def _check_random(case: Case, seed: int) -> None:
    whole = read(case)
    groups = find_channel_groups(whole)
    _check(whole, groups, _random_units(groups, seed), case.example)
