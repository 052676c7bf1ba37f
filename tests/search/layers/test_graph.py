"""Neighbours of a real graph: what feeds what, past the skips of a residual network."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.channels.groups import find_channel_groups
from compress.channels.widths import single_valued
from compress.network import load_network
from search.errors import SearchError
from search.layers.graph import (
    LAYER_GRAPH,
    LayerGraph,
    SharedChannels,
    record_layer_graph,
    recorded_layer_graph,
)
from search.layers.neighbours import find_layer_graph

CHANNELS, BLOCKS = 4, 4


def residual_network() -> bytes:
    """A stem, blocks of two convolutions beside an identity, and a head."""
    rng = np.random.default_rng(0)
    nodes, weights = [], []

    def layer(op: str, source: str, name: str, shape: tuple[int, ...], **attributes: object) -> str:
        weights.append(numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), f"{name}.weight"))
        nodes.append(helper.make_node(op, [source, f"{name}.weight"], [name], **attributes))
        return name

    def node(op: str, *sources: str) -> str:
        name = f"v{len(nodes)}"
        nodes.append(helper.make_node(op, list(sources), [name]))
        return name

    def conv(source: str, name: str, inputs: int = CHANNELS) -> str:
        return layer("Conv", source, name, (CHANNELS, inputs, 3, 3), pads=[1] * 4)

    stream = node("Relu", conv("x", "stem", 3))
    for block in range(BLOCKS):
        inner = conv(node("Relu", conv(stream, f"block{block}.a")), f"block{block}.b")
        stream = node("Relu", node("Add", inner, stream))
    pooled = node("Flatten", node("GlobalAveragePool", stream))
    layer("Gemm", pooled, "head", (2, CHANNELS), transB=1)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("head", TensorProto.FLOAT, ["n", 2])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return model.SerializeToString()


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> LayerGraph:
    path = tmp_path_factory.mktemp("network") / "net.onnx"
    path.write_bytes(residual_network())
    network = load_network(path, {"x": np.zeros((1, 3, 8, 8), np.float32)})
    groups = single_valued(find_channel_groups(network).groups)
    return find_layer_graph(network, groups.values(), channel_multiple=2)


def test_it_knows_every_layer_and_its_size(graph: LayerGraph) -> None:
    assert list(graph.macs) == ["stem", *(f"block{b}.{part}" for b in range(BLOCKS) for part in "ab"), "head"]
    assert graph.macs["block0.a"] == CHANNELS * CHANNELS * 9 * 64
    assert sum(graph.share(layer) for layer in graph.macs) == pytest.approx(1.0)


def test_neighbours_are_consecutive_layers_and_those_around_a_skipped_block(graph: LayerGraph) -> None:
    readers = {name: [target for source, target in graph.neighbours if source == name] for name in graph.macs}
    assert readers["block1.a"] == ["block1.b"]
    assert readers["stem"] == ["block0.a", "block1.a", "block2.a"]
    # Its own addition counts; the next block's is the last that is passed.
    assert readers["block0.b"] == ["block1.a", "block2.a"]
    assert readers["block3.b"] == ["head"]
    assert readers["head"] == []


def test_a_layer_behind_another_is_no_neighbour(graph: LayerGraph) -> None:
    assert ("block0.a", "block1.a") not in graph.neighbours
    assert ("block0.b", "head") not in graph.neighbours


def test_it_knows_shapes_and_who_shares_channels(graph: LayerGraph) -> None:
    assert graph.layers["head"].weight_shape == (2, CHANNELS)
    assert graph.channel_multiple == 2
    inner, stream = (next(c for c in graph.channels if c.owner == owner) for owner in ("block1.a", "stem"))
    assert inner == SharedChannels(
        owner="block1.a",
        units=CHANNELS,
        kept={0.375: 2, 0.5: 2, 0.625: 2, 0.75: 2, 0.875: 2, 1.0: 0},
        writers={"block1.a": CHANNELS},
        readers={"block1.b": CHANNELS},
        vanishing=("block1.b",),
    )
    assert [inner.share_kept(ratio) for ratio in (0.0, 0.125, 0.5, 1.0)] == [1.0, 1.0, 0.5, 0.0]
    assert set(stream.writers) == {"stem", *(f"block{b}.b" for b in range(BLOCKS))}
    assert set(stream.readers) == {"head", *(f"block{b}.a" for b in range(BLOCKS))}


def test_outputs_meet_where_a_branch_ends(graph: LayerGraph) -> None:
    assert graph.meetings == (
        ("stem", "block0.b"),
        *((f"block{block}.b", f"block{block + 1}.b") for block in range(BLOCKS - 1)),
    )


def test_a_study_from_before_knows_sizes_and_neighbours_alone(graph: LayerGraph) -> None:
    kept = study()
    neighbours = [list(pair) for pair in graph.neighbours]
    kept.set_user_attr(LAYER_GRAPH, {"format_version": 1, "macs": dict(graph.macs), "neighbours": neighbours})
    assert recorded_layer_graph(kept) == LayerGraph(macs=graph.macs, neighbours=graph.neighbours)


def study() -> optuna.Study:
    return optuna.create_study(directions=["minimize", "maximize"], sampler=optuna.samplers.RandomSampler(seed=0))


def test_a_study_keeps_it(graph: LayerGraph) -> None:
    kept = study()
    for _ in range(2):
        record_layer_graph(kept, graph)
    assert recorded_layer_graph(kept) == graph


def test_a_study_without_one_is_not_the_sampler_s() -> None:
    with pytest.raises(
        SearchError, match=r"is not the frontier sampler's: it does not say how .* layers are connected"
    ):
        recorded_layer_graph(study())


def test_a_newer_record_is_refused(graph: LayerGraph) -> None:
    kept = study()
    record_layer_graph(kept, graph)
    kept.set_user_attr(LAYER_GRAPH, {**kept.user_attrs[LAYER_GRAPH], "format_version": 99})
    with pytest.raises(SearchError, match="has format_version 99, this paretune reads up to 2"):
        recorded_layer_graph(kept)


def test_neighbours_must_be_layers() -> None:
    with pytest.raises(ValueError, match="neighbours must be layers, got 'c'; layers are \\['a', 'b'\\]"):
        LayerGraph(macs={"a": 1, "b": 1}, neighbours=(("a", "c"),))


def test_who_shares_channels_must_be_a_layer() -> None:
    shared = SharedChannels(owner="a", units=2, kept={0.5: 1}, writers={"a": 2}, readers={"z": 2})
    with pytest.raises(ValueError, match="members must be layers, got 'z'"):
        LayerGraph(macs={"a": 1}, neighbours=(), channels=(shared,))


def test_without_sizes_all_layers_are_alike() -> None:
    assert LayerGraph(macs={"a": 0, "b": 0}, neighbours=()).share("a") == 0.5
