"""One layer, ready to be written into a graph."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.formats.scheme import Range
from compress.weights.round_layer import RoundedLayer

_ROUNDED_PARTS = 5


@dataclass(frozen=True, kw_only=True, eq=False)
class FinishedLayer:
    """Everything that the graph needs to know of one changed layer.

    Attributes:
        weights: In floats, as stored: one for a whole layer, two for a factorized one, the first reading its input;
            none for a whole layer of integers.
        groups: Groups of a convolution.
        bias: Shape (out,); None where there is no place for one.
        rounded: The weights as integers, one or two; empty where they stay in floats.
        first_axes: For two factors of a convolution, whether the first moves along each spatial axis.
        inner_range: For two factors, lowest and highest value between them.
        rank: Channels between two factors; None for a whole layer.
    """

    weights: tuple[NDArray[np.float32], ...]
    groups: int
    bias: NDArray[np.float32] | None
    rounded: tuple[RoundedLayer, ...] = ()
    first_axes: tuple[bool, ...] = ()
    inner_range: Range | None = None
    rank: int | None = None

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """Everything as arrays, for the variant store."""
        has_bias = self.bias is not None
        facts = [len(self.weights), len(self.rounded), self.groups, has_bias, self.rank or 0]
        return (
            np.array(facts, np.int64),
            np.array(self.first_axes, np.bool_),
            np.array(self.inner_range or (), np.float64),
            np.zeros(0, np.float32) if self.bias is None else self.bias,
            *self.weights,
            *(array for rounded in self.rounded for array in rounded.arrays),
        )

    @classmethod
    def from_arrays(cls, arrays: tuple[NDArray[Any], ...]) -> "FinishedLayer":
        """What `arrays` gave."""
        facts, axes, inner_range, bias, *rest = arrays
        weight_count, rounded_count, groups, has_bias, rank = (int(n) for n in facts)
        parts = rest[weight_count:]
        rounded = [
            RoundedLayer.from_arrays(tuple(parts[i * _ROUNDED_PARTS : (i + 1) * _ROUNDED_PARTS]))
            for i in range(rounded_count)
        ]
        return cls(
            weights=tuple(rest[:weight_count]),
            groups=groups,
            bias=bias if has_bias else None,
            rounded=tuple(rounded),
            first_axes=tuple(bool(moves) for moves in axes),
            inner_range=(float(inner_range[0]), float(inner_range[1])) if len(inner_range) else None,
            rank=rank or None,
        )
