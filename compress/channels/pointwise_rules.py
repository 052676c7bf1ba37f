"""Channels in operators that treat them one by one, or that compute over whole axes."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from compress.channels.alignment import broadcast
from compress.channels.axes import Axes, Dimension, opaque
from compress.channels.edits import TakeConstant
from compress.channels.flow import ChannelFlow, NotUnderstood, describe
from compress.graph import constant


def unary(flow: ChannelFlow, node: ir.Node) -> None:
    """Element by element; further inputs are constant scalars."""
    x = flow.of(node, 0)
    for value in node.inputs[1:]:
        if value is not None and (value.const_value is None or value.const_value.size != 1):
            raise NotUnderstood(f"{describe(node)} reads {value.name!r}, which is no constant scalar")
    if any(value.uses() or value.is_graph_output() for value in node.outputs[1:]):
        raise NotUnderstood(f"{describe(node)} has outputs that are not understood")
    flow.write(node, x)


def elementwise(flow: ChannelFlow, node: ir.Node) -> None:
    """Several tensors, broadcast against one another; constants among them are cut to what is left."""
    constants = {i: v for i, v in enumerate(node.inputs) if v is not None and v.const_value is not None}
    operands = [flow.of(node, i) for i, v in enumerate(node.inputs) if v is not None and i not in constants]
    if not operands:
        raise NotUnderstood(f"{describe(node)} reads constants only")
    joint = broadcast(operands, flow.labels, f"{describe(node)} combines them with channels that must stay")
    rank = max([joint.rank, *(constant(value).ndim for value in constants.values())])
    joint = replace(joint, dimensions=((),) * (rank - joint.rank) + joint.dimensions)
    for value in constants.values():
        for axis, size in enumerate(constant(value).shape, start=rank - constant(value).ndim):
            if size != 1 and joint.size(axis) != size:
                reason = f"{describe(node)} combines them with constants that must stay"
                joint = joint.settle(axis, flow.labels, reason).with_axis(axis, [Dimension(size)])
    for index, value in constants.items():
        take_along(flow, node, index, joint, rank - constant(value).ndim)
    flow.write(node, joint)


def take_along(flow: ChannelFlow, node: ir.Node, index: int, axes: Axes, offset: int, skip: int | None = None) -> None:
    """A constant input lies along `axes` from `offset` on: it loses what they lose, but for the axis `skip`."""
    value = node.inputs[index]
    if value is None:
        return
    for axis, size in enumerate(constant(value).shape):
        if size != 1 and axis + offset != skip and axes.size(axis + offset) == size:
            flow.edit(TakeConstant, node, index, (axes, axis + offset), axis=axis)


def batch_norm(flow: ChannelFlow, node: ir.Node) -> None:
    """Inference only: four constants per channel."""
    x = flow.of(node, 0)
    if node.attributes.get_int("training_mode", 0) or any(v is None or v.const_value is None for v in node.inputs[1:]):
        raise NotUnderstood(f"{describe(node)} has no constant statistics")
    for index in range(1, 5):
        take_along(flow, node, index, x, 1)
    flow.write(node, x)


def instance_norm(flow: ChannelFlow, node: ir.Node) -> None:
    """Statistics over all axes but sample and channel, then two constants per channel."""
    if any(v is None or v.const_value is None for v in node.inputs[1:]):
        raise NotUnderstood(f"{describe(node)} has no constant parameters")
    x = _settled(flow, node, range(2, flow.of(node, 0).rank))
    for index in (1, 2):
        take_along(flow, node, index, x, 1)
    flow.write(node, x)


def layer_norm(flow: ChannelFlow, node: ir.Node) -> None:
    """Statistics over the last axes."""
    if any(v is not None and v.const_value is None for v in node.inputs[1:]):
        raise NotUnderstood(f"{describe(node)} has no constant parameters")
    if any(value.uses() or value.is_graph_output() for value in node.outputs[1:]):
        raise NotUnderstood(f"{describe(node)} has outputs that are not understood")
    rank = flow.of(node, 0).rank
    flow.write(node, _settled(flow, node, range(node.attributes.get_int("axis", -1) % rank, rank)))


def along_axis(flow: ChannelFlow, node: ir.Node) -> None:
    """Softmax and its like."""
    rank = flow.of(node, 0).rank
    flow.write(node, _settled(flow, node, [node.attributes.get_int("axis", -1) % rank]))


def reduce_axes(flow: ChannelFlow, node: ir.Node) -> None:
    """Sums, means and extremes over some axes."""
    rank = flow.of(node, 0).rank
    given = node.inputs[1] if len(node.inputs) > 1 else None
    if given is not None and given.const_value is None:
        raise NotUnderstood(f"{describe(node)} computes its axes at run time")
    axes = constant(given).reshape(-1).tolist() if given is not None else list(node.attributes.get_ints("axes", ()))
    if not axes and node.attributes.get_int("noop_with_empty_axes", 0) == 1:
        flow.write(node, flow.of(node, 0))
        return
    _reduce(flow, node, sorted(axis % rank for axis in axes) or range(rank))


def find_extreme(flow: ChannelFlow, node: ir.Node) -> None:
    """ArgMax and ArgMin."""
    _reduce(flow, node, [node.attributes.get_int("axis", 0) % flow.of(node, 0).rank])


def _reduce(flow: ChannelFlow, node: ir.Node, axes: Sequence[int]) -> None:
    x = _settled(flow, node, axes)
    kept = node.attributes.get_int("keepdims", 1) != 0
    dimensions = (() if axis in axes else inside for axis, inside in enumerate(x.dimensions))
    gone = set() if kept else set(axes)
    flow.write(node, replace(x, dimensions=tuple(d for axis, d in enumerate(dimensions) if axis not in gone)))


def pool(flow: ChannelFlow, node: ir.Node) -> None:
    """Windows over the spatial axes."""
    if any(value.uses() or value.is_graph_output() for value in node.outputs[1:]):
        raise NotUnderstood(f"{describe(node)} has outputs that are not understood")
    x = _settled(flow, node, range(2, flow.of(node, 0).rank))
    sizes = [1] * (x.rank - 2) if node.op_type.startswith("Global") else flow.output_sizes(node, x.rank)[2:]
    flow.write(node, replace(x, dimensions=(*x.dimensions[:2], *opaque(sizes).dimensions)))


def _settled(flow: ChannelFlow, node: ir.Node, axes: Sequence[int]) -> Axes:
    x = flow.of(node, 0)
    for axis in axes:
        x = x.settle(axis, flow.labels, f"{describe(node)} computes over them")
    return x


def resize(flow: ChannelFlow, node: ir.Node) -> None:
    """Axes whose scale is 1, or whose size is written as it is, keep their channels."""
    x = flow.of(node, 0)
    if (
        node.attributes.get_ints("axes", ())
        or node.attributes.get_string("keep_aspect_ratio_policy", "stretch") != "stretch"
    ):
        raise NotUnderstood(f"{describe(node)} resizes some axes only")
    scales = node.inputs[2] if len(node.inputs) > 2 else None
    if scales is not None and scales.const_value is not None and scales.const_value.size == x.rank:
        same = (constant(scales) == 1).tolist()
        target = None
    else:
        target = flow.target(node, 3)
        same = [getattr(e, "number", None) == x.size(i) for i, e in enumerate(target)]
    sizes = flow.output_sizes(node, x.rank)
    for axis in np.flatnonzero(np.logical_not(same)).tolist():
        x = x.settle(axis, flow.labels, f"{describe(node)} computes over them")
        x = replace(x, dimensions=(*x.dimensions[:axis], *opaque([sizes[axis]]).dimensions, *x.dimensions[axis + 1 :]))
    for axis, element in enumerate(target or ()):
        x = flow.size_is(element, x, axis, node)
    flow.write(node, x)
