"""Gathering the moments of what layers read, and how their outputs vary, from batches of inner tensors."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.graph import operand
from compress.layers import Layer
from compress.ranks import FACTORIZED_SIDE_LIMIT, break_even_rank
from compress.statistics.moments import Moments, MomentSums
from compress.statistics.responses import Responses
from compress.statistics.windows import Window
from compress.weight_rows import inputs_per_group, row_length, taps_of

SIDE_LIMIT = 3072
"""Longest row with second moments of its own: solving takes the cube of it, ten seconds on one core at 3072."""

_ROWS_PER_INPUT = 4
_FEWEST_ROWS = 8192
_RESERVOIR_ROWS = 2048


@dataclass(frozen=True, kw_only=True)
class InputKey:
    """What makes two layers read the same rows.

    Attributes:
        tensor: The tensor's name.
        window: A convolution's geometry; None for matrices.
        groups: G.
        length: K.
        by_channel: Whether rows read channels only.
    """

    tensor: str
    window: Window | None
    groups: int
    length: int
    by_channel: bool

    @property
    def size_bytes(self) -> int:
        """Bytes of the second moments."""
        return 4 * self.groups * self.length**2


def plan_inputs(nodes: Mapping[Layer, ir.Node], limit_bytes: int) -> dict[str, InputKey]:
    """Which rows to gather for each layer, by its name; layers whose moments would be too large are left out.

    Convolutions with long kernels are read channel by channel, and so are the largest others until all fit.
    """
    plan = {layer.name: key for layer, node in nodes.items() if (key := _key(layer, node)) is not None}
    by_name = {layer.name: layer for layer in nodes}
    while sum(key.size_bytes for key in set(plan.values())) > limit_bytes:
        largest = max(plan, key=lambda name: (plan[name].size_bytes, name))
        layer = by_name[largest]
        narrower = None if plan[largest].by_channel else _channel_key(layer, nodes[layer])
        if narrower is None:
            del plan[largest]
        else:
            plan[largest] = narrower
    return plan


def _key(layer: Layer, node: ir.Node) -> InputKey | None:
    tensor, length = operand(node, 0).name or "", row_length(layer, by_channel=False)
    if length > SIDE_LIMIT:
        return _channel_key(layer, node)
    window = Window.of(node, layer.weight_shape) if layer.op_type == "Conv" else None
    return InputKey(tensor=tensor, window=window, groups=layer.groups, length=length, by_channel=False)


def _channel_key(layer: Layer, node: ir.Node) -> InputKey | None:
    length = inputs_per_group(layer)
    if layer.op_type != "Conv" or taps_of(layer) == 1 or length > SIDE_LIMIT:
        return None
    tensor = operand(node, 0).name or ""
    return InputKey(tensor=tensor, window=None, groups=layer.groups, length=length, by_channel=True)


class InputSums:
    """The moments of one `InputKey`, batch by batch.

    Args:
        key: Which rows.
        sample_count: Samples that will come, for spreading the rows over them.
    """

    def __init__(self, key: InputKey, sample_count: int) -> None:
        self._key = key
        self._rows_per_sample = max(_FEWEST_ROWS, _ROWS_PER_INPUT * key.length) / max(1, sample_count)
        self._sums = MomentSums(key.groups, key.length, by_channel=key.by_channel)
        self._random = np.random.default_rng(0)

    def add(self, x: NDArray[Any]) -> None:
        """Add a batch of the tensor, first axis the samples."""
        key = self._key
        count = math.ceil(self._rows_per_sample * len(x))
        if key.window is not None:
            cut = key.window.sample(x, count, self._random)
            rows = cut.reshape(len(cut), key.groups, key.length).swapaxes(0, 1)
        else:
            width = key.groups * key.length
            flat = np.moveaxis(x, 1, -1).reshape(-1, width) if key.by_channel else x.reshape(-1, width)
            rows = _some(flat, count, self._random).reshape(-1, key.groups, key.length).swapaxes(0, 1)
        self._sums.add(rows.astype(np.float32, copy=False))

    def moments(self) -> Moments:
        """The moments of all batches."""
        return self._sums.moments()


def has_responses(layer: Layer) -> bool:
    """Whether the moments of the layer's outputs are gathered: it has factors, and not too many outputs."""
    return break_even_rank(layer) > 1 and layer.output_channels <= FACTORIZED_SIDE_LIMIT


class ResponseSums:
    """How one layer's outputs vary, batch by batch.

    Args:
        layer: The layer.
        sample_count: Samples that will come, for spreading the rows over them.
        bias_behind: Shape (out,): what is added to the operator's output before it is the layer's.
    """

    def __init__(self, layer: Layer, sample_count: int, bias_behind: NDArray[np.float32] | None = None) -> None:
        self._bias_behind = np.zeros(layer.output_channels, np.float32) if bias_behind is None else bias_behind
        self._is_conv, self._width = layer.op_type == "Conv", layer.output_channels
        self._rows_per_sample = max(_FEWEST_ROWS, _ROWS_PER_INPUT * self._width) / max(1, sample_count)
        self._kept_per_sample = _RESERVOIR_ROWS / max(1, sample_count)
        self._sums = MomentSums(1, self._width)
        self._kept: list[NDArray[np.float32]] = []
        self._random = np.random.default_rng(0)

    def add(self, y: NDArray[Any]) -> None:
        """Add a batch of the output, first axis the samples."""
        flat = (np.moveaxis(y, 1, -1) if self._is_conv else y).reshape(-1, self._width)
        rows = _some(flat, math.ceil(self._rows_per_sample * len(y)), self._random)
        self._sums.add(rows[None])
        self._kept.append(_some(rows, math.ceil(self._kept_per_sample * len(y)), self._random).copy())

    def responses(self) -> Responses:
        """The moments and some of the rows of all batches."""
        moments = self._sums.moments()
        return Responses(
            mean=moments.mean[0] + self._bias_behind,
            covariance=moments.covariance[0],
            rows=np.concatenate(self._kept) + self._bias_behind,
        )


def _some(rows: NDArray[Any], count: int, random: np.random.Generator) -> NDArray[Any]:
    if len(rows) <= count:
        return rows
    return rows[np.sort(random.choice(len(rows), count, replace=False))]
