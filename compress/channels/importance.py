"""In which order the channels of a group go: the next is always the one that the others can best stand in for.

The optimal brain surgeon (Hassibi & Stork 1993) on blocks of inputs, as in OBC (Frantar & Alistarh 2022,
arXiv:2208.11580) and with the second moments that layers really see: removing unit u costs every consumer
tr(W_u [H⁻¹]_uu⁻¹ W_uᵀ) after the best refit of its remaining weights. One order serves all ratios, so widths are
nested.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

_DAMPING = 1e-2
# Removing several units between two looks at the scores costs little and saves most of the time.
_SHARE_PER_STEP = 1 / 16


@dataclass(frozen=True, kw_only=True, eq=False)
class Consumer:
    """One reader of the group's channels.

    Attributes:
        rows: Its weights, shape (R, K).
        second: Second moments of its inputs, shape (K, K).
        columns: The inputs that each unit stands for, shape (units, inputs per unit).
    """

    rows: NDArray[np.float32]
    second: NDArray[np.float32]
    columns: NDArray[np.int64]


def removal_order(consumers: Sequence[Consumer], unit_count: int) -> NDArray[np.int64]:
    """All units, the one that matters least first.

    Args:
        consumers: Who reads the group; without any, units go from the last to the first.
        unit_count: Units of the group.
    """
    eliminations = [_Elimination(consumer) for consumer in consumers]
    remaining = np.arange(unit_count)[::-1]
    order: list[int] = []
    while len(remaining):
        scores = np.zeros(len(remaining))
        for elimination in eliminations:
            scores += elimination.scores(remaining)
        count = max(1, int(len(remaining) * _SHARE_PER_STEP))
        leaving = remaining[np.argsort(scores, kind="stable")[:count]]
        for elimination in eliminations:
            elimination.remove(leaving)
        order.extend(leaving.tolist())
        remaining = remaining[~np.isin(remaining, leaving)]
    return np.array(order, np.int64)


class _Elimination:
    """One consumer while its inputs are removed and the rest refitted."""

    def __init__(self, consumer: Consumer) -> None:
        second = consumer.second.astype(np.float64)
        mean = max(float(np.trace(second)) / len(second), float(np.finfo(np.float32).tiny))
        self._rows = consumer.rows.astype(np.float64)
        self._energy = max(float(np.einsum("rk,rk->", self._rows @ second, self._rows)), np.finfo(np.float64).tiny)
        self._inverse = _inverse(second + _DAMPING * mean * np.eye(len(second)))
        self._columns = consumer.columns
        # Where each original input stands now; -1 once it is gone.
        self._position = np.arange(len(second))

    def scores(self, units: NDArray[np.int64]) -> NDArray[np.float64]:
        """What removing each unit alone would cost, as a share of the consumer's own answers."""
        columns = self._position[self._columns[units]]
        blocks = self._inverse[columns[:, :, None], columns[:, None, :]]
        weights = self._rows[:, columns].transpose(1, 2, 0)
        # tr(W B⁻¹ Wᵀ) = tr(B⁻¹ WᵀW): a block is as wide as a unit has inputs, not as the consumer has rows.
        cost = np.einsum("ubc,ubc->u", np.linalg.inv(blocks), weights @ weights.swapaxes(1, 2))
        scores: NDArray[np.float64] = cost / self._energy
        return scores

    def remove(self, units: NDArray[np.int64]) -> None:
        """Remove units and let the remaining inputs take over what they can."""
        gone = self._position[self._columns[units].reshape(-1)]
        stays = np.ones(len(self._inverse), bool)
        stays[gone] = False
        left = stays.nonzero()[0]
        across = self._inverse[gone].take(left, axis=1)
        share = np.linalg.solve(self._inverse[np.ix_(gone, gone)], across)
        self._rows = self._rows.take(left, axis=1) - self._rows[:, gone] @ share
        self._inverse = self._inverse.take(left, axis=0).take(left, axis=1)
        self._inverse -= across.T @ share
        alive = self._position >= 0
        moved = np.cumsum(stays) - 1
        moved[gone] = -1
        self._position[alive] = moved[self._position[alive]]


def _inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of a symmetric positive definite matrix, from its Cholesky factor: half the work of a general one."""
    factor, failed = lapack.dpotrf(matrix, lower=1)
    if failed:  # roundoff in single precision can make moments indefinite
        return np.asarray(np.linalg.inv(matrix), np.float64)
    lower, _ = lapack.dpotri(factor, lower=1)  # above the diagonal are the zeros that dpotrf has left
    inverse: NDArray[np.float64] = lower + lower.T
    np.einsum("kk->k", inverse)[...] = lower.diagonal()
    return inverse
