"""The layers that a probe looks at are those of the network, with their work and their sizes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.intake.normalize import normalize
from compress.network import Network, load_network, serialize
from search.probing import BUILT_IN, QUICK, shapes_of


def network(nodes: list[onnx.NodeProto], weights: dict[str, tuple[int, ...]], sizes: tuple[int, ...]) -> Network:
    rng = np.random.default_rng(0)
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *sizes])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name) for name, shape in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return load_network(serialize(normalize(ir.from_proto(model))), {"x": np.zeros((1, *sizes), np.float32)})


def conv(source: str, weight: str, target: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node("Conv", [source, weight], [target], **attributes)


def test_equal_layers_are_one_shape_and_the_heaviest_comes_first() -> None:
    nodes = [
        conv("x", "a.weight", "a", pads=[1] * 4, strides=[2, 2]),
        conv("a", "b.weight", "b", pads=[1] * 4),
        conv("b", "c.weight", "c", pads=[1] * 4),
        conv("c", "d.weight", "y", pads=[1] * 4, group=8),
    ]
    weights = {"a.weight": (8, 3, 3, 3), "b.weight": (8, 8, 3, 3), "c.weight": (8, 8, 3, 3), "d.weight": (8, 1, 3, 3)}
    found = shapes_of(network(nodes, weights, (3, 12, 20)))
    assert [(each.shape.kind, each.count, each.positions) for each in found] == [
        ("Conv 3×3", 2, (6, 10)),
        ("Conv 3×3", 1, (6, 10)),
        ("depthwise Conv 3×3", 1, (6, 10)),
    ]
    for each in found:
        assert each.shape.macs == each.shape.weight_count * math.prod(each.positions)


@pytest.mark.parametrize("transposed", [True, False])
def test_matrices_are_inputs_by_outputs_however_they_are_stored(transposed: bool) -> None:
    node = helper.make_node("Gemm", ["x", "a.weight"], ["y"], transB=int(transposed))
    (found,) = shapes_of(network([node], {"a.weight": (10, 64) if transposed else (64, 10)}, (64,)))
    assert (found.shape.operator, found.shape.weight_shape, found.positions) == ("Gemm", (64, 10), ())


def test_rows_of_a_matmul_are_those_of_one_sample() -> None:
    (found,) = shapes_of(network([helper.make_node("MatMul", ["x", "a"], ["y"])], {"a": (32, 48)}, (5, 32)))
    assert (found.shape.macs, found.positions) == (5 * 32 * 48, (5,))


def test_the_built_in_grids_are_distinct_and_begin_with_one_of_each_kind() -> None:
    for grid in (BUILT_IN, QUICK):
        assert len({layer.shape for layer in grid}) == len(grid)
        assert all(layer.shape.macs == layer.shape.weight_count * math.prod(layer.positions) for layer in grid)
    assert {layer.shape.kind for layer in BUILT_IN[:4]} == {layer.shape.kind for layer in BUILT_IN}
