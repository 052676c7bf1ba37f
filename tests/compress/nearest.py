"""Rounding to nearest: what compensated rounding is compared with, and enough where only the graph is looked at."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.formats.scheme import QuantizationScheme, QuantizedWeight
from compress.weights.round_weights import channel_scales


def rounded_to_nearest(scheme: QuantizationScheme, weight: NDArray[Any], output_axis: int) -> QuantizedWeight:
    """Integers in the weight's shape, and one scale per output channel."""
    rows = np.moveaxis(weight, output_axis, 0)
    scale = channel_scales(rows.reshape(1, len(rows), -1), scheme.weight_limit)[0]
    rounded = np.rint(rows / scale.reshape(-1, *[1] * (rows.ndim - 1)))
    limited = np.clip(rounded, -scheme.weight_limit, scheme.weight_limit).astype(np.int8)
    return np.ascontiguousarray(np.moveaxis(limited, 0, output_axis)), scale
