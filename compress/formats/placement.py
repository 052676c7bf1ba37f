"""Where Q/DQ pairs stand, which decides whether a runtime computes in integers at all.

An integer kernel needs a DequantizeLinear on every input and a QuantizeLinear right behind the operator *and its
activation*; a pair between a convolution and its Relu leaves both in float. The rules: an 8-bit layer reads a
quantized input; an 8-bit convolution writes a quantized output, behind a following Relu or Clip, and so does a Gemm
that the runtime would fuse with its activation; what merely combines quantized tensors (Add, Concat, pooling) joins
them when its own result is quantized; a layer that the policy keeps in FP32 reads the unrounded tensor wherever one
exists.
"""

import math
from collections.abc import Iterable, Set

import onnx_ir as ir

from compress.formats.scheme import Range
from compress.graph import constant, operand

WEIGHTED = ("Conv", "Gemm", "MatMul")
# These move or select values: their result has their input's range, and must have its scale to be fused away.
_RANGE_KEEPING = ("MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Gather")
# With one of these as their only reader and no pair in between, ONNX Runtime leaves these operators in float: it has
# fused them (a MatMul with an Add into a Gemm whose bias is float) before it looks for pairs.
_TIED_TO_READER = {
    "Gemm": frozenset(
        ("Relu", "Clip", "LeakyRelu", "Sigmoid", "Tanh", "Softplus", "Softsign", "Elu", "Selu", "HardSigmoid")
    )
    | {"ThresholdedRelu"},
    "MatMul": frozenset(("Relu", "Clip")),
}
_UNBOUNDED = (-math.inf, math.inf)


def points_to_quantize(layers: Iterable[ir.Node]) -> list[ir.Value]:
    """The tensors that get a pair, in graph order: what `layers` read, and what those that must write."""
    points: dict[ir.Value, None] = {}
    for node in layers:
        points.setdefault(operand(node, 0))
        if writes_quantized(node):
            points.setdefault(output_point(node))
    return list(points)


def writes_quantized(node: ir.Node) -> bool:
    """Whether `node`, made 8-bit, must write a quantized output to run in integers."""
    if node.op_type == "Conv":
        return True
    reader = only_reader(node.outputs[0])
    if reader is None:
        return False
    if node.op_type == "MatMul" and reader.op_type == "Add":
        shape = node.outputs[0].shape
        return shape is None or len(shape) <= 2
    return reader.op_type in _TIED_TO_READER[node.op_type]


def output_point(node: ir.Node) -> ir.Value:
    """The operator's output, or that of the clamp which alone reads it and which quantization can stand for."""
    reader = only_reader(node.outputs[0])
    if reader is not None and is_absorbable(reader):
        return reader.outputs[0]
    return node.outputs[0]


def is_absorbable(node: ir.Node) -> bool:
    """Whether `node` clamps to an interval around zero, as saturating integers do."""
    low, high = clamp_bounds(node) or (1.0, -1.0)
    return low <= 0.0 <= high and low < high


def clamp_bounds(node: ir.Node | None) -> Range | None:
    """What a Relu or Clip clamps to; None for other operators and for limits computed at run time."""
    if node is None or node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type == "Relu":
        return 0.0, math.inf
    if node.op_type != "Clip" or any(v is not None and v.const_value is None for v in node.inputs[1:]):
        return None
    limits = list(_UNBOUNDED)
    for index, value in enumerate(node.inputs[1:3]):
        if value is not None:
            limits[index] = float(constant(value).item())
    return limits[0], limits[1]


def range_source(value: ir.Value) -> ir.Value:
    """The tensor whose range, and hence scale, `value` shares: up through operators that only move values."""
    while (producer := value.producer()) is not None and producer.op_type in _RANGE_KEEPING:
        above = operand(producer, 0)
        if above.const_value is not None:
            break
        value = above
    return value


def readers_of_quantized(value: ir.Value, layers: Set[str], points: Iterable[ir.Value]) -> list[tuple[ir.Node, int]]:
    """Who reads the dequantized form of the point `value`, as (operator, input index).

    Args:
        value: A tensor that gets a pair.
        layers: Names of the 8-bit operators.
        points: All tensors that get a pair.
    """
    quantized_only, combined, chosen = only_quantized(value, layers), _is_combined(value), set(points)

    def reads(node: ir.Node) -> bool:
        if quantized_only or node.name in layers:
            return True
        if node.op_type in WEIGHTED or node.graph is not value.graph:
            return False
        return combined or (bool(node.outputs) and output_point(node) in chosen)

    return [(node, index) for node, index in value.uses() if reads(node)]


def only_quantized(value: ir.Value, layers: Set[str]) -> bool:
    """Whether only the quantized form of the point `value` may be read, since an 8-bit layer writes it.

    An integer kernel writes integers or floats. With one reader for each, ONNX Runtime leaves the layer in float.
    """
    node = _writer(value)
    return node is not None and node.name in layers


def _is_combined(value: ir.Value) -> bool:
    """Whether an operator without weights wrote `value`: it runs on integers when all its readers do."""
    node = _writer(value)
    return node is not None and node.op_type not in WEIGHTED


def _writer(value: ir.Value) -> ir.Node | None:
    """The operator that wrote `value`, seen through the clamp that it absorbs."""
    producer = value.producer()
    if producer is not None and is_absorbable(producer):
        before = operand(producer, 0)
        if only_reader(before) is producer:
            return before.producer()
    return producer


def only_reader(value: ir.Value) -> ir.Node | None:
    """The single operator that reads `value`; None where there are several, none, or `value` leaves the graph."""
    uses = value.uses()
    return next(iter(uses)).node if len(uses) == 1 and not value.is_graph_output() else None
