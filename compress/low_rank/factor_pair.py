"""What a factorized layer is: two layers in a row."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from compress.formats.scheme import Range
from compress.layers import Layer
from compress.weights.layer_state import LayerState

# Below half a step of 8 bits: how such a channel is rounded does not show beside the largest.
_SILENT_SHARE = 1e-3


@dataclass(frozen=True, kw_only=True, eq=False)
class FactorPair:
    """Two layers that answer nearly like one.

    Attributes:
        first: Reads the layer's input; it has no bias, its mean errors are the second's to correct.
        second: Writes the layer's output.
        first_axes: For a convolution, whether the first moves along each spatial axis; the second moves along the rest.
        inner_range: Lowest and highest value between them. Every inner channel is scaled to a largest magnitude of 1,
            so that one scale fits all (cross-layer equalization, Nagel et al. 2019, arXiv:1906.04721, exact here
            because nothing nonlinear stands between).
        explained: How much of the variance of the layer's answers the pair gives.
    """

    first: LayerState
    second: LayerState
    first_axes: tuple[bool, ...]
    inner_range: Range
    explained: float

    @property
    def first_spread(self) -> NDArray[np.float32]:
        """What errors of the first cost, shape (1, K, K): the second's bias makes good for the mean.

        Raises:
            ValueError: The moments of its inputs are not known.
        """
        if self.first.moments is None:
            raise ValueError("the first factor was made without the moments of its inputs")
        return self.first.moments.covariance


def inner_scale(low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.float64]:
    """What brings every inner channel, between `low` and `high`, to a largest magnitude of 1; shape (r,).

    Channels that are next to silent in calibration keep small: the first factor's weights would grow without bound.
    """
    reach = np.maximum(np.abs(low), np.abs(high))
    scale: NDArray[np.float64] = np.maximum(reach, _SILENT_SHARE * (float(reach.max()) or 1.0))
    return scale


def as_factor(layer: Layer, weight: NDArray[np.float32], *, macs: int) -> Layer:
    """The description of one factor of `layer`, with `weight` as stored."""
    return replace(layer, weight_shape=weight.shape, macs=macs)
