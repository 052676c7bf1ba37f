"""How often one tensor takes which values: one pass, bounded memory."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.errors import CompressionError
from compress.formats.scheme import Range

BIN_COUNT = 2048
# Of a larger array only so many elements are counted (the extremes are always those of all).
SAMPLE_LIMIT = 1 << 14
# Bins are at least this fine beside the largest magnitude, and never finer: their numbers stay below 2**20.
_FINEST_SHARE = 20
# Of a sample that stands for a larger array, this share at each end does not: all such elements are counted.
_TAIL_SHARE = 1 / 128
# Of the narrowest bins, before a magnitude has been seen: finer than single precision.
_SMALLEST_EXPONENT = -150
_GOLDEN_RATIO = (math.sqrt(5.0) - 1.0) / 2.0


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
