"""8-bit number formats: how floats map to integers, per target."""

import math
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Range = tuple[float, float]
ActivationParameters = tuple[np.float32, np.integer[Any]]
QuantizedWeight = tuple[NDArray[np.int8], NDArray[np.float32]]

# The product of two scales this small is still a normal float32 number.
SMALLEST_SCALE = 1e-18
_INT32_LIMIT = 2**31 - 1
# Room for the sum of products beside the bias in a 32-bit accumulator.
_BIAS_LIMIT = 2**30
_UNBOUNDED: Range = (-math.inf, math.inf)


@dataclass(frozen=True, kw_only=True)
class QuantizationScheme:
    """Integer formats of activations and weights.

    Weights are symmetric, one scale per output channel; activations have one scale per tensor. (Jacob et al. 2018,
    arXiv:1712.05877; Nagel et al. 2021, arXiv:2106.08295.)

    Attributes:
        name: `u8s8`, `u8s7`, `s8s8` or `symmetric`, as profiles call it.
        activation_dtype: `uint8` (asymmetric) or `int8` (symmetric, zero point 0).
        weight_limit: Largest weight magnitude: 127, or 63 where 8-bit products saturate 16-bit sums.
        integer_bias: Whether biases become 32-bit integers; engines that want them in float refuse integers.
    """

    name: str
    activation_dtype: type[np.uint8] | type[np.int8]
    weight_limit: int
    integer_bias: bool = True

    @property
    def saturates_like_clamp(self) -> bool:
        """Whether integers whose range lies in a Relu's or Clip's interval can stand for it."""
        return self.activation_dtype is np.uint8

    def activation_parameters(self, value_range: Range, bounds: Range = _UNBOUNDED) -> ActivationParameters:
        """Scale and zero point for activations in `value_range`; zero is always exact.

        Args:
            value_range: Lowest and highest value seen.
            bounds: The interval, zero inside, to which a Relu or Clip has clamped the values. Asymmetric formats
                then represent nothing outside it, so that saturation alone does what the clamp did.
        """
        low, high = _with_zero(value_range, bounds)
        if self.activation_dtype is np.int8:
            return np.float32(max(-low, high, SMALLEST_SCALE * 127) / 127), np.int8(0)
        scale = max((high - low) / 255, SMALLEST_SCALE)
        exact = -low / scale
        zero_point = int(np.clip(round(exact), 0, 255))
        if bounds[0] <= 0.0 <= bounds[1]:
            candidates = {int(np.clip(rounded(exact), 0, 255)) for rounded in (math.floor, math.ceil)}
            zero_point = max(candidates, key=lambda zero: (_within(scale, zero, bounds), -abs(zero - exact)))
            scale = _within(scale, zero_point, bounds)
        single = np.float32(scale)
        return (np.nextafter(single, np.float32(0)) if float(single) > scale else single), np.uint8(zero_point)

    def make_room_for_bias(
        self, weight: QuantizedWeight, output_axis: int, bias: NDArray[np.float32], input_scale: np.float32
    ) -> QuantizedWeight:
        """The weight with coarser scales in channels whose bias would not fit into 32 bits.

        Such channels have weights so small beside their bias that their rounding does not show.
        """
        integers, scale = weight
        smallest = (np.abs(bias.astype(np.float64)) / (np.float64(input_scale) * _BIAS_LIMIT)).astype(np.float32)
        if (scale >= smallest).all():
            return weight
        wider = np.maximum(scale, smallest)
        shape = [-1 if axis == output_axis else 1 for axis in range(integers.ndim)]
        return np.rint(integers * (scale / wider).reshape(shape)).astype(np.int8), wider

    def quantize_bias(
        self, bias: NDArray[np.float32], input_scale: np.float32, weight_scale: NDArray[np.float32]
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Bias in the accumulator's format: 32-bit integers at input scale × weight scale, shape (out,)."""
        scale = (np.float64(input_scale) * weight_scale).astype(np.float32)
        rounded = np.rint(bias.astype(np.float64) / scale)
        return np.clip(rounded, -_INT32_LIMIT, _INT32_LIMIT).astype(np.int32), scale


def _within(scale: float, zero_point: int, bounds: Range) -> float:
    """The largest scale up to `scale` with which 8 unsigned bits around `zero_point` stay within `bounds`."""
    for steps, limit in ((zero_point, -bounds[0]), (255 - zero_point, bounds[1])):
        scale = min(scale, limit / steps) if steps else scale
    return scale


def _with_zero(value_range: Range, bounds: Range) -> Range:
    """The range with zero in it, and never empty: what is always zero here may wake up on other data."""
    low, high = min(value_range[0], 0.0), max(value_range[1], 0.0)
    if low < high:
        return low, high
    return (0.0, min(1.0, bounds[1])) if bounds[1] > 0.0 else (max(-1.0, bounds[0]), 0.0)


SCHEMES = MappingProxyType(
    {
        "u8s8": QuantizationScheme(name="u8s8", activation_dtype=np.uint8, weight_limit=127),
        "u8s7": QuantizationScheme(name="u8s7", activation_dtype=np.uint8, weight_limit=63),
        "s8s8": QuantizationScheme(name="s8s8", activation_dtype=np.int8, weight_limit=127),
        # What TensorRT takes.
        "symmetric": QuantizationScheme(
            name="symmetric", activation_dtype=np.int8, weight_limit=127, integer_bias=False
        ),
    }
)
