"""The networks that are timed: chains of the shape, that run, with what makes them comparable."""

from __future__ import annotations

import math

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from compress.runtime import open_session
from hwprofiles import LayerShape
from search.probing.blocks import Block, chain_length, sides
from search.probing.shapes import SizedLayer


@st.composite
def layers(draw: st.DrawFn) -> SizedLayer:
    operator = draw(st.sampled_from(["Conv", "Gemm", "MatMul"]))
    side = st.integers(1, 20)
    groups = 1
    if operator == "Conv":
        kernel = draw(st.lists(st.integers(1, 4), min_size=1, max_size=2))
        groups = draw(st.sampled_from([1, 2]))
        weight: tuple[int, ...] = (groups * draw(side), draw(side), *kernel)
        positions = tuple(draw(st.lists(st.integers(1, 6), min_size=len(kernel), max_size=len(kernel))))
    else:
        weight = (draw(side), draw(side))
        positions = (draw(st.integers(2, 5)),) if operator == "MatMul" else ()
    macs = math.prod(weight) * math.prod(positions)
    return SizedLayer(
        shape=LayerShape(operator=operator, weight_shape=weight, groups=groups, macs=macs), positions=positions
    )


@settings(max_examples=40, deadline=None)
@given(layers(), st.integers(1, 3))
def test_any_shape_makes_a_network_of_such_layers_that_runs(layer: SizedLayer, batch_size: int) -> None:
    block = Block(layer=layer)
    onnx_bytes = block.onnx_bytes()
    assert onnx_bytes == Block(layer=layer).onnx_bytes()
    model = onnx.load_model_from_string(onnx_bytes)
    weighted = [node for node in model.graph.node if node.op_type == layer.shape.operator]
    assert len(weighted) == chain_length(layer.shape)
    stored = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    inputs, outputs = sides(layer.shape)
    assert stored[weighted[int(inputs > outputs)].input[1]] == layer.shape.weight_shape, "the narrow side is outside"
    assert {math.prod(stored[node.input[1]]) for node in weighted} == {layer.shape.weight_count}
    (output,) = open_session(onnx_bytes).run(None, block.feeds(batch_size))
    assert output.shape[0] == batch_size
    assert np.isfinite(output).all()
    spatial = output.shape[2:] if layer.shape.operator == "Conv" else output.shape[1:-1]
    assert spatial == layer.positions, "strides are left out: every layer has the output's size"


@pytest.mark.parametrize(
    ("weight", "side", "length"),
    [((64, 64, 3, 3), 7, 4), ((64, 3, 3, 3), 7, 4), ((1024, 1024, 1, 1), 7, 2), ((64, 64, 3, 3), 112, 2)],
)
def test_what_is_heavy_stands_in_shorter_chains(weight: tuple[int, ...], side: int, length: int) -> None:
    shape = LayerShape(operator="Conv", weight_shape=weight, macs=math.prod(weight) * side * side)
    assert chain_length(shape) == length


def sized(weight: tuple[int, ...]) -> SizedLayer:
    shape = LayerShape(operator="Conv", weight_shape=weight, macs=math.prod(weight) * 16)
    return SizedLayer(shape=shape, positions=(4, 4))


def stored_shapes(block: Block) -> list[tuple[int, ...]]:
    model = onnx.load_model_from_string(block.onnx_bytes())
    stored = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    return [stored[node.input[1]] for node in model.graph.node if node.op_type == "Conv"]


def test_a_narrowed_chain_keeps_its_ends() -> None:
    narrow, wide = (64 - 12, 64, 3, 3), (64, 64 - 12, 3, 3)
    block = Block(layer=sized((64, 64, 3, 3)), width=52)
    assert stored_shapes(block) == [narrow, wide] * 2
    assert block.feeds(1)["x"].shape == Block(layer=sized((64, 64, 3, 3))).feeds(1)["x"].shape


def test_two_factors_stand_for_each_layer() -> None:
    assert (
        stored_shapes(Block(layer=sized((64, 32, 3, 3)), rank=8))
        == [
            (8, 32, 3, 3),
            (64, 8, 1, 1),
            (8, 64, 3, 3),
            (32, 8, 1, 1),
        ]
        * 2
    )


def test_two_of_every_four_weights_along_the_inputs_are_zero() -> None:
    model = onnx.load_model_from_string(Block(layer=sized((16, 16, 3, 3)), sparsity="2:4").onnx_bytes())
    weights = [numpy_helper.to_array(tensor) for tensor in model.graph.initializer if len(tensor.dims) == 4]
    for weight in weights:
        runs = weight.reshape(16, 4, 4, 3, 3)
        assert ((runs == 0).sum(axis=2) == 2).all()


def test_sides_are_inputs_and_outputs() -> None:
    assert sides(LayerShape(operator="Conv", weight_shape=(64, 2, 3, 3), groups=8)) == (16, 64)
    assert sides(LayerShape(operator="Gemm", weight_shape=(16, 64))) == (16, 64)
