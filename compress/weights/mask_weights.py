"""Weights set to zero where that costs the outputs least, and the others refitted to make it good.

A weight's price is what its removal costs once all others have answered it, w²/[H⁻¹]ⱼⱼ: the optimal brain surgeon
(Hassibi & Stork 1993), compared over all rows of a layer because all rows' errors are outputs' errors. Prices change
as others go, so weights go in several steps with the rest refitted by least squares in between. SparseGPT (Frantar &
Alistarh 2023, arXiv:2301.00774) goes through the inputs once instead; over the layers of a residual and of a mobile
network at half sparsity that left two to seven times the error, in depthwise convolutions over ten times.

The sums run through BLAS: see `compress.weights.round_weights` on when they have the same bits.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from compress.weights.elimination import Elimination

Pattern = Literal["2:4", "unstructured"]

_STEPS = 12
_REFITS_PER_STEP = 5
_LAST_REFITS = 25
# Rows refitted at once: bounds the memory that five arrays of their size take.
_ROWS = 4096
_TINY = np.float32(1e-30)


def mask_compensated(
    rows: NDArray[np.floating],
    elimination: Elimination,
    *,
    pattern: Pattern,
    ratio: float,
    order: NDArray[np.integer] | None = None,
) -> NDArray[np.float32]:
    """Rows with some weights at zero and the others refitted, so that (w − ŵ)ᵀ E[x xᵀ] (w − ŵ) stays small over all.

    Args:
        rows: The weights, shape (G, R, K).
        elimination: `prepare`'s, of the rows' second moments.
        pattern: `2:4`: exactly two zeros in each run of four inputs. `unstructured`: anywhere in the layer.
        ratio: Share of weights to set to zero, in [0, 1); 0 returns the rows as they are. `2:4` takes 0 and 0.5.
        order: For `2:4`, the inputs in the order in which runs are taken, shape (K,); as they come if None. The
            engines' runs go along input channels, so that a k×k convolution's order has the taps outermost.

    Returns:
        Shape (G, R, K); at least round(ratio·G·R·K) of the weights are zero: exactly those, unless a fit falls on zero.

    Raises:
        ValueError: Shapes do not fit, a weight is not finite, or the pattern cannot have this ratio or these rows.
    """
    _check(rows, elimination, pattern, ratio, order)
    if ratio == 0.0:
        return rows.astype(np.float32)
    # In the elimination's order of inputs, and in units of the largest weight: squares stay within float32.
    unit = float(np.abs(rows).max()) or 1.0
    targets = np.take_along_axis(rows, elimination.order[:, None, :], axis=2)
    targets = (targets / unit).astype(np.float32)
    runs = _runs(elimination, order) if pattern == "2:4" else None
    price = elimination.free_cost * elimination.power[:, None]
    # Inputs that the calibration data never woke are worth a little too: among them, the smallest weights go.
    price += elimination.damping * (elimination.power.mean() or 1.0)
    weights, kept = targets, np.ones(targets.shape, bool)
    for step in range(1, _STEPS + 1):
        # Falling shares: what is cheap now hardly changes the rest, what comes last does.
        share = 1.0 - (1.0 - step / _STEPS) ** 2
        prices = np.where(kept, np.square(weights) * price[:, None, :], -1.0)
        kept = _cheapest_gone(prices, round(ratio * rows.size * share), runs)
        weights = _refit(targets, weights, kept, elimination, _REFITS_PER_STEP if step < _STEPS else _LAST_REFITS)
    masked = np.empty_like(weights)
    np.put_along_axis(masked, elimination.order[:, None, :], weights * np.float32(unit), axis=2)
    return masked


def _runs(elimination: Elimination, order: NDArray[np.integer] | None) -> NDArray[np.int64]:
    """Places of the inputs in the elimination's order, run by run: shape (G, K)."""
    places = np.argsort(elimination.order, axis=1)
    return places if order is None else places[:, order]


def _cheapest_gone(prices: NDArray[np.float64], count: int, runs: NDArray[np.int64] | None) -> NDArray[np.bool_]:
    """What is kept when the `count` cheapest go, no more than two of a run; what has gone already costs less than 0."""
    if runs is not None:
        by_run = np.take_along_axis(prices, runs[:, None, :], axis=2)
        ranks = by_run.reshape(-1, 4).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
        by_run[(ranks >= 2).reshape(by_run.shape)] = np.inf
        np.put_along_axis(prices, runs[:, None, :], by_run, axis=2)
    kept = np.ones(prices.size, bool)
    kept[prices.ravel().argpartition(count - 1)[:count]] = False
    return kept.reshape(prices.shape)


def _refit(
    targets: NDArray[np.float32],
    start: NDArray[np.float32],
    kept: NDArray[np.bool_],
    elimination: Elimination,
    steps: int,
) -> NDArray[np.float32]:
    """The kept weights by damped least squares: some steps of conjugate gradients, all rows at once (G, R, K)."""
    fitted = np.empty_like(targets)
    for first in range(0, targets.shape[1], _ROWS):
        part = np.s_[:, first : first + _ROWS]
        fitted[part] = _descend(targets[part], start[part], kept[part].astype(np.float32), elimination.moments, steps)
    return fitted


def _descend(
    targets: NDArray[np.float32],
    start: NDArray[np.float32],
    kept: NDArray[np.float32],
    moments: NDArray[np.float32],
    steps: int,
) -> NDArray[np.float32]:
    """Conjugate gradients with the diagonal for a preconditioner (Hestenes & Stiefel 1952), within what is kept."""
    weights = start * kept
    inverse = 1.0 / np.einsum("gkk->gk", moments)[:, None, :]
    residual = np.matmul(targets - weights, moments) * kept
    direction = residual * inverse
    power = np.einsum("grk,grk->gr", residual, direction)
    for _ in range(steps):
        curved = np.matmul(direction, moments) * kept
        length = power / np.maximum(np.einsum("grk,grk->gr", direction, curved), _TINY)
        weights += length[:, :, None] * direction
        residual -= length[:, :, None] * curved
        scaled = residual * inverse
        next_power = np.einsum("grk,grk->gr", residual, scaled)
        direction *= (next_power / np.maximum(power, _TINY))[:, :, None]
        direction += scaled
        power = next_power
    return weights


def _check(
    rows: NDArray[np.floating],
    elimination: Elimination,
    pattern: Pattern,
    ratio: float,
    order: NDArray[np.integer] | None,
) -> None:
    elimination.check_rows(rows)
    inputs = rows.shape[2]
    if pattern not in get_args(Pattern):
        raise ValueError(f"pattern must be one of {', '.join(get_args(Pattern))}, got {pattern!r}")
    if not 0.0 <= ratio < 1.0:
        raise ValueError(f"ratio must be in [0, 1), got {ratio}")
    if pattern == "2:4" and ratio not in (0.0, 0.5):
        raise ValueError(f"the 2:4 pattern has a ratio of 0.5 (or 0 for none), got {ratio}")
    if pattern == "2:4" and inputs % 4:
        raise ValueError(f"the 2:4 pattern needs a multiple of 4 inputs to a row, got {inputs}")
    if order is not None and not np.array_equal(np.sort(order), np.arange(inputs)):
        raise ValueError(f"order must be a permutation of the {inputs} inputs, got {order}")
