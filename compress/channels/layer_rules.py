"""Channels in matrix products: layers end the flow of what they read and start one of their own."""

from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.channels.alignment import broadcast
from compress.channels.axes import Axes, Dimension, opaque
from compress.channels.flow import ChannelFlow, NotUnderstood, describe
from compress.graph import operand


def convolution(flow: ChannelFlow, node: ir.Node) -> None:
    """A Conv: groups tie the channels that they hold."""
    layer, x = flow.layer(node), flow.of(node, 0)
    if x.rank != len(layer.weight_shape):
        raise NotUnderstood(f"{describe(node)} reads {x.rank} axes")
    for axis in range(2, x.rank):
        x = x.settle(axis, flow.labels, f"{describe(node)} slides over them")
    x, inputs = _read_channels(flow, node, x, 1)
    outputs = flow.labels.fresh(layer.output_channels)
    if layer.groups > 1:
        reason = "its groups tie its outputs to inputs that must stay"
        rows = outputs.reshape(layer.groups, -1)
        flow.labels.unite(rows, rows[:, :1], reason)
        flow.labels.unite(inputs.reshape(layer.groups, -1), rows[:, :1], reason)
    spatial = opaque(flow.output_sizes(node, x.rank)[2:])
    x = replace(x, dimensions=(*x.dimensions[:2], *spatial.dimensions))
    flow.inputs[layer.name], flow.outputs[layer.name] = inputs, outputs
    flow.write(node, _with_channels(flow, x, 1, outputs))


def matrix_product(flow: ChannelFlow, node: ir.Node) -> None:
    """A Gemm, or a MatMul of an activation with a weight or with another activation."""
    if node.op_type == "MatMul" and operand(node, 0).const_value is None and operand(node, 1).const_value is None:
        _activations(flow, node)
        return
    layer, x = flow.layer(node), flow.of(node, 0)
    x, inputs = _read_channels(flow, node, x, x.rank - 1)
    outputs = flow.labels.fresh(layer.output_channels)
    flow.inputs[layer.name], flow.outputs[layer.name] = inputs, outputs
    flow.write(node, _with_channels(flow, x, x.rank - 1, outputs))


def _read_channels(flow: ChannelFlow, node: ir.Node, x: Axes, axis: int) -> tuple[Axes, NDArray[np.int64]]:
    """The axes without the one that the layer sums over, and the labels along it."""
    isolated = x.isolate(axis, flow.labels, f"{describe(node)} mixes them")
    inputs = isolated.vector(axis)
    if inputs is None:
        raise NotUnderstood(f"{describe(node)} reads channels whose number is unknown")
    return isolated.with_axis(axis, ()), inputs


def _with_channels(flow: ChannelFlow, x: Axes, axis: int, outputs: NDArray[np.int64]) -> Axes:
    if len(outputs) > 1:
        return x.with_axis(axis, (Dimension(len(outputs)),), outputs)
    # Tensors with an axis of length 1 broadcast: it can be neither removed nor told apart from others.
    flow.labels.block(outputs, "it has a single output")
    return x


def _activations(flow: ChannelFlow, node: ir.Node) -> None:
    """Rows times columns: an elementwise product over batch, row, inner and column axes, summed over the inner one."""
    left, right = flow.of(node, 0), flow.of(node, 1).renewed()
    if min(left.rank, right.rank) < 2:
        raise NotUnderstood(f"{describe(node)} multiplies a vector")
    left = replace(left, dimensions=(*left.dimensions, ()))
    right = replace(right, dimensions=(*right.dimensions[:-2], (), *right.dimensions[-2:]))
    joint = broadcast([left, right], flow.labels, f"{describe(node)} multiplies them with channels that must stay")
    inner = joint.rank - 2
    joint = joint.settle(inner, flow.labels, f"{describe(node)} multiplies activations over them")
    flow.write(node, replace(joint, dimensions=(*joint.dimensions[:inner], joint.dimensions[-1])))
