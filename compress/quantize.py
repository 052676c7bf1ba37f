"""8-bit static quantization as Q/DQ pairs, placed where runtimes fuse them.

Where the pairs stand decides the speed: an integer kernel needs a DequantizeLinear on every input and a
QuantizeLinear right behind the operator *and its activation*; a pair between a convolution and its Relu leaves both
in float. The rules here: an 8-bit layer reads a quantized input; an 8-bit convolution writes a quantized output,
behind a following Relu or Clip; what merely combines quantized tensors (Add, Concat, pooling) joins them when its
own result is quantized; a layer that the policy keeps in FP32 reads the unrounded tensor wherever one exists.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.errors import PolicyError
from compress.graph import add_initializer, constant, operand, output_axis, replace_constant
from compress.scheme import QuantizationScheme, Range

_ACTIVATIONS = ("Relu", "Clip")
# These move or select values: their result has their input's range, and must have its scale to be fused away.
_RANGE_KEEPING = ("MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Gather")
_WEIGHTED = ("Conv", "Gemm", "MatMul")

QuantizedWeight = tuple[NDArray[np.int8], NDArray[np.float32]]


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
        """Every operator named exists and its tensors are calibrated."""
        names = {node.name for node in model.graph}
        missing = sorted(set(self._weights) - names)
        if missing:
            raise PolicyError(f"no operator {missing[0]!r} to quantize in this network")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Insert the pairs and swap the weights."""
        nodes = [node for node in model.graph if node.name in self._weights]
        points = _points_to_quantize(nodes)
        parameters = {id(value): self._activation_parameters(value) for value in points}
        for node in nodes:
            self._swap_weight(model.graph, node, parameters[id(operand(node, 0))][0])
        for value in points:
            self._insert_pair(model.graph, value, parameters[id(value)], {id(point) for point in points})
        return ir.passes.PassResult(model, bool(nodes))

    def _activation_parameters(self, value: ir.Value) -> tuple[np.float32, np.integer[Any]]:
        source = value
        while (producer := source.producer()) is not None and producer.op_type in _RANGE_KEEPING:
            source = operand(producer, 0)
        name = source.name or ""
        if name not in self._ranges:
            raise PolicyError(f"tensor {name!r} was not calibrated")
        return self._scheme.activation_parameters(self._ranges[name])

    def _swap_weight(self, graph: ir.Graph, node: ir.Node, input_scale: np.float32) -> None:
        weight, scale = self._weights[node.name or ""]
        replace_constant(graph, node, 1, _dequantized_constant(graph, node, "weight", weight, scale, output_axis(node)))
        if len(node.inputs) > 2 and node.inputs[2] is not None:
            bias = constant(operand(node, 2))
            integers, bias_scale = self._scheme.quantize_bias(bias, input_scale, scale)
            replace_constant(graph, node, 2, _dequantized_constant(graph, node, "bias", integers, bias_scale, 0))

    def _insert_pair(
        self,
        graph: ir.Graph,
        value: ir.Value,
        parameters: tuple[np.float32, np.integer[Any]],
        points: set[int],
    ) -> None:
        readers = [(node, index) for node, index in value.uses() if self._reads_quantized(node, value, points)]
        is_output = value.is_graph_output() and self._is_written_quantized(value)
        name = value.name or ""
        scale = add_initializer(graph, f"{name}_scale", np.asarray(parameters[0]))
        zero_point = add_initializer(graph, f"{name}_zero_point", np.asarray(parameters[1]))
        quantize = ir.node(
            "QuantizeLinear",
            [value, scale, zero_point],
            name=f"{name}/quantize",
        )
        dequantize = ir.node("DequantizeLinear", [quantize.outputs[0], scale, zero_point], name=f"{name}/dequantize")
        quantize.outputs[0].name = f"{name}_quantized"
        dequantize.outputs[0].name = f"{name}_dequantized"
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

    def _is_written_quantized(self, value: ir.Value) -> bool:
        """Whether only the quantized form of `value` exists once the runtime has fused."""
        producer = value.producer()
        if producer is not None and producer.op_type in _ACTIVATIONS:
            producer = operand(producer, 0).producer()
        return producer is not None and producer.op_type == "Conv" and producer.name in self._weights

    def _reads_quantized(self, node: ir.Node, value: ir.Value, points: set[int]) -> bool:
        if self._is_written_quantized(value) or node.name in self._weights:
            return True
        if node.op_type in _WEIGHTED:
            return False
        return id(_output_point(node)) in points or self._is_combined(value)

    def _is_combined(self, value: ir.Value) -> bool:
        """Whether an operator without weights wrote `value`: it runs on integers when all its readers do."""
        producer = value.producer()
        if producer is not None and producer.op_type in _ACTIVATIONS:
            producer = operand(producer, 0).producer()
        return producer is not None and producer.op_type not in _WEIGHTED


def _points_to_quantize(nodes: list[ir.Node]) -> list[ir.Value]:
    """The tensors that get a pair, in graph order: inputs of 8-bit layers and outputs of 8-bit convolutions."""
    points: dict[int, ir.Value] = {}
    for node in nodes:
        source = operand(node, 0)
        points.setdefault(id(source), source)
        if node.op_type == "Conv":
            target = _output_point(node)
            points.setdefault(id(target), target)
    return list(points.values())


def _output_point(node: ir.Node) -> ir.Value:
    """The operator's output, or that of the activation which alone reads it."""
    output = node.outputs[0]
    readers = list(output.consumers())
    if len(readers) == 1 and not output.is_graph_output() and _clamps_only(readers[0]):
        return readers[0].outputs[0]
    return output


def _clamps_only(node: ir.Node) -> bool:
    if node.op_type == "Relu":
        return True
    return node.op_type == "Clip" and all(v is None or v.const_value is not None for v in node.inputs[1:])


def _dequantized_constant(
    graph: ir.Graph,
    node: ir.Node,
    role: str,
    integers: NDArray[np.generic],
    scale: NDArray[np.float32],
    axis: int,
) -> ir.Value:
    name = f"{node.name}_{role}"
    dequantize = ir.node(
        "DequantizeLinear",
        [
            add_initializer(graph, f"{name}_quantized", integers),
            add_initializer(graph, f"{name}_scale", scale),
            add_initializer(graph, f"{name}_zero_point", np.zeros(scale.shape, integers.dtype)),
        ],
        attributes={"axis": axis},
        name=f"{name}/dequantize",
    )
    dequantize.outputs[0].name = f"{name}_dequantized"
    graph.insert_before(node, dequantize)
    return dequantize.outputs[0]


def _take_over_output(graph: ir.Graph, value: ir.Value, replacement: ir.Value) -> None:
    """Let `replacement` be the graph output that `value` was, under its name."""
    position = next(i for i, output in enumerate(graph.outputs) if output is value)
    replacement.name, value.name = value.name, f"{value.name}_float"
    graph.outputs[position] = replacement
