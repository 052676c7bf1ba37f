"""Channel decomposition: the layer's own kernel to r channels, then a pointwise operator (Zhang et al. 2015).

Which r directions of the output stay is decided by principal components of what the layer answers to real data.
"""

import numpy as np
from numpy.typing import NDArray

from compress.low_rank.factor_pair import FactorPair, as_factor, inner_scale
from compress.ranks import break_even_rank
from compress.statistics.moments import Moments
from compress.weight_rows import to_rows
from compress.weights.layer_state import LayerState

# Weight of the layer's own Gram matrix beside the covariance of its outputs.
_UNSEEN_SHARE = 1e-3
_SMALLEST = 1e-12


def decompose_channels(state: LayerState) -> tuple[NDArray[np.float32], ...]:
    """Output directions, shape (out, K) with the most important first, and the share of the variance that each holds.

    Minimizes E‖y − ŷ‖² over all ŷ of a rank (Zhang et al. 2015, equation 3). A little of the weight's own Gram matrix
    is mixed in, so that directions which the calibration data never excites are not dropped blindly. Without a place
    for a bias, the mean counts as one more direction.
    """
    assert state.responses is not None  # noqa: S101  # layers without responses have no break-even rank
    matrix = to_rows(state.layer, state.weight)[0].astype(np.float64)
    spread = state.responses.second_moment if state.bias is None else state.responses.covariance
    spread = spread.astype(np.float64)
    gram = matrix @ matrix.T
    mixed = spread + _UNSEEN_SHARE * gram * (np.trace(spread) / max(np.trace(gram), _SMALLEST))
    directions = _leading_eigenvectors(mixed, max(1, break_even_rank(state.layer)))
    held = np.einsum("ok,ok->k", directions, spread @ directions) / max(np.trace(spread), _SMALLEST)
    return directions.astype(np.float32), held.astype(np.float32)


def take_channels(state: LayerState, arrays: tuple[NDArray[np.float32], ...], rank: int) -> FactorPair:
    """The factors of one rank, from the directions that `decompose_channels` found."""
    responses, layer = state.responses, state.layer
    assert responses is not None  # noqa: S101  # as above
    directions, held = arrays[0][:, :rank].astype(np.float64), arrays[1][:rank]
    shift = np.zeros(len(directions)) if state.bias is None else state.bias.astype(np.float64)
    inner = (responses.rows - shift) @ directions
    low, high = inner.min(axis=0), inner.max(axis=0)
    scale = inner_scale(low, high)
    rows = to_rows(layer, state.weight)[0].astype(np.float64)
    first_weight = _as_first(state, (directions.T @ rows / scale[:, None]).astype(np.float32))
    second_weight = _as_second(state, (directions * scale).astype(np.float32))
    bias = None
    if state.bias is not None:
        mean = responses.mean.astype(np.float64)
        bias = (mean + directions @ (directions.T @ (shift - mean))).astype(np.float32)
    positions = layer.macs // max(1, layer.weight_count)
    first = LayerState(
        layer=as_factor(layer, first_weight, macs=positions * first_weight.size),
        weight=first_weight,
        bias=None,
        moments=state.moments,
        responses=None,
    )
    covariance = directions.T @ responses.covariance @ directions / np.outer(scale, scale)
    inner_mean = directions.T @ (responses.mean - shift) / scale
    second = LayerState(
        layer=as_factor(layer, second_weight, macs=positions * second_weight.size),
        weight=second_weight,
        bias=bias,
        moments=Moments(mean=inner_mean[None].astype(np.float32), covariance=covariance[None].astype(np.float32)),
        responses=responses,
    )
    return FactorPair(
        first=first,
        second=second,
        first_axes=(True,) * max(0, len(layer.weight_shape) - 2),
        inner_range=(float((low / scale).min()), float((high / scale).max())),
        explained=float(held.sum()) * answers_by_channel(state),
    )


def answers_by_channel(state: LayerState) -> float:
    """The variance of the layer's answers, all channels together; without a place for a bias, with their means."""
    assert state.responses is not None  # noqa: S101  # as above
    spread = state.responses.second_moment if state.bias is None else state.responses.covariance
    return float(np.trace(spread, dtype=np.float64))


def _as_first(state: LayerState, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    if state.layer.op_type == "Conv":
        return rows.reshape(len(rows), *state.layer.weight_shape[1:])
    return np.ascontiguousarray(rows if state.layer.output_axis == 0 else rows.T)


def _as_second(state: LayerState, rows: NDArray[np.float32]) -> NDArray[np.float32]:
    if state.layer.op_type == "Conv":
        return rows.reshape(*rows.shape, *([1] * (len(state.layer.weight_shape) - 2)))
    return np.ascontiguousarray(rows if state.layer.output_axis == 0 else rows.T)


def _leading_eigenvectors(gram: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    vectors = np.linalg.eigh(gram)[1][:, ::-1][:, :count]
    # Eigenvectors are unique up to sign: fix it, so that the same weights give the same bytes everywhere.
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
    flipped: NDArray[np.float64] = vectors * signs
    return flipped
