"""8-bit number formats: how floats map to integers, per target."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Range = tuple[float, float]

# A range of zero width still needs a positive scale; this one is exact for the value 0.
_SMALLEST_SCALE = float(np.finfo(np.float32).tiny) * 2**10
_INT32_LIMIT = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class QuantizationScheme:
    """Integer formats of activations and weights.

    Weights are symmetric, one scale per output channel; activations have one scale per tensor. (Jacob et al. 2018,
    arXiv:1712.05877; Nagel et al. 2021, arXiv:2106.08295.)

    Attributes:
        name: `u8s8`, `u8s7` or `s8s8`, as profiles call it.
        activation_dtype: `uint8` (asymmetric) or `int8` (symmetric, zero point 0).
        weight_limit: Largest weight magnitude: 127, or 63 where 8-bit products saturate 16-bit sums.
    """

    name: str
    activation_dtype: type[np.uint8] | type[np.int8]
    weight_limit: int

    def activation_parameters(self, value_range: Range) -> tuple[np.float32, np.integer[Any]]:
        """Scale and zero point for activations in `value_range`; zero is always exact."""
        low, high = min(value_range[0], 0.0), max(value_range[1], 0.0)
        if self.activation_dtype is np.int8:
            scale = max(abs(low), abs(high)) / 127
            return np.float32(max(scale, _SMALLEST_SCALE)), np.int8(0)
        scale = max((high - low) / 255, _SMALLEST_SCALE)
        return np.float32(scale), np.uint8(np.clip(round(-low / scale), 0, 255))

    def quantize_weight(
        self, weight: NDArray[np.float32], output_axis: int
    ) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """Weights rounded to nearest, and the scale per output channel, shape (out,)."""
        other_axes = tuple(axis for axis in range(weight.ndim) if axis != output_axis)
        largest = np.abs(weight).max(axis=other_axes)
        scale = np.maximum(largest / self.weight_limit, _SMALLEST_SCALE).astype(np.float32)
        shape = [-1 if axis == output_axis else 1 for axis in range(weight.ndim)]
        rounded = np.rint(weight / scale.reshape(shape))
        return np.clip(rounded, -self.weight_limit, self.weight_limit).astype(np.int8), scale

    def quantize_bias(
        self, bias: NDArray[np.float32], input_scale: np.float32, weight_scale: NDArray[np.float32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Bias in the accumulator's format: 32-bit integers at input scale × weight scale, shape (out,)."""
        scale = (np.float64(input_scale) * weight_scale).astype(np.float32)
        scale = np.maximum(scale, _SMALLEST_SCALE)
        rounded = np.rint(bias.astype(np.float64) / scale)
        return np.clip(rounded, -_INT32_LIMIT, _INT32_LIMIT).astype(np.int32), scale


SCHEMES = MappingProxyType(
    {
        "u8s8": QuantizationScheme(name="u8s8", activation_dtype=np.uint8, weight_limit=127),
        "u8s7": QuantizationScheme(name="u8s7", activation_dtype=np.uint8, weight_limit=63),
        "s8s8": QuantizationScheme(name="s8s8", activation_dtype=np.int8, weight_limit=127),
    }
)
