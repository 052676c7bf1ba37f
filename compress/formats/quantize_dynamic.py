"""8-bit weights and activations whose range is taken anew at every inference.

Written as the chain that ONNX Runtime fuses into one kernel: DynamicQuantizeLinear, MatMulInteger, Cast, Mul, and Add
for a bias. The fused kernel (`DynamicQuantizeMatMul`, or `MatMulIntegerToFloat` where several layers share the
quantized tensor) takes a scale per output channel as well as one per tensor, and is 1% to 5% slower for it.

A range is that of one whole tensor, hence of all samples of a batch: a sample's result depends on its neighbours.
"""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.errors import PolicyError
from compress.formats.quantize import quantized_weight_names
from compress.formats.scheme import QuantizationScheme, QuantizedWeight
from compress.formats.substitute import MATRIX_PRODUCTS, bias_of, require_operators, substitute
from compress.graph import add_initializer, constant, derived, operand, output_axis


class DynamicQuantizeLayers(ir.passes.InPlacePass):
    """Give some matrix products 8-bit weights and activations with ranges of the moment.

    Layers that read the same tensor share its quantized form. Ensures that the graph's inputs and outputs keep their
    names, types and shapes.

    Args:
        scheme: The integer format of the weights. That of the activations is the operator's own, asymmetric uint8.
        weights: Name of a Gemm or MatMul to its quantized weight, in the stored shape, and scales, shape (out,).
    """

    def __init__(self, scheme: QuantizationScheme, weights: Mapping[str, QuantizedWeight]) -> None:
        super().__init__()
        self._scheme = scheme
        self._weights = weights

    def requires(self, model: ir.Model) -> None:
        """Every operator named is a matrix product with a float weight, and the integers given are that weight's."""
        require_operators(model.graph, self._weights.keys(), MATRIX_PRODUCTS, "quantize dynamically")
        for node in model.graph:
            if node.name in self._weights:
                self._check(node, *self._weights[node.name or ""])

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace each layer with its integer chain."""
        graph = model.graph
        sources: dict[ir.Value, ir.Node] = {}
        for node in [node for node in graph if node.name in self._weights]:
            source = operand(node, 0)
            if source not in sources:
                sources[source] = _quantize_source(source)
                graph.insert_before(node, sources[source])
            _replace(graph, node, sources[source], *self._weights[node.name or ""])
        return ir.passes.PassResult(model, bool(sources))

    def _check(self, node: ir.Node, integers: NDArray[np.int8], scale: NDArray[np.float32]) -> None:
        shape = constant(operand(node, 1)).shape
        if integers.shape != shape or scale.shape != (shape[output_axis(node)],):
            raise PolicyError(
                f"operator {node.name!r}: the weight has shape {shape}, got integers of shape {integers.shape} and "
                f"scales of shape {scale.shape}"
            )
        largest = int(np.abs(integers.astype(np.int16)).max())
        if integers.dtype != np.int8 or largest > self._scheme.weight_limit:
            raise PolicyError(
                f"operator {node.name!r}: {self._scheme.name} weights are int8 up to {self._scheme.weight_limit}, "
                f"got {integers.dtype} up to {largest}"
            )


def _quantize_source(source: ir.Value) -> ir.Node:
    """The operator that measures and quantizes `source`: its outputs are integers, scale and zero point."""
    stem = derived(source.name or "", "dynamic")
    quantize = ir.node("DynamicQuantizeLinear", [source], num_outputs=3, name=f"{stem}_quantize")
    types = (ir.DataType.UINT8, ir.DataType.FLOAT, ir.DataType.UINT8)
    for output, part, dtype in zip(quantize.outputs, ("quantized", "scale", "zero_point"), types, strict=True):
        output.name, output.type = f"{stem}_{part}", ir.TensorType(dtype)
        output.shape = source.shape if part == "quantized" else ir.Shape(())
    return quantize


def _replace(
    graph: ir.Graph, node: ir.Node, source: ir.Node, integers: NDArray[np.int8], scale: NDArray[np.float32]
) -> None:
    name = node.name or ""
    weight_name, _ = quantized_weight_names(name)
    inputs_first = integers if output_axis(node) == 1 else integers.T
    weight = add_initializer(graph, weight_name, inputs_first)
    shared = scale[0] if (scale == scale[0]).all() else scale
    weight_scale = add_initializer(graph, derived(name, "weight_scale"), np.asarray(shared))
    quantized, source_scale, source_zero_point = source.outputs

    def apply(op_type: str, inputs: list[ir.Value], role: str, **attributes: int) -> ir.Node:
        made = ir.node(op_type, inputs, attributes=attributes, name=derived(name, role))
        made.outputs[0].name = derived(name, role)
        return made

    product = apply("MatMulInteger", [quantized, weight, source_zero_point], "product")
    product.name = name
    as_float = apply("Cast", [product.outputs[0]], "product_float", to=int(ir.DataType.FLOAT))
    scales = apply("Mul", [source_scale, weight_scale], "product_scale")
    scaled = apply("Mul", [as_float.outputs[0], scales.outputs[0]], "product_scaled")
    chain = [product, as_float, scales, scaled]
    if (bias := bias_of(node)) is not None:
        chain.append(apply("Add", [scaled.outputs[0], bias], "biased"))
    substitute(graph, node, chain)
