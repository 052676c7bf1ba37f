"""First and second moments of what a layer's weights are multiplied with: what every data-aware method needs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """Moments of the inputs to a layer's rows (`compress.weight_rows` says what a row is).

    Attributes:
        mean: E[x], shape (G, K).
        covariance: E[(x − mean)(x − mean)ᵀ], shape (G, K, K): what errors cost once the bias has been corrected.
        by_channel: Whether a row reads channels only, its taps being rows of their own.
    """

    mean: NDArray[np.float32]
    covariance: NDArray[np.float32]
    by_channel: bool = False

    @property
    def second(self) -> NDArray[np.float32]:
        """E[x xᵀ], shape (G, K, K): what errors cost where no bias can be corrected."""
        second: NDArray[np.float32] = self.covariance + self.mean[:, :, None] * self.mean[:, None, :]
        return second

    def select(self, columns: NDArray[np.int64]) -> "Moments":
        """The moments of some of the inputs, the same `columns` in every block."""
        return Moments(
            mean=self.mean[:, columns],
            covariance=self.covariance.take(columns, axis=1).take(columns, axis=2),
            by_channel=self.by_channel,
        )

    def select_groups(self, groups: NDArray[np.int64]) -> "Moments":
        """The moments of some of the blocks."""
        return Moments(mean=self.mean[groups], covariance=self.covariance[groups], by_channel=self.by_channel)


class MomentSums:
    """Sums that moments are made of, batch by batch.

    Args:
        groups: G.
        length: K.
        by_channel: As in `Moments`.
    """

    def __init__(self, groups: int, length: int, *, by_channel: bool = False) -> None:
        self._by_channel = by_channel
        self._count = 0
        self._shift: NDArray[np.float32] | None = None
        self._total = np.zeros((groups, length), np.float32)
        self._products = np.zeros((groups, length, length), np.float32)

    @property
    def count(self) -> int:
        """Rows added so far."""
        return self._count

    def add(self, rows: NDArray[np.float32]) -> None:
        """Add rows of shape (G, n, K)."""
        if not rows.shape[1]:
            return
        if self._shift is None:
            # Around the first batch's mean, products of single precision keep their digits.
            self._shift = rows.mean(axis=1)
        centred = rows - self._shift[:, None]
        self._count += rows.shape[1]
        self._total += centred.sum(axis=1)
        self._products += centred.swapaxes(1, 2) @ centred

    def moments(self) -> Moments:
        """What has been added, as moments.

        Raises:
            ValueError: Nothing has been added.
        """
        if self._shift is None:
            raise ValueError("no rows were added")
        offset = self._total / self._count
        covariance = self._products / self._count - offset[:, :, None] * offset[:, None, :]
        return Moments(
            mean=(self._shift + offset).astype(np.float32),
            covariance=covariance.astype(np.float32),
            by_channel=self._by_channel,
        )
