"""8-bit static quantization as Q/DQ pairs, standing where `placement` says."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.errors import PolicyError
from compress.formats.placement import (
    clamp_bounds,
    is_absorbable,
    only_quantized,
    points_to_quantize,
    range_source,
    readers_of_quantized,
)
from compress.formats.scheme import ActivationParameters, QuantizationScheme, QuantizedWeight, Range
from compress.graph import add_initializer, constant, derived, operand, output_axis, replace_constant


class QuantizeLayers(ir.passes.InPlacePass):
    """Give some weighted operators 8-bit weights and activations.

    Requires activation ranges for every tensor that gets quantized, by value name. Ensures that the graph's inputs
    and outputs keep their names, types and shapes.

    Args:
        scheme: The integer formats.
        weights: Operator name to its quantized weight and scales; these operators become 8-bit.
        ranges: Calibrated (low, high) by value name.
    """

    def __init__(
        self, scheme: QuantizationScheme, weights: Mapping[str, QuantizedWeight], ranges: Mapping[str, Range]
    ) -> None:
        super().__init__()
        self._scheme = scheme
        self._weights = weights
        self._ranges = ranges

    def requires(self, model: ir.Model) -> None:
        """Every operator named exists."""
        missing = sorted(set(self._weights) - {node.name for node in model.graph})
        if missing:
            raise PolicyError(f"no operator {missing[0]!r} to quantize in this network")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Insert the pairs and swap the weights."""
        graph = model.graph
        nodes = [node for node in graph if node.name in self._weights]
        points = points_to_quantize(nodes)
        parameters = {value: self._activation_parameters(value) for value in points}
        # All decisions are taken on the graph as it was found, before the first edit.
        plans = [
            (
                value,
                readers_of_quantized(value, self._weights.keys(), points),
                value.is_graph_output() and only_quantized(value, self._weights.keys()),
            )
            for value in points
            if not self._is_dequantized(value)
        ]
        for node in nodes:
            self._swap_weight(graph, node, parameters[operand(node, 0)][0])
        for value, readers, is_output in plans:
            self._insert_pair(graph, value, parameters[value], readers, is_output=is_output)
        return ir.passes.PassResult(model, bool(nodes))

    def _activation_parameters(self, value: ir.Value) -> ActivationParameters:
        if self._is_dequantized(value):
            producer = value.producer()
            assert producer is not None  # noqa: S101  # it is a DequantizeLinear
            scale, zero_point = constant(operand(producer, 1)), constant(operand(producer, 2))
            return np.float32(scale.item()), self._scheme.activation_dtype(zero_point.item())
        source = range_source(value)
        found = self._ranges.get(source.name or "")
        if found is None:
            raise PolicyError(f"tensor {source.name!r} was not calibrated")
        bounds = clamp_bounds(source.producer())
        return self._scheme.activation_parameters(found, *([bounds] if bounds else []))

    def _is_dequantized(self, value: ir.Value) -> bool:
        """Whether the network as it came has quantized `value` already, in the scheme's own format."""
        producer = value.producer()
        if producer is None or producer.op_type != "DequantizeLinear" or len(producer.inputs) < 3:
            return False
        constants = [v.const_value for v in producer.inputs[1:3] if v is not None]
        return (
            len(constants) == 2
            and all(c is not None and c.size == 1 for c in constants)
            and (constant(operand(producer, 2)).dtype == self._scheme.activation_dtype)
        )

    def _swap_weight(self, graph: ir.Graph, node: ir.Node, input_scale: np.float32) -> None:
        weight = self._weights[node.name or ""]
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        if bias is not None and self._scheme.integer_bias:
            values = constant(bias)
            weight = self._scheme.make_room_for_bias(weight, output_axis(node), values, input_scale)
            integers, bias_scale = self._scheme.quantize_bias(values, input_scale, weight[1])
            replace_constant(graph, node, 2, _dequantized_constant(graph, node, "bias", integers, bias_scale, 0))
        replace_constant(graph, node, 1, _dequantized_constant(graph, node, "weight", *weight, output_axis(node)))

    def _insert_pair(
        self,
        graph: ir.Graph,
        value: ir.Value,
        parameters: ActivationParameters,
        readers: list[tuple[ir.Node, int]],
        *,
        is_output: bool,
    ) -> None:
        name = value.name or ""
        scale = add_initializer(graph, derived(name, "scale"), np.asarray(parameters[0]))
        zero_point = add_initializer(graph, derived(name, "zero_point"), np.asarray(parameters[1]))
        quantize = ir.node("QuantizeLinear", [value, scale, zero_point], name=derived(name, "quantize"))
        dequantize = ir.node(
            "DequantizeLinear", [quantize.outputs[0], scale, zero_point], name=derived(name, "dequantize")
        )
        quantize.outputs[0].name = derived(name, "quantized")
        dequantize.outputs[0].name = derived(name, "dequantized")
        dequantize.outputs[0].type, dequantize.outputs[0].shape = value.type, value.shape
        producer = value.producer()
        if producer is None:
            graph.insert_before(graph[0], [quantize, dequantize])
        else:
            graph.insert_after(producer, [quantize, dequantize])
        for node, index in readers:
            node.replace_input_with(index, dequantize.outputs[0])
        if is_output:
            _take_over_output(graph, value, dequantize.outputs[0])
        if self._scheme.saturates_like_clamp:
            _absorb_clamp(graph, quantize)


def quantized_weight_names(node_name: str) -> tuple[str, str]:
    """What the integer weight of an 8-bit operator and its dequantized form are called."""
    stem = derived(node_name, "weight")
    return f"{stem}_quantized", f"{stem}_dequantized"


def _absorb_clamp(graph: ir.Graph, quantize: ir.Node) -> None:
    """Drop the Relu or Clip that only `quantize` reads: the integers' range lies within it, so they saturate alike.

    ONNX Runtime does the same for a Relu, but not for every Clip, and with a Clip in between the layer stays in float.
    """
    value = operand(quantize, 0)
    clamp = value.producer()
    if clamp is None or not is_absorbable(clamp) or len(value.uses()) > 1 or value.is_graph_output():
        return
    quantize.replace_input_with(0, operand(clamp, 0))
    limits = [v for v in clamp.inputs[1:] if v is not None]
    graph.remove(clamp, safe=True)
    for limit in limits:
        if not limit.uses() and not limit.is_graph_output() and limit.name is not None:
            graph.initializers.pop(limit.name, None)


def _dequantized_constant(
    graph: ir.Graph,
    node: ir.Node,
    role: str,
    integers: NDArray[np.generic],
    scale: NDArray[np.float32],
    axis: int,
) -> ir.Value:
    name = derived(node.name or "", role)
    inputs: list[tuple[str, NDArray[Any]]] = [
        ("quantized", integers),
        ("scale", scale),
        ("zero_point", np.zeros(scale.shape, integers.dtype)),
    ]
    dequantize = ir.node(
        "DequantizeLinear",
        [add_initializer(graph, f"{name}_{part}", array) for part, array in inputs],
        attributes={"axis": axis},
        name=f"{name}_dequantize",
    )
    dequantize.outputs[0].name = f"{name}_dequantized"
    graph.insert_before(node, dequantize)
    return dequantize.outputs[0]


def _take_over_output(graph: ir.Graph, value: ir.Value, replacement: ir.Value) -> None:
    """Let `replacement` be the graph output that `value` was, under its name."""
    position = next(i for i, output in enumerate(graph.outputs) if output is value)
    replacement.name, value.name = value.name, derived(value.name or "", "float")
    graph.outputs[position] = replacement
