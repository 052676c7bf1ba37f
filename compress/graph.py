"""The few graph edits that all transforms share."""

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

# Normalization takes this character out of every name it finds: what we derive with it collides with nothing.
RESERVED = "@"


def derived(name: str, role: str) -> str:
    """What we call something that we make for `name`."""
    return f"{name}{RESERVED}{role}"


def add_initializer(graph: ir.Graph, name: str, array: NDArray[Any]) -> ir.Value:
    """A new constant of the graph."""
    # Not ascontiguousarray: it gives scalars an axis, and runtimes match Q/DQ pairs by their scalar scales.
    value = ir.val(name, const_value=ir.Tensor(np.asarray(array, order="C"), name=name))
    graph.register_initializer(value)
    return value


def replace_constant(graph: ir.Graph, node: ir.Node, index: int, replacement: ir.Value) -> None:
    """Let `node` read `replacement`; the constant it read before goes when nobody else reads it."""
    old = operand(node, index)
    node.replace_input_with(index, replacement)
    if not old.uses() and not old.is_graph_output() and old.name is not None:
        graph.initializers.pop(old.name, None)


def operand(node: ir.Node, index: int) -> ir.Value:
    """A mandatory input of `node`."""
    value = node.inputs[index]
    if value is None:
        raise ValueError(f"{node.op_type} {node.name!r} has no input {index}")
    return value


def constant(value: ir.Value) -> NDArray[Any]:
    """The array of an initializer."""
    if value.const_value is None:
        raise ValueError(f"{value.name!r} is not a constant")
    array: NDArray[Any] = value.const_value.numpy()
    return array


def output_axis(node: ir.Node) -> int:
    """Which axis of a weight counts the outputs of a Conv, Gemm or MatMul."""
    transposed = "transB" in node.attributes and bool(node.attributes["transB"].as_int())
    return 0 if node.op_type == "Conv" or transposed else 1
