"""Finding what can be compressed: layers with constant weights, and the reasons for leaving others alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from compress.graph import constant, operand, output_axis

_WEIGHTED = ("Conv", "Gemm", "MatMul")
_WEIGHTED_BUT_UNSUPPORTED = ("ConvTranspose", "LSTM", "GRU", "RNN", "Einsum")
_QUANTIZED = ("DequantizeLinear", "QLinearConv", "QLinearMatMul", "MatMulInteger", "ConvInteger")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One operator with a constant weight.

    Attributes:
        name: What policies and reports call it: from the weight's name where it has a telling one.
        node_name: The operator's name in the normalized graph.
        op_type: `Conv`, `Gemm` or `MatMul`.
        weight_name: The initializer's name.
        weight_shape: As stored: Conv (out, in/groups, *kernel); Gemm and MatMul 2-D.
        output_axis: Which axis of the weight counts output channels.
        groups: Groups of a Conv, else 1.
        macs: Multiply-adds per sample, in the example's shape; 0 where shapes cannot be inferred.
    """

    name: str
    node_name: str
    op_type: str
    weight_name: str
    weight_shape: tuple[int, ...]
    output_axis: int
    groups: int
    macs: int

    @property
    def weight_count(self) -> int:
        """Number of weights, bias excluded."""
        return math.prod(self.weight_shape)

    @property
    def output_channels(self) -> int:
        """Number of output channels or units."""
        return self.weight_shape[self.output_axis]

    @property
    def is_depthwise(self) -> bool:
        """Whether each group sees a single input channel."""
        return self.op_type == "Conv" and self.groups > 1 and self.weight_shape[1] == 1


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """An operator that carries weights and is left alone."""

    name: str
    op_type: str
    reason: str


def find_layers(model: ir.Model, example: Mapping[str, NDArray[Any]]) -> tuple[tuple[Layer, ...], tuple[Skipped, ...]]:
    """The compressible layers in topological order, and the others with their reasons."""
    shapes = _shapes_for(model, example)
    layers: list[Layer] = []
    skipped: list[Skipped] = []
    taken: set[str] = set()
    for node in model.graph.all_nodes():
        reason = _reason_to_skip(node, model.graph)
        if reason == "":
            layer = _describe(node, shapes, taken)
            taken.add(layer.name)
            layers.append(layer)
        elif reason is not None:
            skipped.append(Skipped(name=node.name or node.op_type, op_type=node.op_type, reason=reason))
    return tuple(layers), tuple(skipped)


def _reason_to_skip(node: ir.Node, graph: ir.Graph) -> str | None:
    """Empty for a layer, None for an operator without weights, else why it is left alone."""
    if node.domain not in ("", "ai.onnx") or node.op_type in _QUANTIZED[1:]:
        has_weights = any(v is not None and v.const_value is not None for v in node.inputs)
        return f"operator {node.domain}:{node.op_type} is not one we compress" if has_weights else None
    if node.op_type in _WEIGHTED_BUT_UNSUPPORTED:
        return f"{node.op_type} is not supported"
    if node.op_type not in _WEIGHTED:
        return None
    if node.graph is not graph:
        return "it stands inside a control-flow subgraph"
    return _reason_by_weight(node) or _reason_by_attributes(node)


def _reason_by_weight(node: ir.Node) -> str:
    weight = operand(node, 1)
    tensor = weight.const_value
    if tensor is None:
        return _reason_without_constant(node, weight.producer())
    if tensor.dtype != ir.DataType.FLOAT:
        return f"its weight is {tensor.dtype.name.lower()}; only float32 is compressed"
    if node.op_type != "Conv" and len(tensor.shape) != 2:
        return f"its weight has {len(tensor.shape)} axes; only matrices are compressed"
    if not math.prod(tensor.shape.numpy()):
        return "its weight is empty"
    return ""


def _reason_without_constant(node: ir.Node, producer: ir.Node | None) -> str:
    if node.op_type == "MatMul" and operand(node, 0).const_value is not None:
        return "its constant is the left operand"
    if producer is not None and producer.op_type in _QUANTIZED:
        return "its weight is quantized already"
    return "its weight is computed at run time"


def _reason_by_attributes(node: ir.Node) -> str:
    if node.op_type == "Gemm":
        if "transA" in node.attributes and node.attributes["transA"].as_int():
            return "its input is transposed (transA)"
        for name in ("alpha", "beta"):
            factor = node.attributes.get_float(name, 1.0)
            if factor != 1.0:
                return f"{name} is {factor:g}, not 1"
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is not None and bias.const_value is None:
        return "its bias is computed at run time"
    if node.op_type == "Gemm" and bias is not None and bias.const_value is not None:
        units = constant(operand(node, 1)).shape[output_axis(node)]
        if constant(bias).shape != (units,):
            return "its bias is not one value per unit"
    return ""


def _describe(node: ir.Node, shapes: Mapping[str, tuple[int, ...]], taken: set[str]) -> Layer:
    weight = operand(node, 1)
    weight_shape = constant(weight).shape
    axis = output_axis(node)
    return Layer(
        name=_layer_name(node, weight.name or "", taken),
        node_name=node.name or "",
        op_type=node.op_type,
        weight_name=weight.name or "",
        weight_shape=weight_shape,
        output_axis=axis,
        groups=node.attributes.get_int("group", 1) if node.op_type == "Conv" else 1,
        macs=_macs(node, weight_shape, axis, shapes),
    )


def _layer_name(node: ir.Node, weight_name: str, taken: set[str]) -> str:
    """`blocks.0.conv1` from `blocks.0.conv1.weight`; the operator's own name for anonymous weights."""
    stem, _, last = weight_name.rpartition(".")
    if stem and last == "weight" and stem not in taken:
        return stem
    name = node.name or f"{node.op_type}_{len(taken)}"
    while name in taken:
        name += "_"
    return name


def _macs(node: ir.Node, weight_shape: tuple[int, ...], axis: int, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Multiply-adds per sample: every output element costs one column of the weight."""
    output = shapes.get(node.outputs[0].name or "")
    if output is None:
        return 0
    per_output = math.prod(weight_shape) // weight_shape[axis]
    return math.prod(output[1:]) * per_output


def _shapes_for(model: ir.Model, example: Mapping[str, NDArray[Any]]) -> dict[str, tuple[int, ...]]:
    """Static shapes by value name when the network is fed one sample of `example`."""
    from onnx_ir.passes import common

    fixed = model.clone()
    for node in fixed.graph.all_nodes():
        for output in node.outputs:
            output.shape = None
    for graph_input in fixed.graph.inputs:
        graph_input.shape = ir.Shape((1, *example[graph_input.name or ""].shape[1:]))
    common.ShapeInferencePass()(fixed)
    shapes = {}
    for node in fixed.graph.all_nodes():
        for output in node.outputs:
            if output.shape is not None and output.shape.is_static():
                shapes[output.name or ""] = tuple(int(n) for n in output.shape.numpy())
    return shapes
