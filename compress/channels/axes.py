"""The axes of a tensor, and which channels lie along them.

An axis is a product of dimensions, outermost first, so that a Reshape only ever splits and joins dimensions. Labels lie
on dimensions in blocks: a block of shape (12, 64) over two dimensions is what becomes of 768 channels that a Reshape
has split into heads. Removing channels must leave a tensor: from a block over several axes, whole slices along one of
them go. Whatever treats one axis unlike the others therefore ties the labels along it.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from compress.channels.labels import FIXED, Labels

# Elements along an axis; a name, or None, for a number that only the input decides. One None is not another.
Size = int | str | None


@dataclass(frozen=True, eq=False)
class Dimension:
    """Part of an axis; two are never equal."""

    size: Size


def length(dimension: Dimension) -> int:
    """The size of a dimension that is known to have one."""
    if not isinstance(dimension.size, int):
        raise TypeError(f"a dimension of size {dimension.size!r} cannot be counted")
    return dimension.size


@dataclass(frozen=True, eq=False)
class Block:
    """Labels over some dimensions of a tensor, constant along all others.

    Attributes:
        dimensions: What the axes of `labels` are.
        labels: One label, or `FIXED`, per element.
    """

    dimensions: tuple[Dimension, ...]
    labels: NDArray[np.int64]

    def touches(self, dimensions: Iterable[Dimension]) -> bool:
        """Whether labels lie along one of `dimensions`."""
        return not set(self.dimensions).isdisjoint(dimensions)

    def spread(self, dimensions: Sequence[Dimension]) -> NDArray[np.int64]:
        """The labels with axes in the order of `dimensions`, of length 1 for those that are not the block's own."""
        order = [self.dimensions.index(d) for d in dimensions if d in self.dimensions]
        shape = [length(d) if d in self.dimensions else 1 for d in dimensions]
        return self.labels.transpose(order).reshape(shape)

    def tie(self, dimensions: Iterable[Dimension], labels: Labels, reason: str) -> "Block":
        """The block without `dimensions`: what lies along them is removed together."""
        gone = [i for i, d in enumerate(self.dimensions) if d in set(dimensions)]
        rest = [i for i in range(len(self.dimensions)) if i not in gone]
        rows = self.labels.transpose(*gone, *rest).reshape(-1, *(self.labels.shape[i] for i in rest))
        labels.unite(rows, rows[:1], reason)
        # A row may hold FIXED where another has a label, which is blocked by now.
        return Block(tuple(self.dimensions[i] for i in rest), rows.min(axis=0) if FIXED in rows else rows[0])

    def substitute(self, old: Dimension, new: Sequence[Dimension]) -> "Block":
        """The block with the dimension `old` split into `new`."""
        if old not in self.dimensions:
            return self
        at = self.dimensions.index(old)
        shape = (*self.labels.shape[:at], *map(length, new), *self.labels.shape[at + 1 :])
        return Block((*self.dimensions[:at], *new, *self.dimensions[at + 1 :]), self.labels.reshape(shape))


@dataclass(frozen=True, eq=False)
class Axes:
    """The axes of one tensor; axes of length 1 have no dimensions.

    Attributes:
        dimensions: By axis, outermost first.
        blocks: Labels over the dimensions; those of no block hold nothing that can be removed.
    """

    dimensions: tuple[tuple[Dimension, ...], ...]
    blocks: tuple[Block, ...] = ()

    @property
    def rank(self) -> int:
        """Number of axes."""
        return len(self.dimensions)

    def size(self, axis: int) -> int | None:
        """Length of an axis; None if only the input decides."""
        sizes = [d.size for d in self.dimensions[axis] if isinstance(d.size, int)]
        return math.prod(sizes) if len(sizes) == len(self.dimensions[axis]) else None

    def with_axis(self, axis: int, dimensions: Sequence[Dimension], labels: NDArray[np.int64] | None = None) -> "Axes":
        """Another axis in the place of one; `labels` lie along its only dimension. Blocks along the old one go."""
        old = self.dimensions[axis]
        blocks = tuple(block for block in self.blocks if not block.touches(old))
        if labels is not None and dimensions:
            blocks = (*blocks, Block(tuple(dimensions), labels))
        return Axes((*self.dimensions[:axis], tuple(dimensions), *self.dimensions[axis + 1 :]), blocks)

    def isolate(self, axis: int, labels: Labels, reason: str) -> "Axes":
        """Tie the labels along `axis` of all blocks that lie along other axes as well."""
        inside = self.dimensions[axis]
        blocks = []
        for block in self.blocks:
            crosses = block.touches(inside) and not set(block.dimensions) <= set(inside)
            blocks.append(block.tie(inside, labels, reason) if crosses else block)
        return replace(self, blocks=tuple(blocks))

    def settle(self, axis: int, labels: Labels, reason: str) -> "Axes":
        """Keep `axis` whole: the labels along it are tied, those along it alone are blocked with `reason`."""
        isolated = self.isolate(axis, labels, reason)
        inside = self.dimensions[axis]
        for block in isolated.blocks:
            if block.touches(inside):
                labels.block(block.labels, reason)
        return replace(isolated, blocks=tuple(b for b in isolated.blocks if not b.touches(inside)))

    def renewed(self) -> "Axes":
        """The same axes of other dimensions, for a tensor that meets itself."""
        names = {d: Dimension(d.size) for inside in self.dimensions for d in inside}
        blocks = tuple(Block(tuple(names[d] for d in block.dimensions), block.labels) for block in self.blocks)
        return Axes(tuple(tuple(names[d] for d in inside) for inside in self.dimensions), blocks)

    def block_all(self, labels: Labels, reason: str) -> None:
        """Block every label."""
        for block in self.blocks:
            labels.block(block.labels, reason)

    def vector(self, axis: int) -> NDArray[np.int64] | None:
        """The labels along an isolated axis, shape (size,); None if its size is unknown."""
        size = self.size(axis)
        if size is None:
            return None
        inside = self.dimensions[axis]
        full = np.full([length(d) for d in inside], FIXED, np.int64)
        for block in self.blocks:
            if block.touches(inside):
                full[...] = block.spread(inside)
        return full.reshape(size)

    def carried(self, axis: int, labels: Labels) -> NDArray[np.int64]:
        """The sets of labels that are removed along `axis`, as `Labels.roots` names them.

        Shape (size,); where the size is unknown, those of the block alone. Blocks over several axes are removed along
        the first of those on which their sets differ, which `tie_to_one_axis` has made the only one.
        """
        inside = self.dimensions[axis]
        size = self.size(axis)
        full = np.full([length(d) for d in inside], FIXED, np.int64) if size is not None else None
        loose = []
        for block in self.blocks:
            if not block.touches(inside):
                continue
            roots = labels.roots(block.labels)
            if self._carrier(block, roots) != axis:
                continue
            other = tuple(0 if d not in inside else slice(None) for d in block.dimensions)
            mine = Block(tuple(d for d in block.dimensions if d in inside), roots[other])
            if full is not None:
                full[...] = mine.spread(inside)
            else:
                loose.append(mine.labels.reshape(-1))
        if full is not None:
            return full.reshape(-1)
        return np.concatenate(loose) if loose else np.zeros(0, np.int64)

    def tie_to_one_axis(self, labels: Labels, reason: str) -> bool:
        """Tie the labels of blocks over several axes until whole slices along one axis go; whether any were tied."""
        changed = False
        for block in self.blocks:
            varying = self._varying(block, labels.roots(block.labels))
            if len(varying) < 2:
                continue
            # The longest axis leaves the search the finest choice; the outermost of several.
            longest = max(varying, key=lambda axis: (self.size(axis) or 0, -axis))
            for axis in varying:
                if axis != longest:
                    block = block.tie(self.dimensions[axis], labels, reason)  # noqa: PLW2901
                    changed = True
        return changed

    def _carrier(self, block: Block, roots: NDArray[np.int64]) -> int:
        varying = self._varying(block, roots)
        touched = [axis for axis, inside in enumerate(self.dimensions) if block.touches(inside)]
        return varying[0] if varying else touched[0]

    def _varying(self, block: Block, roots: NDArray[np.int64]) -> list[int]:
        """The axes along which the sets differ."""
        found = []
        for axis, inside in enumerate(self.dimensions):
            positions = [i for i, d in enumerate(block.dimensions) if d in inside]
            if positions and any((roots != roots.take([0], axis=i)).any() for i in positions):
                found.append(axis)
        return found


def opaque(sizes: Iterable[Size]) -> Axes:
    """The axes of a tensor of which nothing can be removed."""
    return Axes(tuple(() if size == 1 else (Dimension(size),) for size in sizes))
