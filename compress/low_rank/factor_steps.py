"""What happens to a layer's two factors after they have been found: single weights go, and means are kept."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from compress.low_rank.factor_pair import FactorPair
from compress.weight_rows import inputs_per_group, taps_of
from compress.weights.elimination import Elimination
from compress.weights.mask_layer import mask_layer, takes_runs
from compress.weights.round_layer import RoundedLayer


def masked_pair(pair: FactorPair, first: Elimination, second: Elimination, *, pattern: str, ratio: float) -> FactorPair:
    """Both factors under a mask; with 2:4 only those whose input channels come in fours.

    Args:
        pair: The factors.
        first: Elimination of the first's inputs.
        second: Of the second's.
        pattern: `2:4` or `unstructured`.
        ratio: Share of the weights that go.
    """
    masked = []
    for factor, elimination in ((pair.first, first), (pair.second, second)):
        fits = pattern != "2:4" or takes_runs(inputs_per_group(factor.layer))
        masked.append(mask_layer(factor, elimination, pattern=pattern, ratio=ratio) if fits else factor)
    shift = pair.first.mean_shift(masked[0].rows)
    bias = masked[1].bias
    if bias is not None:
        masked[1] = replace(masked[1], bias=_taken_up(pair, shift, bias))
    return replace(pair, first=masked[0], second=masked[1])


def corrected_for_first(pair: FactorPair, first: RoundedLayer, second: RoundedLayer) -> NDArray[np.float32]:
    """The second's bias, which also takes up what rounding does to the mean of the channels between."""
    return _taken_up(pair, first.mean_shift, second.bias)


def _taken_up(pair: FactorPair, shift: NDArray[np.float32], bias: NDArray[np.float32]) -> NDArray[np.float32]:
    """`bias` with what the second factor makes of a mean that the first no longer has, shape (rank,)."""
    spread = np.repeat(shift.astype(np.float64), taps_of(pair.second.layer))
    corrected: NDArray[np.float32] = (bias + pair.second.rows[0] @ spread).astype(np.float32)
    return corrected
