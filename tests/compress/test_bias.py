"""Weights and biases are written where they are read from."""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from compress.bias import bias_behind, read_bias, write_bias
from compress.graph import constant, operand
from compress.network import serialize
from compress.runtime import open_session
from compress.write_layers import WriteLayers, written_names
from tests.compress.conftest import Loaded


def _node(model: ir.Model, loaded: Loaded, layer: str) -> ir.Node:
    name = loaded.network.layer(layer).node_name
    return next(node for node in model.graph if node.name == name)


# A convolution with a bias and without, a Gemm, and products with a constant added behind them.
_PLACES = [("residual", "conv3"), ("without_bias", None), ("gemm_spellings", "a"), ("transformer_block", "up")]


@pytest.mark.parametrize(("name", "layer"), _PLACES)
def test_a_bias_is_read_back_and_moves_the_output(load: Callable[[str], Loaded], name: str, layer: str | None) -> None:
    loaded = load(name)
    model = loaded.network.model.clone()
    node = _node(model, loaded, layer or loaded.network.layers[-1].name)
    before = read_bias(node)
    assert before is not None
    more = np.linspace(1, 2, len(before), dtype=np.float32)
    write_bias(model.graph, node, before + more)
    np.testing.assert_allclose(read_bias(node), before + more)
    target = node.outputs[0] if node.op_type != "MatMul" else next(iter(node.outputs[0].uses())).node.outputs[0]
    found, wanted = (_value(m, loaded, target.name or "") for m in (model, loaded.network.model))
    shape = [-1] + [1] * (found.ndim - 2) if node.op_type == "Conv" else [-1]
    np.testing.assert_allclose(found, wanted + more.reshape(shape), rtol=1e-4, atol=1e-4)


def _value(model: ir.Model, loaded: Loaded, name: str) -> np.ndarray:
    opened = model.clone()
    values = {value.name: value for node in opened.graph for value in node.outputs}
    opened.graph.outputs.clear()
    opened.graph.outputs.append(values[name])
    value: np.ndarray = open_session(serialize(opened), optimize=False).run(None, dict(loaded.case.example))[0]
    return value


@pytest.mark.parametrize("layer", ["a", "c", "d", "f"])
def test_what_is_added_to_a_product_is_not_always_a_bias(load: Callable[[str], Loaded], layer: str) -> None:
    """Another product, nothing, a clamp, one value for all columns."""
    loaded = load("matrix_residual")
    model = loaded.network.model.clone()
    node = _node(model, loaded, layer)
    assert read_bias(node) is None
    with pytest.raises(ValueError, match="has no bias"):
        write_bias(model.graph, node, np.zeros(loaded.network.layer(layer).output_channels, np.float32))


def test_only_products_have_their_bias_behind_them(load: Callable[[str], Loaded]) -> None:
    transformer, mixed = load("transformer_block"), load("pooled_into_gemm")
    node = _node(transformer.network.model, transformer, "up")
    np.testing.assert_array_equal(bias_behind(node), read_bias(node))
    for layer in mixed.network.layers:
        assert bias_behind(_node(mixed.network.model, mixed, layer.name)) is None


def test_no_bias_is_not_made_of_zeros(load: Callable[[str], Loaded]) -> None:
    loaded = load("without_bias")
    model = loaded.network.model.clone()
    node = _node(model, loaded, loaded.network.layers[-1].name)
    before = len(node.inputs)
    write_bias(model.graph, node, np.zeros(loaded.network.layers[-1].output_channels, np.float32))
    assert len(node.inputs) == before


@pytest.mark.parametrize("name", ["residual", "transformer_block", "gemm_spellings", "shared_weight"])
def test_layers_written_back_are_the_network(load: Callable[[str], Loaded], name: str) -> None:
    """Every weight and bias under a name of its own, and not one output moved."""
    loaded = load(name)
    nodes = {node.name or "": node for node in loaded.network.model.graph}
    chosen = [layer.node_name for layer in loaded.network.layers]
    weights = {node: constant(operand(nodes[node], 1)) for node in chosen}
    biases = {node: found for node in chosen if (found := read_bias(nodes[node])) is not None}
    model = ir.passes.functionalize(WriteLayers(weights, biases))(loaded.network.model).model
    for found, wanted in zip(
        open_session(serialize(model)).run(None, dict(loaded.case.example)), loaded.outputs, strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    for node in chosen:
        assert written_names(node)[0] in model.graph.initializers
