"""Spatial decomposition: r vertical filters, then horizontal ones (Jaderberg et al. 2014, arXiv:1405.3866).

The vertical filters are the leading directions of the weight, seen through the moments of what they read (a whitened
singular value decomposition); the horizontal ones are the least-squares answer to what those filters let through.
"""

import numpy as np
from numpy.typing import NDArray

from compress.low_rank.factor_pair import FactorPair, as_factor, inner_scale
from compress.ranks import break_even_rank
from compress.statistics.moments import Moments
from compress.weights.layer_state import LayerState

_DAMPING = 1e-4
_SMALLEST = 1e-12


def has_spatial_factors(state: LayerState) -> bool:
    """Whether the layer has a two-dimensional kernel, and moments of whole windows to decompose it by."""
    known = state.moments is not None and not state.moments.by_channel
    return (
        known and state.responses is not None and state.bias is not None and break_even_rank(state.layer, "spatial") > 1
    )


def decompose_space(state: LayerState) -> tuple[NDArray[np.float32], ...]:
    """What the factors of every rank are cut from.

    Returns:
        Vertical filters (K, in, height) of unit response, the mean of what each tap of the horizontal filters reads
        (K, width), its covariance (K, width, K, width), and what it has in common with the outputs (out, K, width).
    """
    weight, mean, covariance = _as_blocks(state)
    outputs, inputs, height, width = weight.shape
    # What a vertical filter sees, averaged over the columns that a horizontal one will move it to.
    seen = np.einsum("cijdkj->cidk", covariance).reshape(inputs * height, inputs * height) / width
    seen += _DAMPING * max(np.trace(seen) / len(seen), _SMALLEST) * np.eye(len(seen))
    lower = np.linalg.cholesky(seen)
    matrix = weight.transpose(1, 2, 0, 3).reshape(inputs * height, outputs * width)
    count = min(break_even_rank(state.layer, "spatial"), *matrix.shape)
    left = np.linalg.svd(lower.T @ matrix, full_matrices=False)[0][:, :count]
    filters = np.linalg.solve(lower.T, left).T
    signs = np.sign(filters[np.arange(count), np.abs(filters).argmax(axis=1)])
    filters = (filters * signs[:, None]).reshape(count, inputs, height)
    half = np.einsum("kci,cijdlm->kjdlm", filters, covariance, optimize=True)
    inner = np.einsum("kjdlm,ndl->kjnm", half, filters, optimize=True)
    common = np.einsum("kjdlm,odlm->okj", half, weight, optimize=True)
    arrays = (filters, np.einsum("kci,cij->kj", filters, mean), inner, common)
    return tuple(array.astype(np.float32) for array in arrays)


def take_space(state: LayerState, arrays: tuple[NDArray[np.float32], ...], rank: int) -> FactorPair:
    """The factors of one rank, from what `decompose_space` found."""
    layer, responses = state.layer, state.responses
    assert responses is not None  # noqa: S101  # has_spatial_factors has looked
    assert state.bias is not None  # noqa: S101  # as above
    filters, mean, inner, common = (array.astype(np.float64) for array in arrays)
    filters, mean, inner, common = filters[:rank], mean[:rank], inner[:rank, :, :rank], common[:, :rank]
    outputs, width = layer.output_channels, mean.shape[1]
    # A channel's extremes, as many standard deviations out as the layer's own outputs have theirs.
    reach = np.abs(responses.rows - responses.mean).max(axis=0)
    spread = np.sqrt(np.maximum(np.diag(responses.covariance), _SMALLEST))
    deviations = float(np.percentile(reach / spread, 90))
    variance = np.einsum("kjkj->kj", inner).max(axis=1)
    low = mean.min(axis=1) - deviations * np.sqrt(variance)
    high = mean.max(axis=1) + deviations * np.sqrt(variance)
    scale = inner_scale(low, high)
    filters, mean, common = filters / scale[:, None, None], mean / scale[:, None], common / scale[:, None]
    inner = (inner / scale[:, None, None, None] / scale[:, None]).reshape(rank * width, rank * width)
    ridge = _DAMPING * max(np.trace(inner) / len(inner), _SMALLEST) * np.eye(len(inner))
    second_rows = np.linalg.solve(inner + ridge, common.reshape(outputs, -1).T).T
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
            moments=_first_moments(state),
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
        error=max(0.0, 1.0 - float(explained) / max(_total_variance(state), _SMALLEST)),
    )


def _as_blocks(state: LayerState) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Weight (out, in, height, width), mean (in, height, width) and covariance (in, height, width, ×2)."""
    assert state.moments is not None  # noqa: S101  # has_spatial_factors has looked
    window = state.layer.weight_shape[1:]
    return (
        state.weight.astype(np.float64),
        state.moments.mean[0].reshape(window).astype(np.float64),
        state.moments.covariance[0].reshape(*window, *window).astype(np.float64),
    )


def _first_moments(state: LayerState) -> Moments:
    """What the vertical filters read: windows of one column, all columns alike."""
    _, mean, covariance = _as_blocks(state)
    inputs, height, width = mean.shape
    seen = np.einsum("cijdkj->cidk", covariance).reshape(1, inputs * height, inputs * height) / width
    middle = mean.mean(axis=2).reshape(1, -1)
    return Moments(mean=middle.astype(np.float32), covariance=seen.astype(np.float32))


def _total_variance(state: LayerState) -> float:
    rows, second = state.rows[0].astype(np.float64), state.second
    assert second is not None  # noqa: S101  # as above
    return float(np.einsum("ok,ok->", rows @ second[0], rows))
