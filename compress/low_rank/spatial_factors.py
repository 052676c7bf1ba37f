"""Spatial decomposition: r vertical filters, then horizontal ones (Jaderberg et al. 2014, arXiv:1405.3866).

The vertical filters are the leading directions of the weight, seen through the moments of what they read (a whitened
singular value decomposition); the horizontal ones are the least-squares answer to what those filters let through.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from compress.low_rank.factor_pair import FactorPair, as_factor, inner_scale
from compress.ranks import break_even_rank
from compress.statistics.moments import Moments
from compress.weights.layer_state import LayerState
from compress.weights.refit import solve_symmetric

_DAMPING = 1e-4
_SMALLEST = 1e-12


def has_spatial_factors(state: LayerState) -> bool:
    """Whether the layer has a two-dimensional kernel, and moments of whole windows to decompose it by."""
    known = state.moments is not None and not state.moments.by_channel
    return (
        known and state.responses is not None and state.bias is not None and break_even_rank(state.layer, "spatial") > 1
    )


def decompose_space(state: LayerState) -> tuple[NDArray[np.float32], ...]:
    """The vertical filters of every rank, the most important first: shape (K, in, height), of unit response."""
    weight, _, covariance = _as_blocks(state)
    outputs, inputs, height, width = weight.shape
    seen = _seen_by_columns(covariance).astype(np.float64)
    seen += _DAMPING * max(np.trace(seen) / len(seen), _SMALLEST) * np.eye(len(seen))
    lower = np.linalg.cholesky(seen)
    matrix = weight.transpose(1, 2, 0, 3).reshape(inputs * height, outputs * width)
    count = min(break_even_rank(state.layer, "spatial"), *matrix.shape)
    left = _leading_left_vectors(lower.T @ matrix, count)
    filters = solve_triangular(lower, left, trans="T", lower=True, check_finite=False).T
    signs = np.sign(filters[np.arange(count), np.abs(filters).argmax(axis=1)])
    return ((filters * signs[:, None]).reshape(count, inputs, height).astype(np.float32),)


def _leading_left_vectors(matrix: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The left singular vectors of the `count` largest singular values, from the smaller of both Gram matrices."""
    rows, columns = matrix.shape
    if rows <= columns:
        vectors: NDArray[np.float64] = np.linalg.eigh(matrix @ matrix.T)[1][:, ::-1][:, :count]
        return vectors
    values, right = np.linalg.eigh(matrix.T @ matrix)
    left: NDArray[np.float64] = matrix @ right[:, ::-1][:, :count]
    # Directions without a share in the answers have no length to divide by.
    left /= np.sqrt(np.maximum(values[::-1][:count], _SMALLEST * max(float(values[-1]), _SMALLEST)))
    return left


def _answers(
    filters: NDArray[np.float32], weight: NDArray[np.float64], covariance: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the horizontal filters must know of r vertical ones.

    Returns:
        The covariance of what each of their taps reads (r, width, r, width), and what that has in common with the
        layer's outputs (out, r, width).
    """
    rank, inputs, height = filters.shape
    outputs, width = weight.shape[0], weight.shape[3]
    flat = filters.reshape(rank, inputs * height)
    half = (flat @ covariance.reshape(inputs * height, -1)).reshape(rank * width, inputs * height, width)
    inner = np.matmul(np.ascontiguousarray(half.transpose(2, 0, 1)), flat.T)
    common = half.reshape(rank * width, -1) @ weight.reshape(outputs, -1).T.astype(np.float32)
    return (
        inner.transpose(1, 2, 0).reshape(rank, width, rank, width).astype(np.float64),
        common.T.reshape(outputs, rank, width).astype(np.float64),
    )


def take_space(state: LayerState, arrays: tuple[NDArray[np.float32], ...], rank: int) -> FactorPair:
    """The factors of one rank, from the vertical filters that `decompose_space` found."""
    layer, responses = state.layer, state.responses
    assert responses is not None  # noqa: S101  # has_spatial_factors has looked
    assert state.bias is not None  # noqa: S101  # as above
    weight, window_mean, covariance = _as_blocks(state)
    inner, common = _answers(arrays[0][:rank], weight, covariance)
    filters = arrays[0][:rank].astype(np.float64)
    mean = np.einsum("kci,cij->kj", filters, window_mean)
    outputs, width = layer.output_channels, mean.shape[1]
    # A channel's extremes, as many standard deviations out as the layer's own outputs have theirs.
    reach = np.abs(responses.rows - responses.mean).max(axis=0)
    spread = np.sqrt(np.maximum(np.diag(responses.covariance), _SMALLEST))
    deviations = float(np.percentile(reach / spread, 90))
    variance = np.maximum(np.einsum("kjkj->kj", inner).max(axis=1), 0.0)
    low = mean.min(axis=1) - deviations * np.sqrt(variance)
    high = mean.max(axis=1) + deviations * np.sqrt(variance)
    scale = inner_scale(low, high)
    filters, mean, common = filters / scale[:, None, None], mean / scale[:, None], common / scale[:, None]
    inner = (inner / scale[:, None, None, None] / scale[:, None]).reshape(rank * width, rank * width)
    ridge = _DAMPING * max(np.trace(inner) / len(inner), _SMALLEST) * np.eye(len(inner))
    second_rows = solve_symmetric(inner + ridge, common.reshape(outputs, -1).T).T
    explained = 2 * np.einsum("ok,ok->", second_rows, common.reshape(outputs, -1))
    explained -= np.einsum("ok,ok->", second_rows @ inner, second_rows)
    bias = responses.mean - second_rows @ mean.reshape(-1)
    first_weight = filters[..., None].astype(np.float32)
    second_weight = second_rows.reshape(outputs, rank, 1, width).astype(np.float32)
    positions = layer.macs // max(1, layer.weight_count)
    return FactorPair(
        first=LayerState(
            layer=as_factor(layer, first_weight, macs=positions * first_weight.size),
            weight=first_weight,
            bias=None,
            moments=_first_moments(window_mean, covariance),
            responses=None,
        ),
        second=LayerState(
            layer=as_factor(layer, second_weight, macs=positions * second_weight.size),
            weight=second_weight,
            bias=bias.astype(np.float32),
            moments=Moments(mean=mean.reshape(1, -1).astype(np.float32), covariance=inner[None].astype(np.float32)),
            responses=responses,
        ),
        first_axes=(True, False),
        inner_range=(float((low / scale).min()), float((high / scale).max())),
        explained=float(explained),
    )


def _as_blocks(state: LayerState) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
    """Weight (out, in, height, width), mean (in, height, width) and covariance (in, height, width, ×2)."""
    assert state.moments is not None  # noqa: S101  # has_spatial_factors has looked
    window = state.layer.weight_shape[1:]
    return (
        state.weight.astype(np.float64),
        state.moments.mean[0].reshape(window).astype(np.float64),
        state.moments.covariance[0].reshape(*window, *window),
    )


def _seen_by_columns(covariance: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a vertical filter sees, averaged over the columns that a horizontal one will move it to: a square matrix."""
    inputs, height, width = covariance.shape[:3]
    seen = sum(covariance[:, :, column, :, :, column] for column in range(width)) / np.float32(width)
    averaged: NDArray[np.float32] = np.asarray(seen, np.float32).reshape(inputs * height, inputs * height)
    return averaged


def _first_moments(mean: NDArray[np.float64], covariance: NDArray[np.float32]) -> Moments:
    """What the vertical filters read: windows of one column, all columns alike."""
    middle = mean.mean(axis=2).reshape(1, -1)
    return Moments(mean=middle.astype(np.float32), covariance=_seen_by_columns(covariance)[None])


def answers_in_space(state: LayerState) -> float:
    """The variance of the layer's answers, all channels together, by the moments of its inputs."""
    rows, second = state.rows[0], state.second
    assert second is not None  # noqa: S101  # has_spatial_factors has looked
    return float(np.einsum("ok,ok->", rows @ second[0], rows, dtype=np.float64))
