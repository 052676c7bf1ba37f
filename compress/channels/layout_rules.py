"""Channels in operators that move elements: none of them computes anything."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.channels.alignment import broadcast, one_block_per_axis, regroup
from compress.channels.axes import Axes, Dimension, Size, opaque
from compress.channels.edits import RemapIndices, WriteBound, WriteSplit
from compress.channels.flow import ChannelFlow, NotUnderstood, describe
from compress.channels.labels import FIXED
from compress.channels.pointwise_rules import take_along
from compress.channels.sizes import SizeOf, Written
from compress.graph import constant, operand


def transpose(flow: ChannelFlow, node: ir.Node) -> None:
    """Axes in another order."""
    x = flow.of(node, 0)
    order = node.attributes.get_ints("perm", tuple(reversed(range(x.rank))))
    flow.write(node, replace(x, dimensions=tuple(x.dimensions[axis] for axis in order)))


def squeeze(flow: ChannelFlow, node: ir.Node) -> None:
    """Axes of length 1 go; without a list of them, the runtime would drop an axis that pruning has made 1."""
    x = flow.of(node, 0)
    gone = {axis % x.rank for axis in _integers(node, 1)}
    flow.write(node, replace(x, dimensions=tuple(d for axis, d in enumerate(x.dimensions) if axis not in gone)))


def unsqueeze(flow: ChannelFlow, node: ir.Node) -> None:
    """New axes of length 1."""
    x, axes = flow.of(node, 0), _integers(node, 1)
    rank = x.rank + len(axes)
    new, old = {axis % rank for axis in axes}, iter(x.dimensions)
    flow.write(node, replace(x, dimensions=tuple(() if axis in new else next(old) for axis in range(rank))))


def flatten(flow: ChannelFlow, node: ir.Node) -> None:
    """Two axes are left."""
    x = flow.of(node, 0)
    axis = node.attributes.get_int("axis", 1)
    axis += x.rank if axis < 0 else 0
    halves = tuple(tuple(d for inside in half for d in inside) for half in (x.dimensions[:axis], x.dimensions[axis:]))
    flow.write(node, one_block_per_axis(replace(x, dimensions=halves), flow.labels, _mixes(node)))


def reshape(flow: ChannelFlow, node: ir.Node) -> None:
    """Axes are split and joined; the sizes that the target names follow the channels."""
    x, target = flow.of(node, 0), flow.target(node, 1)
    zero_copies = not node.attributes.get_int("allowzero", 0)
    elements = [
        SizeOf(operand(node, 0), i) if zero_copies and isinstance(e, Written) and e.number == 0 else e
        for i, e in enumerate(target)
    ]
    known: list[Size] = []
    for element, inferred in zip(elements, flow.output_sizes(node, len(elements)), strict=True):
        if isinstance(element, Written) and element.number >= 0:
            known.append(element.number)
        elif isinstance(element, SizeOf) and element.value is node.inputs[0]:
            known.append(_size(x, element.axis))
        else:
            known.append(inferred)
    y = regroup(x, known, flow.labels, _mixes(node))
    for axis, element in enumerate(elements):
        y = flow.size_is(element, y, axis, node)
    flow.write(node, y)


def _size(axes: Axes, axis: int) -> Size:
    """What `regroup` knows of an axis: the name of an unknown size where it has one."""
    dimensions = axes.dimensions[axis]
    return dimensions[0].size if len(dimensions) == 1 else axes.size(axis)


def _mixes(node: ir.Node) -> str:
    return f"{describe(node)} mixes them with other axes"


def expand(flow: ChannelFlow, node: ir.Node) -> None:
    """Axes of length 1 are repeated, others stay."""
    x, target = flow.of(node, 0), flow.target(node, 1)
    rank = max(x.rank, len(target))
    sizes = flow.output_sizes(node, rank)
    x = replace(x, dimensions=((),) * (rank - x.rank) + x.dimensions)
    kept = {axis for axis, inside in enumerate(x.dimensions) if inside}
    grown = tuple(x.dimensions[i] if i in kept else opaque([sizes[i]]).dimensions[0] for i in range(rank))
    y = replace(x, dimensions=grown)
    for axis, element in enumerate(target, start=rank - len(target)):
        if axis in kept and not (isinstance(element, Written) and element.number == 1):
            y = flow.size_is(element, y, axis, node)
    flow.write(node, y)


def pad(flow: ChannelFlow, node: ir.Node) -> None:
    """Axes without padding keep their channels."""
    x, pads = flow.of(node, 0), _integers(node, 1)
    axes = [axis % x.rank for axis in _integers(node, 3)] if len(node.inputs) > 3 else list(range(x.rank))
    sizes = flow.output_sizes(node, x.rank)
    for i, axis in enumerate(axes):
        if pads[i] or pads[i + len(axes)]:
            x = _settle(flow, node, x, axis, sizes[axis])
    flow.write(node, x)


def tile(flow: ChannelFlow, node: ir.Node) -> None:
    """Axes that are repeated once keep their channels."""
    x, repeats = flow.of(node, 0), _integers(node, 1)
    sizes = flow.output_sizes(node, x.rank)
    for axis in (axis for axis, count in enumerate(repeats) if count != 1):
        x = _settle(flow, node, x, axis, sizes[axis])
    flow.write(node, x)


def concat(flow: ChannelFlow, node: ir.Node) -> None:
    """Channels one after the other; along other axes they meet."""
    given = [(i, v) for i, v in enumerate(node.inputs) if v is not None]
    operands = {i: flow.of(node, i) for i, _ in given}
    rank = next(iter(operands.values())).rank
    axis = node.attributes["axis"].as_int() % rank
    reason = f"{describe(node)} joins them with channels that must stay"
    constants = [i for i, v in given if v.const_value is not None]
    isolated = {i: x.isolate(axis, flow.labels, reason) for i, x in operands.items()}
    vectors = [x.vector(axis) for x in isolated.values()]
    known = [vector for vector in vectors if vector is not None]
    others = [x.with_axis(axis, ()) for i, x in isolated.items() if i not in constants]
    if not others:
        raise NotUnderstood(f"{describe(node)} reads constants only")
    if len(known) < len(vectors):
        for vector in known:
            flow.labels.block(vector, f"{describe(node)} joins them with an unknown number of channels")
        dimension, joined = Dimension(None), None
    else:
        joined = np.concatenate(known)
        dimension = Dimension(len(joined))
    joint = broadcast(others, flow.labels, reason).with_axis(axis, [dimension], joined)
    for index in constants:
        take_along(flow, node, index, joint, 0, skip=axis)
    flow.write(node, joint)


def split(flow: ChannelFlow, node: ir.Node) -> None:
    """Consecutive parts of an axis."""
    x = flow.of(node, 0)
    axis = node.attributes.get_int("axis", 0) % x.rank
    x, vector = _isolated(flow, node, x, axis)
    if len(node.inputs) > 1 and node.inputs[1] is not None:
        sizes = _integers(node, 1)
    else:
        step = math.ceil(len(vector) / len(node.outputs))
        sizes = [min(step, len(vector) - step * i) for i in range(len(node.outputs))]
    parts = np.split(vector, np.cumsum(sizes)[:-1])
    flow.edit(WriteSplit, node, 1, *parts)
    flow.write(node, *(_labelled(flow, node, x, axis, part) for part in parts))


def cut(flow: ChannelFlow, node: ir.Node) -> None:
    """A Slice: the bounds are counted anew; steps other than 1 are not followed along channels."""
    x = flow.of(node, 0)
    starts, ends = _integers(node, 1), _integers(node, 2)
    axes = [a % x.rank for a in _integers(node, 3)] if len(node.inputs) > 3 else list(range(len(starts)))
    steps = _integers(node, 4) if len(node.inputs) > 4 else [1] * len(starts)
    sizes = flow.output_sizes(node, x.rank)
    for i, axis in enumerate(axes):
        size = x.size(axis)
        if steps[i] != 1 or size is None:
            x = _settle(flow, node, x, axis, sizes[axis])
            continue
        x, vector = _isolated(flow, node, x, axis)
        start, end, _ = slice(starts[i], ends[i]).indices(size)
        end = max(start, end)
        if (vector != FIXED).any():
            flow.edit(WriteBound, node, 1, vector, position=i, bound=start)
            flow.edit(WriteBound, node, 2, vector, position=i, bound=end)
        x = _labelled(flow, node, x, axis, vector[start:end])
    flow.write(node, x)


def gather(flow: ChannelFlow, node: ir.Node) -> None:
    """Constant indices pick channels; computed ones need all of them."""
    x = flow.of(node, 0)
    axis = node.attributes.get_int("axis", 0) % x.rank
    indices = operand(node, 1)
    if indices.const_value is not None and constant(indices).ndim == 1 and x.size(axis) is not None:
        x, vector = _isolated(flow, node, x, axis)
        picked = constant(indices) % len(vector)
        flow.edit(RemapIndices, node, 1, vector)
        flow.write(node, _labelled(flow, node, x, axis, vector[picked]))
        return
    reason = f"{describe(node)} picks from them"
    x, places = x.settle(axis, flow.labels, reason), flow.of(node, 1).renewed()
    places.block_all(flow.labels, reason)
    flow.write(node, replace(x, dimensions=(*x.dimensions[:axis], *places.dimensions, *x.dimensions[axis + 1 :])))


def _isolated(flow: ChannelFlow, node: ir.Node, x: Axes, axis: int) -> tuple[Axes, NDArray[np.int64]]:
    isolated = x.isolate(axis, flow.labels, f"{describe(node)} takes a part of them")
    vector = isolated.vector(axis)
    if vector is None:
        raise NotUnderstood(f"{describe(node)} takes a part of an axis whose length is unknown")
    return isolated, vector


def _labelled(flow: ChannelFlow, node: ir.Node, x: Axes, axis: int, vector: NDArray[np.int64]) -> Axes:
    if len(vector) > 1:
        return x.with_axis(axis, [Dimension(len(vector))], vector)
    flow.labels.block(vector, f"{describe(node)} takes a single one of them")
    return x.with_axis(axis, ())


def _settle(flow: ChannelFlow, node: ir.Node, x: Axes, axis: int, size: Size) -> Axes:
    settled = x.settle(axis, flow.labels, f"{describe(node)} changes their number")
    return replace(
        settled,
        dimensions=(*settled.dimensions[:axis], *opaque([size]).dimensions, *settled.dimensions[axis + 1 :]),
    )


def _integers(node: ir.Node, index: int) -> Sequence[int]:
    value = node.inputs[index] if index < len(node.inputs) else None
    if value is None or value.const_value is None:
        raise NotUnderstood(f"{describe(node)} computes what it does at run time")
    integers: list[int] = constant(value).reshape(-1).tolist()
    return integers
