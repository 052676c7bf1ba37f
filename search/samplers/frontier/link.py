"""From divergence to the user's metric: the monotone curve that the finished trials draw."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_NEAR = 12
"""Observations that tell how far metrics stray from the curve there."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Link:
    """A curve that never rises: more divergence from FP32 never means a better metric.

    Attributes:
        divergence: Where the curve is known, increasing.
        metric: Its height there, decreasing or level.
        observed: All divergences that were seen, increasing.
        strayed: Of the observations up to each, what they strayed from the curve: squares, summed up; 0 comes first.
    """

    divergence: Array
    metric: Array
    observed: Array
    strayed: Array

    @classmethod
    def fit(cls, divergence: Sequence[float] | Array, metric: Sequence[float] | Array) -> Self:
        """The decreasing curve with the least squared error (pool adjacent violators, Ayer et al. 1955).

        Between the pools' mean divergences it is linear, beyond the outermost it is level.

        Args:
            divergence: Of each observation, at least one.
            metric: Of the same.

        Raises:
            ValueError: There are none, or not as many of one as of the other.
        """
        x, y = np.asarray(divergence, np.float64), np.asarray(metric, np.float64)
        if x.size == 0 or x.shape != y.shape:
            raise ValueError(f"a link needs as many divergences as metrics, at least one, got {x.size} and {y.size}")
        order = np.lexsort((-y, x))
        pools: list[tuple[float, float, float]] = []  # weight, mean divergence, mean metric
        for position, height in zip(x[order], y[order], strict=True):
            pool = (1.0, float(position), float(height))
            while pools and (pools[-1][2] < pool[2] or pools[-1][1] == pool[1]):
                pool = _joined(pools.pop(), pool)
            pools.append(pool)
        made = cls(
            divergence=np.array([pool[1] for pool in pools]),
            metric=np.array([pool[2] for pool in pools]),
            observed=x[order],
            strayed=np.zeros(1),
        )
        squares = np.square(y[order] - made(x[order]))
        return replace(made, strayed=np.concatenate([[0.0], np.cumsum(squares)]))

    def __call__(self, divergence: Array) -> Array:
        """The metric at each divergence."""
        return np.interp(divergence, self.divergence, self.metric)

    def spread(self, divergence: Array) -> Array:
        """How far a metric strays from the curve at each divergence: the standard deviation of the nearest dozen.

        Two networks that stray from FP32 by as much answer differently, and some samples are right by luck: at a
        divergence the metric is not foreseen more exactly than this.
        """
        count = len(self.observed)
        first = np.clip(np.searchsorted(self.observed, divergence) - _NEAR // 2, 0, max(0, count - _NEAR))
        behind = np.minimum(first + _NEAR, count)
        found: Array = np.sqrt((self.strayed[behind] - self.strayed[first]) / (behind - first))
        return found


def _joined(one: tuple[float, float, float], other: tuple[float, float, float]) -> tuple[float, float, float]:
    weight = one[0] + other[0]
    pull = other[0] / weight
    # What was equal stays exactly equal.
    return weight, one[1] + (other[1] - one[1]) * pull, one[2] + (other[2] - one[2]) * pull
