"""From divergence to the user's metric: the monotone curve that the finished trials draw."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Link:
    """A curve that never rises: more divergence from FP32 never means a better metric.

    Attributes:
        divergence: Where the curve is known, increasing.
        metric: Its height there, decreasing or level.
    """

    divergence: Array
    metric: Array

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
        return cls(divergence=np.array([pool[1] for pool in pools]), metric=np.array([pool[2] for pool in pools]))

    def __call__(self, divergence: Array) -> Array:
        """The metric at each divergence."""
        return np.interp(divergence, self.divergence, self.metric)


def _joined(one: tuple[float, float, float], other: tuple[float, float, float]) -> tuple[float, float, float]:
    weight = one[0] + other[0]
    pull = other[0] / weight
    # What was equal stays exactly equal.
    return weight, one[1] + (other[1] - one[1]) * pull, one[2] + (other[2] - one[2]) * pull
