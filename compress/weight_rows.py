"""A layer's weight as stacked matrices: the form that every solver works on.

A solver sees rows of shape (G, R, K) and the second moments (G, K, K) of what the rows are multiplied with: G blocks
that share nothing, R rows that each answer on their own, K inputs to a row. For most layers that is one block, a row
per output channel and in × kernel inputs. A grouped convolution has a block per group. A convolution whose kernel is
too long for second moments over all its inputs (1,024 channels × 64 taps) is read channel by channel: one row per
output channel *and tap*, whose inputs are the channels alone. Taps then count as uncorrelated, which is wrong but
rarely matters: what must be known is which channels can stand in for one another.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.layers import Layer


def taps_of(layer: Layer) -> int:
    """Positions of the kernel; 1 for a matrix."""
    return math.prod(layer.weight_shape[2:]) if layer.op_type == "Conv" else 1


def inputs_per_group(layer: Layer) -> int:
    """Input channels that one output channel sees."""
    if layer.op_type == "Conv":
        return layer.weight_shape[1]
    return layer.weight_shape[1 - layer.output_axis]


def row_length(layer: Layer, *, by_channel: bool) -> int:
    """K: inputs to one row."""
    return inputs_per_group(layer) * (1 if by_channel else taps_of(layer))


def to_rows(layer: Layer, weight: NDArray[Any], *, by_channel: bool = False) -> NDArray[Any]:
    """The weight, as stored, in rows of shape (G, R, K).

    Columns are ordered channel first, tap second; rows output channel first, tap second.
    """
    if layer.op_type != "Conv":
        return (weight if layer.output_axis == 0 else weight.T)[None]
    groups, inputs, taps = layer.groups, inputs_per_group(layer), taps_of(layer)
    outputs = layer.output_channels // groups
    if not by_channel:
        return weight.reshape(groups, outputs, inputs * taps)
    split = weight.reshape(groups, outputs, inputs, taps)
    return split.swapaxes(2, 3).reshape(groups, outputs * taps, inputs)


def from_rows(layer: Layer, rows: NDArray[Any], *, by_channel: bool = False) -> NDArray[Any]:
    """The inverse of `to_rows`, contiguous, in the layer's stored shape."""
    if layer.op_type != "Conv":
        return np.ascontiguousarray(rows[0] if layer.output_axis == 0 else rows[0].T)
    if by_channel:
        outputs = layer.output_channels // layer.groups
        split = rows.reshape(layer.groups, outputs, taps_of(layer), inputs_per_group(layer))
        rows = split.swapaxes(2, 3)
    return np.ascontiguousarray(rows.reshape(layer.weight_shape))


def repeat_per_row(layer: Layer, values: NDArray[Any], *, by_channel: bool = False) -> NDArray[Any]:
    """One value per output channel, shape (out,), as one per row, shape (G, R)."""
    repeats = taps_of(layer) if by_channel else 1
    return np.repeat(values, repeats).reshape(layer.groups, -1)
