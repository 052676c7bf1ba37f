"""Which tensors have channels that can be scaled: layers around them, and at most a homogeneous operator between."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from compress.formats.placement import clamp_bounds, is_absorbable, only_reader
from compress.formats.scheme import Range
from compress.graph import operand
from compress.layers import Layer, Skipped
from compress.network import Network
from compress.weight_rows import inputs_per_group


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A tensor whose channels can be scaled.

    Attributes:
        producer: The layer that writes it.
        consumers: The layers that read it, and all that do.
        tensor: Its name: behind the operator between the layers, where there is one.
        bounds: What it has been clamped to; infinite where it has not.
    """

    producer: Layer
    consumers: tuple[Layer, ...]
    tensor: str
    bounds: Range

    @property
    def channel_axis(self) -> int:
        """Which axis of the tensor counts channels: 1, or the last (-1)."""
        return 1 if self.producer.op_type == "Conv" else -1


def find_pairs(network: Network) -> tuple[tuple[Pair, ...], tuple[Skipped, ...]]:
    """Where channels can be scaled, in the network's order, and the layers behind which they cannot, with reasons."""
    by_name = {layer.node_name: layer for layer in network.layers}
    layers = {node: by_name[node.name] for node in network.model.graph if node.name in by_name}
    pairs: list[Pair] = []
    left_alone: list[Skipped] = []
    for node, layer in layers.items():
        found = _pair(node, layers)
        if isinstance(found, Pair):
            pairs.append(found)
        else:
            left_alone.append(Skipped(name=layer.name, op_type=layer.op_type, reason=found))
    return tuple(pairs), tuple(left_alone)


def _pair(node: ir.Node, layers: Mapping[ir.Node, Layer]) -> Pair | str:
    """The pair that `node` begins, or why it begins none."""
    value, bounds = node.outputs[0], (-np.inf, np.inf)
    between = only_reader(value)
    if between is not None and between not in layers:
        found = _homogeneous_bounds(between)
        if isinstance(found, str):
            return found
        value, bounds = between.outputs[0], found
    reason = _reason_by_readers(node, value, layers) or _reason_by_constants(node, value)
    if reason:
        return reason
    consumers = tuple(layers[reader] for reader, _ in value.uses())
    return Pair(producer=layers[node], consumers=consumers, tensor=value.name or "", bounds=bounds)


def _reason_by_readers(node: ir.Node, value: ir.Value, layers: Mapping[ir.Node, Layer]) -> str:
    if value.is_graph_output():
        return "its output leaves the network"
    if not value.uses():
        return "nobody reads its output"
    for reader, index in value.uses():
        if reader not in layers or index != 0:
            return _cannot_undo(reader)
        if (reader.op_type == "Conv") != (node.op_type == "Conv"):
            return f"{reader.op_type} {reader.name!r} counts its channels along another axis"
        layer = layers[reader]
        if layer.groups * inputs_per_group(layer) != layers[node].output_channels:
            return f"{reader.op_type} {reader.name!r} reads another number of channels"
    return ""


def _reason_by_constants(node: ir.Node, value: ir.Value) -> str:
    for constant_value in (*node.inputs[1:], *(operand(reader, 1) for reader, _ in value.uses())):
        if constant_value is not None and (len(constant_value.uses()) > 1 or constant_value.is_graph_output()):
            return f"constant {constant_value.name!r} is used more than once"
    return ""


def _cannot_undo(reader: ir.Node) -> str:
    return f"its output is read by {reader.op_type} {reader.name!r}, which cannot undo a scale"


def _homogeneous_bounds(node: ir.Node) -> Range | str:
    """What the operator between two layers clamps to, or why no scale passes through it."""
    if node.domain in ("", "ai.onnx") and node.op_type in ("LeakyRelu", "PRelu"):
        if node.op_type == "PRelu" and operand(node, 1).const_value is None:
            return f"PRelu {node.name!r} computes its slope at run time"
        return -np.inf, np.inf
    bounds = clamp_bounds(node)
    if bounds is None:
        return _cannot_undo(node)
    return bounds if is_absorbable(node) else f"Clip {node.name!r} does not leave zero as it is"
