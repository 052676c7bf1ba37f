"""Axes that meet: broadcasting one tensor against another, and regrouping dimensions in a Reshape."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from compress.channels.axes import Axes, Block, Dimension, Size, length, opaque
from compress.channels.labels import Labels


def broadcast(operands: Sequence[Axes], labels: Labels, reason: str) -> Axes:
    """The axes of an elementwise result: labels of elements that meet are united.

    Args:
        operands: At least one.
        labels: Where to unite them.
        reason: Why labels are blocked that meet elements which must stay.
    """
    rank = max(axes.rank for axes in operands)
    padded = [replace(axes, dimensions=((),) * (rank - axes.rank) + axes.dimensions) for axes in operands]
    for axis in range(rank):
        padded = _align(padded, axis, labels, reason)
    joint = tuple(next((a.dimensions[i] for a in padded if a.dimensions[i]), ()) for i in range(rank))
    named = [_rename(axes, joint) for axes in padded]
    return Axes(joint, _merge(_tie_to_whole(named, labels, reason), labels, reason))


def _align(operands: Sequence[Axes], axis: int, labels: Labels, reason: str) -> list[Axes]:
    """Split the dimensions of one axis until all operands have the same."""
    present = [axes.dimensions[axis] for axes in operands if axes.dimensions[axis]]
    common: list[Size] | None = [d.size for d in present[0]] if present else []
    for dimensions in present[1:]:
        common = None if common is None else _refine(common, [d.size for d in dimensions])
    aligned = []
    for axes in operands:
        if not axes.dimensions[axis]:
            aligned.append(axes)
        elif common is None:
            aligned.append(axes.settle(axis, labels, reason).with_axis(axis, [Dimension(None)]))
        else:
            aligned.append(_split_axis(axes, axis, common))
    return aligned


def _refine(these: Sequence[Size], those: Sequence[Size]) -> list[Size] | None:
    """The coarsest factors, outermost first, of which both lists are products; None if there are none."""
    left, right, common = list(these), list(those), list[Size]()
    while left and right:
        a, b = left.pop(), right.pop()
        if a is not None and a == b:
            common.append(a)
        elif isinstance(a, int) and isinstance(b, int) and max(a, b) % min(a, b) == 0:
            common.append(min(a, b))
            (left if a > b else right).append(max(a, b) // min(a, b))
        else:
            return None
    return None if left or right else common[::-1]


def _split_axis(axes: Axes, axis: int, sizes: Sequence[Size]) -> Axes:
    remaining, inside, blocks = list(sizes), list[Dimension](), axes.blocks
    for dimension in axes.dimensions[axis]:
        parts = [Dimension(remaining.pop(0))]
        while isinstance(dimension.size, int) and math.prod(map(length, parts)) < dimension.size:
            parts.append(Dimension(remaining.pop(0)))
        blocks = tuple(block.substitute(dimension, parts) for block in blocks)
        inside += parts
    return Axes((*axes.dimensions[:axis], tuple(inside), *axes.dimensions[axis + 1 :]), blocks)


def _rename(axes: Axes, joint: tuple[tuple[Dimension, ...], ...]) -> Axes:
    """The same axes, made of the joint dimensions."""
    names = {
        mine: theirs
        for inside, outside in zip(axes.dimensions, joint, strict=True)
        for mine, theirs in zip(inside, outside, strict=bool(inside))
    }
    blocks = tuple(Block(tuple(names[d] for d in block.dimensions), block.labels) for block in axes.blocks)
    return Axes(tuple(tuple(names[d] for d in inside) for inside in axes.dimensions), blocks)


def _tie_to_whole(operands: Sequence[Axes], labels: Labels, reason: str) -> list[Axes]:
    """Keep every dimension whole along which some operand can lose nothing."""
    operands = list(operands)
    while True:
        whole = {d for axes in operands for inside in axes.dimensions for d in inside if not _labelled(axes, d)}
        if not any(block.touches(whole) for axes in operands for block in axes.blocks):
            return operands
        operands = [_keep_whole(axes, whole, labels, reason) for axes in operands]


def _labelled(axes: Axes, dimension: Dimension) -> bool:
    return any(dimension in block.dimensions for block in axes.blocks)


def _keep_whole(axes: Axes, whole: set[Dimension], labels: Labels, reason: str) -> Axes:
    blocks = []
    for block in axes.blocks:
        if set(block.dimensions) <= whole:
            labels.block(block.labels, reason)
        else:
            blocks.append(block.tie(whole, labels, reason) if block.touches(whole) else block)
    return replace(axes, blocks=tuple(blocks))


def _merge(operands: Sequence[Axes], labels: Labels, reason: str) -> tuple[Block, ...]:
    """The blocks of the result; those over the same dimensions are united."""
    merged: list[Block] = []
    for block in (block for axes in operands for block in axes.blocks):
        others = [other for other in merged if other.touches(block.dimensions)]
        nested = [o for o in others if set(o.dimensions) <= set(block.dimensions)]
        wider = [o for o in others if set(o.dimensions) >= set(block.dimensions)]
        merged = [other for other in merged if other not in others]
        if len(others) > 1 or (others and not (nested or wider)):
            # The labels of two blocks cross those of a third: no slices that could go.
            for each in (*others, block):
                labels.block(each.labels, reason)
            continue
        widest = wider[0] if wider else block
        for each in (*others, block):
            labels.unite(widest.labels, each.spread(widest.dimensions), reason)
        merged.append(widest)
    return tuple(merged)


def regroup(axes: Axes, sizes: Sequence[Size], labels: Labels, reason: str) -> Axes:
    """The axes after a Reshape to `sizes`: elements keep their order, dimensions are split and joined.

    Axes are matched from the left and from the right as far as their sizes are known; what is left in the middle
    becomes one axis, or is blocked with `reason` if it should become several.
    """
    source = [d for inside in axes.dimensions for d in inside]
    blocks = list(axes.blocks)
    targets = [i for i, size in enumerate(sizes) if size != 1]
    found: dict[int, list[Dimension]] = {}
    for from_right in (False, True):
        while targets and source:
            index = targets[-1] if from_right else targets[0]
            taken = _take(source, blocks, sizes[index], from_right=from_right)
            if taken is None:
                break
            found[index] = taken
            targets.remove(index)
    if len(targets) == 1:
        found[targets[0]] = source
    elif targets or source:
        rest = set(source)
        for block in blocks:
            if block.touches(rest):
                labels.block(block.labels, reason)
        blocks = [block for block in blocks if not block.touches(rest)]
    whole = opaque(sizes).dimensions
    dimensions = tuple(tuple(found.get(i, whole[i])) for i in range(len(sizes)))
    return one_block_per_axis(Axes(dimensions, tuple(blocks)), labels, reason)


def _take(source: list[Dimension], blocks: list[Block], size: Size, *, from_right: bool) -> list[Dimension] | None:
    """Dimensions of that product from one end of `source`, split if need be; None, and nothing done, if none fit."""
    edge = -1 if from_right else 0
    if not isinstance(size, int):
        return [source.pop(edge)] if size is not None and source[edge].size == size else None
    taken: list[Dimension] = []
    queue = source[::-1] if from_right else list(source)
    split: Mapping[Dimension, tuple[Dimension, Dimension]] = {}
    while size > 1:
        if not queue or not isinstance(queue[0].size, int):
            return None
        dimension = queue.pop(0)
        available = length(dimension)
        if size % available == 0:
            taken.append(dimension)
            size //= available
        elif available % size == 0:
            near, far = Dimension(size), Dimension(available // size)
            split = {dimension: (far, near) if from_right else (near, far)}
            taken.append(near)
            queue.insert(0, far)
            size = 1
        else:
            return None
    for dimension, parts in split.items():
        blocks[:] = [block.substitute(dimension, parts) for block in blocks]
    source[:] = queue[::-1] if from_right else queue
    return taken[::-1] if from_right else taken


def one_block_per_axis(axes: Axes, labels: Labels, reason: str) -> Axes:
    """Block what cannot be written as one vector of labels per axis: channels times other channels."""
    blocks = list(axes.blocks)
    for inside in axes.dimensions:
        mine = [block for block in blocks if block.touches(inside)]
        if len(mine) > 1:
            for block in mine:
                labels.block(block.labels, reason)
            blocks = [block for block in blocks if block not in mine]
    return replace(axes, blocks=tuple(blocks))
