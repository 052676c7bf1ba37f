"""Which interval of a tensor its 8 bits should cover: a histogram gathered in one pass, and the ranges made of it.

Rounding wants a narrow interval, clipping a wide one. The minimum and maximum never clip; percentiles ignore rare
values whatever they cost; the optimum lies where both errors together are least (Nagel et al. 2021, arXiv:2106.08295,
section 3.1). All of them can be read off one histogram.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.errors import CompressionError
from compress.formats.scheme import QuantizationScheme, Range

BIN_COUNT = 2048
# Of a larger array only so many elements are counted (the extremes are always those of all).
SAMPLE_LIMIT = 1 << 14

_UNBOUNDED: Range = (-math.inf, math.inf)
# Bins are at least this fine beside the largest magnitude, and never finer: their numbers stay below 2**20.
_FINEST_SHARE = 20
# Of a sample that stands for a larger array, this share at each end does not: all such elements are counted.
_TAIL_SHARE = 1 / 128
# Of the narrowest bins, before a magnitude has been seen: finer than single precision.
_SMALLEST_EXPONENT = -150
_GOLDEN_RATIO = (math.sqrt(5.0) - 1.0) / 2.0
# What the ends of a range are multiplied with in the search for the best: half octaves, then ever smaller steps.
_FRACTIONS: tuple[tuple[float, ...], ...] = (
    tuple(2.0 ** (-n / 2) for n in range(1, 17)),
    (1.19, 0.84),
    (1.09, 0.917),
    (1.04, 0.96),
    (1.02, 0.98),
)


class ActivationHistogram:
    """How often one tensor takes which values, streamed in bounded memory.

    Bin i of width w = 2ᵉ holds the values in [i·w, (i + 1)·w). The width is the smallest power of two with which
    `BIN_COUNT` bins span everything seen so far; when that grows, bins merge pairwise. So counts stay exact, at least
    half of the bins lie within the data's range, and the order of the batches does not matter. Zeros are counted
    apart: behind a Relu they are half of the values, and no format rounds them.

    Of an array of more than `SAMPLE_LIMIT` elements one in k is counted, k times, k the smallest number that keeps to
    the limit: one from every k neighbours in C order, at places that follow the golden ratio and so keep step with no
    axis. What lies beyond this sample's outermost 1/128 at either end is counted completely instead:
    few elements, which cost most when they are clipped. Minimum, maximum and the check for finite values see all.

    Args:
        name: The tensor, for messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._low, self._high = math.inf, -math.inf
        self._zeros = 0
        self._exponent, self._first = _SMALLEST_EXPONENT, 0
        self._counts = np.zeros(BIN_COUNT, np.int64)
        self._element_count = 0

    @property
    def low(self) -> float:
        """The lowest value of all elements."""
        return self._extremes()[0]

    @property
    def high(self) -> float:
        """The highest value of all elements."""
        return self._extremes()[1]

    @property
    def element_count(self) -> int:
        """Elements fed, counted or not."""
        return self._element_count

    def add(self, array: NDArray[Any]) -> None:
        """Count the elements of `array`, real numbers of any shape.

        Raises:
            CompressionError: An element is not finite.
        """
        if not array.size:
            return
        with np.errstate(invalid="ignore"):
            low, high = float(array.min()), float(array.max())
        if not (math.isfinite(low) and math.isfinite(high)):
            raise CompressionError(
                f"tensor {self.name!r} of the FP32 network is not finite on the calibration data "
                f"(lowest {low}, highest {high}); check calibration()"
            )
        self._low, self._high = min(self._low, low), max(self._high, high)
        self._element_count += array.size
        self._widen()
        flat = array.reshape(-1)
        times = math.ceil(flat.size / SAMPLE_LIMIT)
        if times == 1:
            self._count(flat, 1)
            return
        sample = flat[_sample_places(flat.size, times)]
        middle_low, middle_high = _middle(sample)
        self._count(sample[(sample >= middle_low) & (sample <= middle_high)], times)
        self._count(flat[(flat < middle_low) | (flat > middle_high)], 1)

    def _count(self, values: NDArray[Any], times: int) -> None:
        # Double precision, in which multiplying by a power of two is exact: no value slips into the bin beside its own.
        other = values[values != 0].astype(np.float64)
        self._zeros += (len(values) - len(other)) * times
        numbers = np.floor(other * 2.0**-self._exponent).astype(np.int64) - self._first
        self._counts += np.bincount(numbers, minlength=BIN_COUNT) * times

    def spread(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Where the values lie: left and right ends and counts of the bins that hold any, ascending.

        Ends keep within the extremes. Zeros are a bin of no width.

        Raises:
            CompressionError: Nothing was added.
        """
        low, high = self._extremes()
        edges = np.ldexp(np.arange(self._first, self._first + BIN_COUNT + 1, dtype=np.float64), self._exponent)
        edges = np.clip(edges, low, high)
        # Zero is always an edge: bins are multiples of their width.
        place = int(np.searchsorted(edges, 0.0)) if self._zeros else 0
        left, right = np.insert(edges[:-1], place, 0.0), np.insert(edges[1:], place, 0.0)
        counts = np.insert(self._counts, place, self._zeros)
        filled = np.flatnonzero(counts)
        return left[filled], right[filled], counts[filled]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Everything known, as plain arrays; `from_arrays` reads them."""
        low, high = self._extremes()
        return {
            "extremes": np.array([low, high], np.float64),
            "bins": np.array([self._exponent, self._first], np.int64),
            "totals": np.array([self._element_count, self._zeros], np.int64),
            "counts": self._counts.copy(),
        }

    @classmethod
    def from_arrays(cls, name: str, arrays: Mapping[str, NDArray[Any]]) -> "ActivationHistogram":
        """The histogram of the tensor `name` that `to_arrays` described; it can be added to."""
        found = cls(name)
        found._low, found._high = (float(n) for n in arrays["extremes"])
        found._exponent, found._first = (int(n) for n in arrays["bins"])
        found._element_count, found._zeros = (int(n) for n in arrays["totals"])
        found._counts = arrays["counts"].astype(np.int64)
        return found

    def _extremes(self) -> Range:
        if not self._element_count:
            raise CompressionError(f"tensor {self.name!r} has no range: calibration never reached it")
        return self._low, self._high

    def _widen(self) -> None:
        """Merge bins until all of them together span the extremes, and let the first be the lowest value's."""
        exponent = max(self._exponent, _exponent_for(self._low, self._high))
        first = math.floor(math.ldexp(self._low, -exponent))
        if (exponent, first) == (self._exponent, self._first):
            return
        filled = np.flatnonzero(self._counts)
        numbers = ((filled + self._first) >> (exponent - self._exponent)) - first
        merged = np.zeros(BIN_COUNT, np.int64)
        np.add.at(merged, numbers, self._counts[filled])
        self._exponent, self._first, self._counts = exponent, first, merged


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


def _exponent_for(low: float, high: float) -> int:
    """The e of the narrowest bins that span the extremes."""
    largest = max(-low, high)
    if not largest:
        return _SMALLEST_EXPONENT
    exponent = max(_SMALLEST_EXPONENT, math.frexp(largest)[1] - _FINEST_SHARE)
    while math.floor(math.ldexp(high, -exponent)) - math.floor(math.ldexp(low, -exponent)) >= BIN_COUNT:
        exponent += 1
    return exponent


def _middle(sample: NDArray[Any]) -> tuple[Any, Any]:
    """Between which values the sample lies, its outermost shares left out."""
    outside = int(len(sample) * _TAIL_SHARE)
    ordered = np.partition(sample, (outside, len(sample) - 1 - outside))
    return ordered[outside], ordered[len(sample) - 1 - outside]


def _sample_places(size: int, step: int) -> NDArray[np.int64]:
    """One place out of every `step` neighbours, ascending."""
    rows = np.arange(size // step)
    return rows * step + (rows * _GOLDEN_RATIO % 1.0 * step).astype(np.int64)
