"""Weights that answer what the original network answers, to the inputs that the compressed one really has.

Least squares with a ridge towards the weights as they were, and bias free: min E‖y − W x̂ − b‖² + λ‖W − W₀‖² (the
asymmetric reconstruction of He et al. 2017, arXiv:1707.06168, and of Nagel et al. 2020, arXiv:2004.10568, in the Gram
form of optimal brain compression, arXiv:2208.11580). Samples that were held out choose λ, and may choose W₀.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.weights.refit import solve_symmetric

# Ridge as shares of the mean variance.
_DAMPINGS = (1e-4, 1e-3, 1e-2, 1e-1)
_HELD_OUT = 5
_DESCENT_STEPS = 60
_DESCENT_PRECISION = 1e-7

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """What an operator reads, and what it should answer.

    Attributes:
        inputs: x̂, shape (G, n, K).
        answers: y, shape (n, G·R), in the order of the operator's outputs.
    """

    inputs: NDArray[np.float32]
    answers: NDArray[np.float32]

    def error(self, rows: NDArray[np.floating[Any]], bias: NDArray[np.floating[Any]] | None) -> float:
        """Mean squared error of the answers that weights of shape (G, R, K) give."""
        found = np.matmul(self.inputs, rows.astype(np.float32).swapaxes(1, 2))  # (G, n, R)
        difference = self.answers - found.swapaxes(0, 1).reshape(self.answers.shape)
        if bias is not None:
            difference -= bias.astype(np.float32)
        return float(np.mean(np.square(difference, dtype=np.float64)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """Weights in rows, and what they were found from.

    Attributes:
        rows: Shape (G, R, K).
        bias: Shape (G·R,); None where there is no place for one.
        mean: Of the inputs, shape (G, K).
        covariance: Of the inputs, shape (G, K, K).
    """

    rows: NDArray[np.float32]
    bias: NDArray[np.float32] | None
    mean: NDArray[np.float32]
    covariance: NDArray[np.float32]


def fit(given: Rows, before: NDArray[np.float32], *, has_bias: bool, keep_zeros: bool = False) -> Fit:
    """The weights that answer best.

    Args:
        given: Inputs and answers.
        before: W₀, shape (G, R, K).
        has_bias: Whether a bias may take up the mean.
        keep_zeros: Whether weights that are exactly zero stay so: they have been masked.
    """
    kept = before != 0 if keep_zeros else None
    test = np.arange(given.inputs.shape[1]) % _HELD_OUT == 0
    if given.inputs.shape[1] < 2 * _HELD_OUT:
        damping: float | None = _DAMPINGS[-1]
    else:
        learned, unseen = (
            Rows(inputs=given.inputs[:, chosen], answers=given.answers[chosen]) for chosen in (~test, test)
        )
        moments = _Moments(learned, has_bias=has_bias)
        errors = {
            damping: unseen.error(rows, moments.bias(rows))
            for damping in (*_DAMPINGS, None)
            for rows in (moments.solve(before, damping, kept),)
        }
        damping = min(errors, key=lambda one: errors[one])
    moments = _Moments(given, has_bias=has_bias)
    rows = moments.solve(before, damping, kept).astype(np.float32)
    bias = moments.bias(rows)
    return Fit(
        rows=rows,
        bias=None if bias is None else bias.astype(np.float32),
        mean=moments.mean.astype(np.float32),
        covariance=moments.spread.astype(np.float32),
    )


class _Moments:
    """Sums over rows that the solutions for all ridges are made of."""

    def __init__(self, given: Rows, *, has_bias: bool) -> None:
        groups, count, _ = given.inputs.shape
        self._has_bias = has_bias
        self.mean: Array = given.inputs.mean(axis=1, dtype=np.float64)
        self.answer: Array = given.answers.mean(axis=0, dtype=np.float64)
        # Around their means, products of single precision keep their digits.
        centred = given.inputs - self.mean[:, None].astype(np.float32)
        answers = (given.answers - self.answer.astype(np.float32)).reshape(count, groups, -1)
        self.spread: Array = (centred.swapaxes(1, 2) @ centred).astype(np.float64) / count
        self._cross: Array = (answers.transpose(1, 2, 0) @ centred).astype(np.float64) / count
        self._second = self.spread
        if not has_bias:
            self._second = self.spread + self.mean[:, :, None] * self.mean[:, None, :]
            self._cross = self._cross + self.answer.reshape(groups, -1, 1) * self.mean[:, None, :]

    def solve(self, before: NDArray[np.float32], damping: float | None, kept: NDArray[np.bool_] | None) -> Array:
        """The weights for one ridge; None for a ridge that lets nothing move."""
        towards = before.astype(np.float64)
        if damping is None:
            return towards
        power = np.trace(self._second, axis1=1, axis2=2) / self._second.shape[1]
        ridge = damping * np.maximum(power, np.finfo(np.float32).tiny)
        wanted = self._cross + ridge[:, None, None] * towards
        damped = self._second + ridge[:, None, None] * np.eye(self._second.shape[1])
        if kept is not None and not kept.all():
            return _descend(damped, wanted, towards, kept)
        return np.stack([solve_symmetric(matrix, right.T).T for matrix, right in zip(damped, wanted, strict=True)])

    def bias(self, rows: NDArray[np.floating[Any]]) -> Array | None:
        """What makes the mean answer right; None where there is no place for it."""
        if not self._has_bias:
            return None
        answered: Array = np.einsum("grk,gk->gr", rows.astype(np.float64), self.mean).reshape(-1)
        return self.answer - answered


def _descend(matrix: Array, right: Array, start: Array, kept: NDArray[np.bool_]) -> Array:
    """Minimize ½ W M Wᵀ − W·right over the weights that are kept: conjugate gradients, each row with its own steps."""
    diagonal = np.einsum("gkk->gk", matrix)[:, None, :]
    found = np.where(kept, start, 0.0)
    residual = np.where(kept, right - found @ matrix, 0.0)
    scaled = residual / diagonal
    direction, power = scaled, np.einsum("grk,grk->gr", residual, scaled)
    first = power.max(initial=0.0)
    for _ in range(_DESCENT_STEPS):
        if power.max(initial=0.0) <= _DESCENT_PRECISION**2 * first:
            break
        ahead = np.where(kept, direction @ matrix, 0.0)
        curvature = np.einsum("grk,grk->gr", direction, ahead)
        step = np.divide(power, curvature, out=np.zeros_like(power), where=curvature > 0)
        found = found + step[:, :, None] * direction
        residual = residual - step[:, :, None] * ahead
        scaled = residual / diagonal
        after = np.einsum("grk,grk->gr", residual, scaled)
        turn = np.divide(after, power, out=np.zeros_like(power), where=power > 0)
        direction, power = scaled + turn[:, :, None] * direction, after
    return found
