"""How accurate a network was on some samples, and how much of that another one lost."""

import math
from dataclasses import dataclass, field, replace
from statistics import NormalDist
from typing import Self

import numpy as np
from numpy.typing import NDArray

from workloads.errors import WorkloadError

RESAMPLES = 2000
_DRAWS_AT_ONCE = 4_000_000
_TWO_SIDED_95 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True, kw_only=True, eq=False)
class Accuracy:
    """Scores of one network on samples in a fixed order.

    Attributes:
        metric: The metric's name.
        scores: float64 (N,), one score per sample, higher is better; read-only.
        divergence: float64 (N,), each sample's squared distance from FP32's outputs; 0 is identical, 1 is as far as
            always answering FP32's mean output. None where nothing was compared. Read-only.

    Raises:
        WorkloadError: There are no scores, or one is not finite.
        ValueError: The arrays do not have the same single axis.
    """

    metric: str
    scores: NDArray[np.float64] = field(repr=False)
    divergence: NDArray[np.float64] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("scores", "divergence"):
            if (given := getattr(self, name)) is None:
                continue
            array = np.array(given, dtype=np.float64)
            if array.shape != (len(self.scores),):
                raise ValueError(f"{name} must have shape ({len(self.scores)},), got {array.shape}")
            if not len(array):
                raise WorkloadError(f"{name} of metric {self.metric!r} is empty; evaluate at least one sample")
            if not np.isfinite(array).all():
                first = int(np.flatnonzero(~np.isfinite(array))[0])
                raise WorkloadError(f"{name} of metric {self.metric!r} must be finite, got {array[first]} at {first}")
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @property
    def count(self) -> int:
        """How many samples."""
        return len(self.scores)

    @property
    def value(self) -> float:
        """The mean score, in the metric's own unit."""
        return float(self.scores.mean())

    def first(self, count: int) -> Self:
        """That on the first `count` samples.

        Raises:
            ValueError: There are not so many, or `count` is not positive.
        """
        if not 1 <= count <= self.count:
            raise ValueError(f"count must be from 1 to {self.count}, got {count}")
        divergence = None if self.divergence is None else self.divergence[:count]
        return replace(self, scores=self.scores[:count], divergence=divergence)

    @property
    def mean_divergence(self) -> float | None:
        """The mean of `divergence`; None where nothing was compared."""
        return None if self.divergence is None else float(self.divergence.mean())


@dataclass(frozen=True, kw_only=True)
class Drop:
    """Reference minus candidate, in the metric's own unit; positive is a loss.

    Attributes:
        value: The difference of the mean scores.
        low: Lower end of its 95% interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float


def paired_drop(reference: Accuracy, candidate: Accuracy, *, seed: int = 0) -> Drop:
    """How much of the reference's mean score the candidate lost, with a 95% interval from the same samples.

    Scores that are all 0 or 1 get the adjusted Wald interval for paired proportions, which adds 1/2 to each of the
    four cells, so that identical answers do not pass for certainty (Agresti & Min 2005, Statistics in Medicine 24).
    Other scores get the percentile interval of 2,000 paired bootstrap resamples (Efron & Tibshirani 1993, chapter
    13), which is somewhat narrow below some 30 samples.

    Args:
        reference: Usually FP32.
        candidate: Another network on the same samples.
        seed: Of the resamples.

    Raises:
        ValueError: The two differ in metric or in number of samples.
    """
    if (reference.metric, reference.count) != (candidate.metric, candidate.count):
        raise ValueError(
            f"reference and candidate must have the same samples and metric, got {reference.count} of "
            f"{reference.metric!r} and {candidate.count} of {candidate.metric!r}"
        )
    differences = reference.scores - candidate.scores
    value = float(differences.mean())
    if np.isin(reference.scores, (0.0, 1.0)).all() and np.isin(candidate.scores, (0.0, 1.0)).all():
        low, high = _paired_proportions(differences)
    else:
        low, high = _bootstrap(differences, seed)
    return Drop(value=value, low=min(low, value), high=max(high, value))


def _paired_proportions(differences: NDArray[np.float64]) -> tuple[float, float]:
    lost = int(np.count_nonzero(differences > 0)) + 0.5
    gained = int(np.count_nonzero(differences < 0)) + 0.5
    count = len(differences) + 2
    center = (lost - gained) / count
    half = _TWO_SIDED_95 * math.sqrt(lost + gained - (lost - gained) ** 2 / count) / count
    return max(center - half, -1.0), min(center + half, 1.0)


def _bootstrap(differences: NDArray[np.float64], seed: int) -> tuple[float, float]:
    generator = np.random.default_rng(seed)
    count = len(differences)
    means = np.empty(RESAMPLES)
    rows = max(1, _DRAWS_AT_ONCE // count)
    for start in range(0, RESAMPLES, rows):
        stop = min(start + rows, RESAMPLES)
        drawn = generator.integers(0, count, size=(stop - start, count), dtype=np.int32)
        means[start:stop] = differences[drawn].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)
