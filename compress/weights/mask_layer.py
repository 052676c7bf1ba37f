"""A layer with single weights at zero, and the bias that keeps its mean output."""

from typing import Literal, cast

import numpy as np
from numpy.typing import NDArray

from compress.weight_rows import inputs_per_group, taps_of
from compress.weights.elimination import Elimination
from compress.weights.layer_state import LayerState
from compress.weights.mask_weights import mask_compensated

RUN = 4
"""Inputs of which 2:4 keeps two."""


def mask_layer(state: LayerState, elimination: Elimination, *, pattern: str, ratio: float) -> LayerState:
    """The layer under a mask.

    Args:
        state: The layer.
        elimination: Of its inputs.
        pattern: `2:4` or `unstructured`.
        ratio: Share of the weights that go.
    """
    checked = cast('Literal["2:4", "unstructured"]', pattern)
    order = _runs_along_channels(state) if pattern == "2:4" else None
    return state.with_rows(mask_compensated(state.rows, elimination, pattern=checked, ratio=ratio, order=order))


def takes_runs(channels: int) -> bool:
    """Whether 2:4 fits a layer with that many input channels per group."""
    return channels % RUN == 0


def _runs_along_channels(state: LayerState) -> NDArray[np.int64]:
    """Engines take runs of four along input channels, tap by tap; our rows hold a channel's taps together."""
    channels, taps = inputs_per_group(state.layer), 1 if state.by_channel else taps_of(state.layer)
    order: NDArray[np.int64] = np.arange(channels * taps).reshape(channels, taps).T.reshape(-1)
    return order
