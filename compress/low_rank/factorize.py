"""Low-rank factorization: one layer becomes two thinner ones, cut where its answers to real data lose least.

Two decompositions are known. *Channel* (Zhang et al. 2015, arXiv:1505.06798): the layer's own kernel maps the input to
r channels, a pointwise operator mixes them. *Spatial* (Jaderberg et al. 2014, arXiv:1405.3866): r vertical filters,
then horizontal ones. At equal cost now one, now the other loses less, so a layer takes the better one at half its
break-even rank. What counts is the error of the answers, not of the weights: cutting every layer of a trained
ResNet-14 to a quarter of its break-even rank costs 1 point that way, and nearly everything with the singular vectors of
the weights (Eckart & Young 1936).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from compress.low_rank.channel_factors import answers_by_channel, decompose_channels, take_channels
from compress.low_rank.factor_pair import FactorPair
from compress.low_rank.spatial_factors import answers_in_space, decompose_space, has_spatial_factors, take_space
from compress.ranks import Decomposition, rank_of
from compress.weights.layer_state import LayerState

Arrays = tuple[NDArray[np.float32], ...]

_COMPARED_AT = 0.5
_SMALLEST = 1e-12


class _Decompose(Protocol):
    def __call__(self, state: LayerState) -> Arrays: ...


class _Take(Protocol):
    def __call__(self, state: LayerState, arrays: Arrays, rank: int) -> FactorPair: ...


@dataclass(frozen=True, kw_only=True)
class _Method:
    """A decomposition: arrays that serve all ranks, the factors of one rank taken from them, and what there is to give.

    The variance of the answers is asked for only where errors are compared: it costs as much as a rank's factors.
    """

    decompose: _Decompose
    take: _Take
    variance: Callable[[LayerState], float]


_METHODS: Mapping[Decomposition, _Method] = {
    "channel": _Method(decompose=decompose_channels, take=take_channels, variance=answers_by_channel),
    "spatial": _Method(decompose=decompose_space, take=take_space, variance=answers_in_space),
}


def decompose(state: LayerState, decomposition: Decomposition) -> Arrays:
    """What the factors of every rank are taken from; the expensive part.

    Args:
        state: The layer, with the responses of its outputs (and the moments of its inputs for `spatial`).
        decomposition: Which factors.
    """
    return _METHODS[decomposition].decompose(state)


def take_rank(state: LayerState, arrays: Arrays, decomposition: Decomposition, rank: int) -> FactorPair:
    """The two layers of rank `rank`."""
    return _METHODS[decomposition].take(state, arrays, rank)


def lost_share(state: LayerState, pair: FactorPair, decomposition: Decomposition) -> float:
    """E‖y − ŷ‖² over the variance of y, for the pair that `take_rank` gave."""
    variance = _METHODS[decomposition].variance(state)
    return max(0.0, 1.0 - pair.explained / max(variance, _SMALLEST))


def better_decomposition(state: LayerState) -> Decomposition:
    """The decomposition that loses less of the layer's answers at half its break-even rank."""
    if not has_spatial_factors(state):
        return "channel"
    errors: dict[Decomposition, float] = {}
    for decomposition in _METHODS:
        rank = rank_of(state.layer, _COMPARED_AT, 1, decomposition)
        if rank is not None:
            pair = take_rank(state, decompose(state, decomposition), decomposition, rank)
            errors[decomposition] = lost_share(state, pair, decomposition)
    return min(errors, key=lambda name: errors[name]) if errors else "channel"
