"""A float structure in which a policy's number formats are rehearsed: what training runs once rounding has set in.

Where activations are rounded is decided by the pass that will write the candidate's own Q/DQ pairs: it is carried out
here too, and what it has written is then replaced by operators with gradients (`torch_graph.rounding`).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from compress.formats.placement import clamp_bounds, points_to_quantize, range_source
from compress.formats.quantize import QuantizeLayers
from compress.formats.scheme import QuantizationScheme, Range
from compress.graph import add_initializer, constant, derived, operand, output_axis
from compress.plan import LayerPlan
from compress.recovery.float_structure import FloatStructure
from compress.stitch import Compressor

DOMAIN = "paretune.training"
"""Of the operators that rehearse a format; they never leave this process."""

_BITS = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class LearnedRange:
    """The grid of one tensor's 8-bit form, whose scale is learned.

    Attributes:
        tensor: Whose range it is; others that only move its values share it.
        parameter: What the initializer that holds the logarithm of the scale is called.
        scale: To begin with.
        zero_point: The integer that stands for 0; it stays.
        lowest: Least integer.
        highest: Largest integer.
        largest_scale: Beyond it the grid would reach past what a Relu or Clip lets through.
    """

    tensor: str
    parameter: str
    scale: float
    zero_point: int
    lowest: int
    highest: int
    largest_scale: float

    def at(self, scale: float) -> Range:
        """The range that makes the candidate's grid this one with another scale."""
        scale = min(scale, self.largest_scale)
        lowest = -self.highest if self.lowest < 0 else self.lowest  # a symmetric grid leaves its least integer unused
        return (lowest - self.zero_point) * scale, (self.highest - self.zero_point) * scale


@dataclass(frozen=True, kw_only=True, eq=False)
class RoundedGraph:
    """A graph that answers as the candidate will.

    Attributes:
        model: The graph, for `TorchGraph` only.
        ranges: The grids whose scales are learned.
        stand_ins: Name of a tensor of the float structure that the candidate does not write, since its integers
            saturate where a Relu or Clip did, to that of what is written in its place.
    """

    model: ir.Model
    ranges: tuple[LearnedRange, ...]
    stand_ins: Mapping[str, str]


def range_tensors(structure: FloatStructure) -> list[str]:
    """Names of the tensors whose ranges the policy's 8-bit layers need."""
    nodes = _static_nodes(structure, structure.model)
    return list(dict.fromkeys(range_source(value).name or "" for value in points_to_quantize(nodes)))


def half_precision_tensors(compressor: Compressor, structure: FloatStructure) -> list[str]:
    """Names of the tensors that must fit into half precision, where a layer has that format."""
    if not any(plan.format == "fp16" for plan in structure.plans):
        return []
    present = {*(value.name for value in structure.model.graph.inputs)}
    present |= {value.name for node in structure.model.graph for value in node.outputs}
    return [name for name in compressor.calibration.histograms if name in present]


def rehearse(compressor: Compressor, structure: FloatStructure, ranges: Mapping[str, Range]) -> RoundedGraph:
    """The structure with its policy's formats.

    Args:
        compressor: That will build the candidate.
        structure: In floats.
        ranges: Range by tensor name, for `range_tensors`, to begin with.
    """
    model = structure.model.clone()
    learned = _round_static(compressor.scheme, structure, model, ranges) if compressor.scheme is not None else ()
    for plan in structure.plans:
        if plan.format == "fp16" and not plan.is_ended:
            _round_half(_operators(structure, model, [plan]))
        grid = compressor.grid(plan.format)
        if grid is None or plan.is_ended or plan.format == "int8":
            continue
        for node in _operators(structure, model, [plan]):
            if plan.format == "int8-dynamic":
                _insert(node, 0, "RoundDynamically", {})
            _round_weight(node, limit=grid.limit, bits=grid.bits, block=grid.block)
    common.RemoveUnusedNodesPass()(model)  # what the integers would have been dequantized by
    written = {value.name for node in model.graph for value in node.outputs}
    gone = [value.name or "" for node in structure.model.graph for value in node.outputs if value.name not in written]
    stand_ins = {name: derived(name, "dequantized") for name in gone if derived(name, "dequantized") in written}
    return RoundedGraph(model=model, ranges=tuple(learned), stand_ins=stand_ins)


def _round_static(
    scheme: QuantizationScheme, structure: FloatStructure, model: ir.Model, ranges: Mapping[str, Range]
) -> list[LearnedRange]:
    nodes = _static_nodes(structure, model)
    if not nodes:
        return []
    # The pass gives some values other names: what they are called is noted before.
    grids: dict[str, LearnedRange] = {}
    points: dict[str, LearnedRange] = {}
    for value in points_to_quantize(nodes):
        source = range_source(value)
        name = source.name or ""
        if name not in grids:
            grids[name] = _grid(scheme, name, ranges[name], clamp_bounds(source.producer()))
        points[value.name or ""] = grids[name]
    floats = {node.name: [value for value in node.inputs[1:3] if value is not None] for node in nodes}
    arrays = {value.name or "": constant(value) for values in floats.values() for value in values}
    placeholders = {
        node.name or "": (
            np.zeros(constant(operand(node, 1)).shape, np.int8),
            np.ones(constant(operand(node, 1)).shape[output_axis(node)], np.float32),
        )
        for node in nodes
    }
    axes = {node.name: output_axis(node) for node in nodes}
    QuantizeLayers(scheme, placeholders, ranges)(model)
    graph = model.graph
    for node in nodes:
        for index, value in enumerate(floats[node.name], start=1):
            name = value.name or ""
            back = graph.initializers.get(name)
            node.replace_input_with(index, add_initializer(graph, name, arrays[name]) if back is None else back)
        _round_weight(node, axis=axes[node.name], limit=scheme.weight_limit, bits=_BITS, block=0)
    for name, grid in points.items():
        _rehearse_pair(graph, name, grid)
    return list(grids.values())


def _grid(scheme: QuantizationScheme, tensor: str, found: Range, bounds: Range | None) -> LearnedRange:
    scale, zero_point = scheme.activation_parameters(found, *([bounds] if bounds else []))
    limits = np.iinfo(scheme.activation_dtype)
    largest = math.inf
    if bounds is not None and scheme.saturates_like_clamp:
        for steps, limit in ((int(zero_point) - limits.min, -bounds[0]), (limits.max - int(zero_point), bounds[1])):
            largest = min(largest, limit / steps) if steps else largest
    return LearnedRange(
        tensor=tensor,
        parameter=derived(tensor, "log_scale"),
        scale=float(scale),
        zero_point=int(zero_point),
        lowest=int(limits.min),
        highest=int(limits.max),
        largest_scale=largest,
    )


def _rehearse_pair(graph: ir.Graph, point: str, grid: LearnedRange) -> None:
    """Replace the pair at a point by its rehearsal."""
    quantize = next((node for node in graph if node.name == derived(point, "quantize")), None)
    if quantize is None:  # the network as it came has quantized this tensor already
        return
    dequantize = quantize.outputs[0].consumers()[0]
    log_scale = graph.initializers.get(grid.parameter)
    if log_scale is None:
        log_scale = add_initializer(graph, grid.parameter, np.array(math.log(grid.scale), np.float32))
    rounded = ir.node(
        "RoundActivation",
        [operand(quantize, 0), log_scale],
        domain=DOMAIN,
        name=derived(point, "rounded"),
        attributes={
            "zero_point": grid.zero_point,
            "lowest": grid.lowest,
            "highest": grid.highest,
            "largest_scale": grid.largest_scale,
        },
    )
    ir.convenience.replace_nodes_and_values(
        graph, quantize, [dequantize, quantize], [rounded], [dequantize.outputs[0]], [rounded.outputs[0]]
    )


def _round_weight(node: ir.Node, *, limit: int, bits: int, block: int, axis: int | None = None) -> None:
    attributes = {"axis": output_axis(node) if axis is None else axis}
    if block:
        _insert(node, 1, "RoundBlocks", {**attributes, "bits": bits, "block": block})
    else:
        _insert(node, 1, "RoundChannels", {**attributes, "limit": limit})


def _round_half(nodes: Iterable[ir.Node]) -> None:
    """Weights and biases only: what lies between is rounded by some kernels and widened again by others."""
    for node in nodes:
        for index, value in enumerate(node.inputs[1:], start=1):
            if value is not None and value.const_value is not None:
                _insert(node, index, "RoundHalf", {})


def _insert(node: ir.Node, index: int, op_type: str, attributes: Mapping[str, int]) -> None:
    """Let `node` read its input `index` through a rehearsal."""
    value = operand(node, index)
    name = derived(node.name or "", f"{op_type}_{index}")
    made = ir.node(op_type, [value], domain=DOMAIN, attributes=attributes, name=name)
    made.outputs[0].name = derived(name, "output")
    assert node.graph is not None  # noqa: S101  # it is an operator of the model's graph
    node.graph.insert_before(node, made)
    node.replace_input_with(index, made.outputs[0])


def _static_nodes(structure: FloatStructure, model: ir.Model) -> list[ir.Node]:
    static = [plan for plan in structure.plans if plan.format == "int8" and not plan.is_ended]
    return _operators(structure, model, static)


def _operators(structure: FloatStructure, model: ir.Model, plans: Iterable[LayerPlan]) -> list[ir.Node]:
    """The operators of some layers in the graph's order."""
    names = {name for plan in plans for name in structure.operators(plan)}
    return [node for node in model.graph if node.name in names]
