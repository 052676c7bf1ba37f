"""Which interval of a tensor its 8 bits should cover, read off its histogram.

Rounding wants a narrow interval, clipping a wide one. The minimum and maximum never clip; percentiles ignore rare
values whatever they cost; the optimum lies where both errors together are least (Nagel et al. 2021, arXiv:2106.08295,
section 3.1).
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from compress.formats.scheme import QuantizationScheme, Range
from compress.statistics.histogram import ActivationHistogram

_UNBOUNDED: Range = (-math.inf, math.inf)
# What the ends of a range are multiplied with in the search for the best: half octaves, then ever smaller steps.
_FRACTIONS: tuple[tuple[float, ...], ...] = (
    tuple(2.0 ** (-n / 2) for n in range(1, 17)),
    (1.19, 0.84),
    (1.09, 0.917),
    (1.04, 0.96),
    (1.02, 0.98),
)


def minmax(histogram: ActivationHistogram) -> Range:
    """The extremes, zero within: nothing that calibration saw is clipped."""
    return min(histogram.low, 0.0), max(histogram.high, 0.0)


def percentile(histogram: ActivationHistogram, p: float = 99.99) -> Range:
    """The interval that leaves out (100 − p)% of the elements at each end, zero within.

    The extremes where nothing but zeros would be left.

    Args:
        histogram: The tensor.
        p: In percent, above 50 and at most 100.
    """
    if not 50.0 < p <= 100.0:
        raise ValueError(f"p must be in (50, 100] percent, got {p}")
    left, right, counts = histogram.spread()
    share = 1.0 - p / 100.0
    low = _inner_end(left, right, counts, share)
    high = _inner_end(right[::-1], left[::-1], counts[::-1], share)
    found = min(low, 0.0), max(high, 0.0)
    return found if found[0] < found[1] else minmax(histogram)


def _inner_end(
    outer: NDArray[np.float64], inner: NDArray[np.float64], counts: NDArray[np.int64], share: float
) -> float:
    """Where the outermost `share` of the elements ends, evenly spread within bins that are given from outside in."""
    cumulated = np.cumsum(counts)
    # A share that ends at a bin's end takes all of that bin, whatever the last digit of the product.
    tail = share * float(cumulated[-1]) * (1.0 + 1e-9)
    bin_index = min(int(np.searchsorted(cumulated, tail, side="right")), len(counts) - 1)
    within = 1.0 - (float(cumulated[bin_index]) - tail) / float(counts[bin_index])
    return float(outer[bin_index] + min(max(within, 0.0), 1.0) * (inner[bin_index] - outer[bin_index]))


def mse_optimal(histogram: ActivationHistogram, scheme: QuantizationScheme, bounds: Range = _UNBOUNDED) -> Range:
    """The interval with the least expected squared error on the scheme's own grid (Nagel et al. 2021, section 3.1).

    Both ends shrink in turns, over fractions of the extremes down to 1/256, then in finer steps around the best. Never
    worse than `minmax`; where intervals are equally good, the widest.

    Args:
        histogram: The tensor.
        scheme: Gives the grid, zero point rounded and all.
        bounds: To what a Relu or Clip has clamped the tensor.
    """
    search = _Search(histogram, scheme, bounds)
    for fractions in _FRACTIONS:
        for ends in ((0, 1), (1,), (0,)):
            search.try_fractions(fractions, ends)
    return search.best


def quantization_error(
    histogram: ActivationHistogram, value_range: Range, scheme: QuantizationScheme, bounds: Range = _UNBOUNDED
) -> float:
    """The expected squared difference between an element and its 8-bit value, in the tensor's unit squared.

    Rounding to nearest and saturating as the scheme's integers do; elements spread evenly within their bins.

    Args:
        histogram: The tensor.
        value_range: Lowest and highest value that the format is made for.
        scheme: The format.
        bounds: To what a Relu or Clip has clamped the tensor.
    """
    return _Density(histogram).error(value_range, scheme, bounds)


class _Density:
    """A histogram as a density that is constant within bins: squared errors then have a closed form."""

    def __init__(self, histogram: ActivationHistogram) -> None:
        left, right, counts = histogram.spread()
        # Zeros are a point, and so is the last bin when a clamp's limit, its only value, is the bin's edge.
        self._is_point = right - left <= 1e-9 * np.maximum(np.abs(left), np.abs(right))
        self._left, self._width = left, np.where(self._is_point, 1.0, right - left)
        self._edges, self._places = np.unique(np.stack([left, right]), return_inverse=True)
        self._share = counts / counts.sum()

    def error(self, value_range: Range, scheme: QuantizationScheme, bounds: Range) -> float:
        single, zero_point = scheme.activation_parameters(value_range, bounds)
        scale, limits = float(single), np.iinfo(scheme.activation_dtype)
        lowest, highest = int(limits.min) - int(zero_point), int(limits.max) - int(zero_point)
        cumulated = _cumulated_error(self._edges / scale, lowest, highest)[self._places]
        spread = (cumulated[1] - cumulated[0]) * (scale / self._width)
        steps = self._left / scale
        point = (steps - np.clip(np.rint(steps), lowest, highest)) ** 2
        return scale**2 * float(self._share @ np.where(self._is_point, point, spread))


def _cumulated_error(x: NDArray[np.float64], lowest: int, highest: int) -> NDArray[np.float64]:
    """The integral from 0 to x of (t − q(t))², q rounding to an integer from `lowest` to `highest`."""
    inside = np.clip(x, lowest, highest)
    nearest = np.rint(inside)
    rest, beyond = inside - nearest, x - inside
    # A twelfth for every whole step, then the cube of what is left. (NumPy's ** 3 takes ten times as long.)
    cumulated: NDArray[np.float64] = nearest / 12 + (rest * rest * rest + beyond * beyond * beyond) / 3
    return cumulated


class _Search:
    """The best range so far, and the attempts to better it."""

    def __init__(self, histogram: ActivationHistogram, scheme: QuantizationScheme, bounds: Range) -> None:
        self._density, self._scheme, self._bounds = _Density(histogram), scheme, bounds
        self._widest = minmax(histogram)
        self.best = self._widest
        self._least = self._density.error(self.best, scheme, bounds)

    def try_fractions(self, fractions: tuple[float, ...], ends: tuple[int, ...]) -> None:
        """Multiply the `ends` (0 the low, 1 the high) of the best range by each of `fractions`."""
        start = self.best
        if not any(start[end] for end in ends):
            return
        for fraction in fractions:
            value_range = (
                max(start[0] * (fraction if 0 in ends else 1.0), self._widest[0]),
                min(start[1] * (fraction if 1 in ends else 1.0), self._widest[1]),
            )
            error = self._density.error(value_range, self._scheme, self._bounds)
            if error < self._least:
                self.best, self._least = value_range, error


RangeMethod = Callable[[ActivationHistogram, QuantizationScheme, Range], Range]

RANGE_METHODS: Mapping[str, RangeMethod] = MappingProxyType(
    {
        "minmax": lambda histogram, scheme, bounds: minmax(histogram),
        "percentile": lambda histogram, scheme, bounds: percentile(histogram),
        "mse": mse_optimal,
    }
)
"""Name to (histogram, scheme, bounds of the clamp before the tensor) → range."""
