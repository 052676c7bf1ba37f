"""A layer on its way from FP32 to what a policy asks, and the statistics that travel with it.

The order is fixed: channels go first, then rank, then single weights (of the factors where there are any), then bits.
Each step sees the weights and the inputs as the step before left them, and each answers for its own damage: what
remains is refitted to say what the whole layer said.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from compress.layers import Layer
from compress.statistics.moments import Moments
from compress.statistics.responses import Responses
from compress.weight_rows import from_rows, taps_of, to_rows
from compress.weights.refit import refit


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerState:
    """One layer, its weights still in floats.

    Attributes:
        layer: The layer in its present shape.
        weight: As stored.
        bias: Shape (out,); None where there is no place for one.
        moments: Of its present inputs; None where they were too wide to gather.
        responses: Of its present outputs in FP32; None where the layer has no low-rank factors.
    """

    layer: Layer
    weight: NDArray[np.float32]
    bias: NDArray[np.float32] | None
    moments: Moments | None
    responses: Responses | None

    @property
    def by_channel(self) -> bool:
        """Whether the moments know channels only."""
        return self.moments is not None and self.moments.by_channel

    @property
    def rows(self) -> NDArray[np.float32]:
        """The weight as the solvers want it, shape (G, R, K)."""
        return to_rows(self.layer, self.weight, by_channel=self.by_channel).astype(np.float32, copy=False)

    @property
    def second(self) -> NDArray[np.float32] | None:
        """What errors of the rows cost, shape (G, K, K): the covariance where a bias keeps the mean."""
        if self.moments is None:
            return None
        return self.moments.second if self.bias is None else self.moments.covariance

    def with_rows(self, rows: NDArray[np.float32]) -> "LayerState":
        """The same layer with other weights, and the bias that keeps its mean output."""
        weight = from_rows(self.layer, rows, by_channel=self.by_channel).astype(np.float32, copy=False)
        return replace(self, weight=weight, bias=None if self.bias is None else self.bias + self.mean_shift(rows))

    def mean_shift(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the mean output loses when `rows` take the weights' place, shape (out,); zeros where that is unknown."""
        if self.moments is None:
            return np.zeros(self.layer.output_channels, np.float32)
        return (self.mean_output(self.rows) - self.mean_output(rows)).astype(np.float32)

    def mean_output(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """What `rows` answer to the mean input, shape (out,), bias excluded."""
        assert self.moments is not None  # noqa: S101  # callers have looked
        answers = np.einsum("grk,gk->gr", rows.astype(np.float64), self.moments.mean.astype(np.float64))
        summed: NDArray[np.float64] = answers.reshape(self.layer.output_channels, -1).sum(axis=1)
        return summed

    def keep_inputs(self, kept: NDArray[np.int64]) -> "LayerState":
        """Without some input channels, the rest refitted (`compress.weights.refit`); not for grouped convolutions.

        Args:
            kept: The channels that stay, sorted. None at all leaves the layer's mean answer as its bias.
        """
        layer = _with_inputs(self.layer, len(kept))
        columns, rows, second = self.columns_of(kept), self.rows, self.second
        if self.moments is None or second is None:
            smaller = rows[:, :, columns]
            return replace(self, layer=layer, weight=from_rows(layer, smaller))
        fitted = refit(rows, second, columns)
        moments = self.moments.select(columns)
        fewer = replace(self, layer=layer, weight=from_rows(layer, fitted, by_channel=self.by_channel), moments=moments)
        if self.bias is None:
            return fewer
        bias = self.bias + self.mean_output(rows) - fewer.mean_output(fitted)
        return replace(fewer, bias=bias.astype(np.float32))

    def take_inputs(
        self,
        kept: NDArray[np.int64],
        moments: Moments | None,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32] | None = None,
    ) -> "LayerState":
        """What `keep_inputs` gave, from the moments, the weight and the bias that it found."""
        layer = _with_inputs(self.layer, len(kept))
        return replace(self, layer=layer, weight=weight, bias=bias, moments=moments)

    def columns_of(self, channels: NDArray[np.int64]) -> NDArray[np.int64]:
        """The inputs of a row that belong to some input channels."""
        taps = 1 if self.by_channel else taps_of(self.layer)
        columns: NDArray[np.int64] = (channels[:, None] * taps + np.arange(taps)).reshape(-1)
        return columns

    def keep_outputs(self, kept: NDArray[np.int64]) -> "LayerState":
        """Without some output channels.

        Args:
            kept: The channels that stay, sorted; for a grouped convolution whole groups.
        """
        layer = _with_outputs(self.layer, len(kept))
        moments = self.moments
        if self.layer.groups > 1 and moments is not None:
            per_group = self.layer.output_channels // self.layer.groups
            moments = moments.select_groups(np.unique(kept // per_group))
        axis = self.layer.output_axis
        return replace(
            self,
            layer=layer,
            weight=np.take(self.weight, kept, axis=axis),
            bias=None if self.bias is None else self.bias[kept],
            moments=moments,
            responses=None if self.responses is None else self.responses.select(kept),
        )


def _with_inputs(layer: Layer, count: int) -> Layer:
    axis = 1 if layer.op_type == "Conv" else 1 - layer.output_axis
    return _resized(layer, axis, count, layer.groups)


def _with_outputs(layer: Layer, count: int) -> Layer:
    per_group = layer.output_channels // layer.groups
    return _resized(layer, layer.output_axis, count, count // per_group if layer.groups > 1 else 1)


def _resized(layer: Layer, axis: int, count: int, groups: int) -> Layer:
    shape = list(layer.weight_shape)
    before = shape[axis]
    shape[axis] = count
    return replace(layer, weight_shape=tuple(shape), groups=groups, macs=layer.macs * count // max(1, before))
