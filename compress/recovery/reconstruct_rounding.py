"""Refitted weights on the grid that their format will round them to, errors compensated.

Whoever builds a candidate of recovered weights rounds them to nearest, with the scale that the largest of a channel
says. Weights that are on that grid already stay as they are. So the largest weight of a channel must keep the largest
integer: where compensation has moved it off, it is moved back.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from compress.layers import Layer
from compress.recovery.reconstruct_fit import Fit
from compress.statistics.moments import Moments
from compress.weight_rows import from_rows, to_rows
from compress.weights.layer_state import LayerState
from compress.weights.round_layer import elimination_of, round_layer
from compress.weights.weight_grid import WeightGrid


def on_grid(
    layer: Layer, fitted: Fit, grid: WeightGrid | None
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """The rows and the bias that are left of a fit once its format has rounded it.

    Args:
        layer: As its operator has it now.
        fitted: What was found for it.
        grid: Of its format; None for floats. Formats with a scale per block are rounded by whoever builds them.

    Returns:
        Rows of shape (G, R, K), and the bias with what rounding takes from the mean.
    """
    if grid is None or grid.block:
        return fitted.rows, fitted.bias
    state = LayerState(
        layer=layer,
        weight=from_rows(layer, fitted.rows),
        bias=fitted.bias,
        moments=Moments(mean=fitted.mean, covariance=fitted.covariance),
        responses=None,
    )
    rounded = round_layer(state, replace(grid, one_scale=False), elimination_of(state))
    integers = _with_largest(to_rows(layer, rounded.integers), fitted.rows, grid.limit)
    scale = rounded.scale[:, 0].reshape(integers.shape[0], -1, 1)
    rows = (integers * scale).astype(np.float32)
    return rows, None if fitted.bias is None else fitted.bias + state.mean_shift(rows)


def _with_largest(integers: NDArray[np.integer], rows: NDArray[np.float32], limit: int) -> NDArray[np.float64]:
    """The integers, with the limit in each row whose largest has come below it."""
    found = integers.astype(np.float64)
    largest = np.abs(rows).argmax(axis=2)[:, :, None]
    value = np.take_along_axis(found, largest, axis=2)
    pinned = np.where(np.abs(found).max(axis=2, keepdims=True) < limit, limit * np.sign(_at(rows, largest)), value)
    np.put_along_axis(found, largest, pinned, axis=2)
    return found


def _at(rows: NDArray[np.float32], places: NDArray[np.intp]) -> NDArray[np.float32]:
    found: NDArray[np.float32] = np.take_along_axis(rows, places, axis=2)
    return found
