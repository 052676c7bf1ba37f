"""The step between the integers of a weight's grid, one per row.

The largest weight of a row decides how wide its grid must be, unless cutting it off costs less than the finer grid of
the others saves. At 4 bits it does: over the layers of a residual and of a mobile network, the steps that serve the
outputs best leave 48% to 85% of the error that is left after compensated rounding (`compress.weights.round_weights`).
At 8 bits the largest weights hardly ever go, and going by the weights' own error, however weighted, left up to 3.5
times as much.
"""

import numpy as np
from numpy.typing import NDArray

from compress.weights.elimination import Elimination, output_errors
from compress.weights.round_weights import round_compensated

# Times another scale this small it is still a normal float32 number, as `compress.formats.scheme` needs.
_SMALLEST_SCALE = 1e-18
_SHRINK_FACTORS = tuple(1.0 - 0.05 * step for step in range(11))


def channel_scales(
    rows: NDArray[np.floating], limit: int, *, importance: NDArray[np.floating] | None = None
) -> NDArray[np.float32]:
    """Steps of symmetric grids from −limit to limit, shape (G, R).

    Args:
        rows: The weights, shape (G, R, K): a row is what shares a scale, which may be a block of a channel.
        limit: Largest integer, at least 1.
        importance: What a squared error of each weight costs, E[x²], broadcast to (G, R, K): choose the step with the
            least weighted error of nearest rounding, for few bits. None takes the largest weight / limit.
    """
    widest = _widest(rows, limit)
    if importance is None:
        return widest
    best, chosen = np.full(widest.shape, np.inf), widest
    for factor in _SHRINK_FACTORS:
        scale = _shrunk(widest, factor)
        rounded = np.clip(np.rint(rows / scale[:, :, None]), -limit, limit) * scale[:, :, None]
        error = (np.square(rows - rounded, dtype=np.float64) * importance).sum(axis=2)
        chosen = np.where(error < best, scale, chosen)
        best = np.minimum(error, best)
    return chosen


def fitted_scales(rows: NDArray[np.floating], elimination: Elimination, limit: int) -> NDArray[np.float32]:
    """Steps of symmetric grids from −limit to limit that leave least of the outputs' error when compensated, (G, R).

    Takes eleven roundings.

    Args:
        rows: The weights, shape (G, R, K).
        elimination: `prepare`'s, of the rows' second moments.
        limit: Largest integer, at least 1.
    """
    widest = _widest(rows, limit)
    best, chosen = np.full(widest.shape, np.inf), widest
    for factor in _SHRINK_FACTORS:
        scale = _shrunk(widest, factor)
        integers = round_compensated(rows, elimination, scale[:, :, None], lowest=-limit, highest=limit)
        error = output_errors(rows, integers * scale[:, :, None], elimination)
        chosen = np.where(error < best, scale, chosen)
        best = np.minimum(error, best)
    return chosen


def _widest(rows: NDArray[np.floating], limit: int) -> NDArray[np.float32]:
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    scale: NDArray[np.float32] = np.maximum(np.abs(rows).max(axis=2) / limit, _SMALLEST_SCALE).astype(np.float32)
    return scale


def _shrunk(scale: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    shrunk: NDArray[np.float32] = np.maximum(scale * np.float32(factor), np.float32(_SMALLEST_SCALE))
    return shrunk
