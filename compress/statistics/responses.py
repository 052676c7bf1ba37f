"""How a layer's outputs vary together: what decides which of their directions can be left out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Responses:
    """Moments of a layer's outputs, bias included, and some of the outputs themselves.

    Attributes:
        mean: Shape (out,).
        covariance: E[(y − mean)(y − mean)ᵀ], shape (out, out).
        rows: Outputs at positions chosen at random, shape (n, out).
    """

    mean: NDArray[np.float32]
    covariance: NDArray[np.float32]
    rows: NDArray[np.float32]

    @property
    def second_moment(self) -> NDArray[np.float32]:
        """E[y yᵀ], shape (out, out)."""
        second: NDArray[np.float32] = self.covariance + np.outer(self.mean, self.mean)
        return second

    def select(self, channels: NDArray[np.int64]) -> "Responses":
        """The responses of some of the channels."""
        return Responses(
            mean=self.mean[channels],
            covariance=self.covariance[np.ix_(channels, channels)],
            rows=self.rows[:, channels],
        )
