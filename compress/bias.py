"""Where a layer's bias stands, or could stand: there errors of the mean are corrected."""

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.formats.placement import only_reader
from compress.graph import add_initializer, constant, derived, operand, output_axis, replace_constant


def read_bias(node: ir.Node) -> NDArray[np.float32] | None:
    """The layer's bias, shape (out,), zeros where it has none yet; None where there is no place for one.

    Conv and Gemm have a place of their own, a MatMul has one in the Add of a constant that alone reads it.
    """
    units = constant(operand(node, 1)).shape[output_axis(node)]
    if node.op_type == "MatMul":
        place = _add_behind(node, units)
        return None if place is None else constant(operand(*place)).reshape(-1)
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    return np.zeros(units, np.float32) if bias is None else constant(bias)


def bias_behind(node: ir.Node) -> NDArray[np.float32] | None:
    """The part of the bias that the operator's own output lacks, shape (out,): that of a MatMul; None for others."""
    return read_bias(node) if node.op_type == "MatMul" else None


def write_bias(graph: ir.Graph, node: ir.Node, bias: NDArray[np.float32]) -> None:
    """Give the layer another bias, of as many units as its weight now has.

    Raises:
        ValueError: There is no place for one.
    """
    value = derived(node.name or "", "bias")
    if node.op_type == "MatMul":
        place = _add_behind(node, len(bias))
        if place is None:
            raise ValueError(f"MatMul {node.name!r} has no bias")
        shape = constant(operand(*place)).shape
        replace_constant(graph, *place, add_initializer(graph, value, bias.reshape((1,) * (len(shape) - 1) + (-1,))))
    elif len(node.inputs) > 2 and node.inputs[2] is not None:
        replace_constant(graph, node, 2, add_initializer(graph, value, bias))
    elif bias.any():
        node.resize_inputs(3)
        node.replace_input_with(2, add_initializer(graph, value, bias))


def _add_behind(node: ir.Node, units: int) -> tuple[ir.Node, int] | None:
    """The Add of one constant per unit behind a MatMul, and which of its inputs is the constant."""
    reader = only_reader(node.outputs[0])
    if reader is None or reader.op_type != "Add" or reader.domain not in ("", "ai.onnx"):
        return None
    index = 1 if reader.inputs[0] is node.outputs[0] else 0
    other = reader.inputs[index]
    tensor = None if other is None else other.const_value
    # With one unit, a constant of one value could broadcast either way: it stays a bias.
    if tensor is None or tensor.dtype != ir.DataType.FLOAT or tensor.size != units or tensor.shape[-1:] != (units,):
        return None
    return reader, index
