"""A layer's weights as integers: scales, compensated rounding, and the bias that keeps the mean output."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.formats.weight_only import block_parameters
from compress.weight_rows import from_rows, repeat_per_row, to_rows
from compress.weights.elimination import Elimination, independent, prepare
from compress.weights.layer_state import LayerState
from compress.weights.refit import response_error
from compress.weights.round_weights import channel_scales, round_compensated
from compress.weights.weight_grid import WeightGrid

# A share of a layer's answers far below what rounding its activations to 8 bits costs.
_NEXT_TO_NOTHING = 1e-4


@dataclass(frozen=True, kw_only=True, eq=False)
class RoundedLayer:
    """A layer's weights as integers; every row of it was rounded on its own.

    Attributes:
        integers: As stored for one scale per channel, shape (out, in) for blocks.
        scale: Shape (out, blocks): one block where a channel has one scale.
        zero_point: Shape (out, blocks).
        bias: Shape (out,), corrected for what rounding does to the mean output (Nagel et al. 2019, arXiv:1906.04721);
            empty where there is no place for one.
        mean_shift: What rounding takes from the mean output, shape (out,); zeros where that is unknown.
    """

    integers: NDArray[Any]
    scale: NDArray[np.float32]
    zero_point: NDArray[np.uint8]
    bias: NDArray[np.float32]
    mean_shift: NDArray[np.float32]

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """Everything, in the order of the attributes."""
        return tuple(getattr(self, field.name) for field in fields(self))

    @classmethod
    def from_arrays(cls, arrays: tuple[NDArray[Any], ...]) -> "RoundedLayer":
        """What `arrays` gave."""
        names = [field.name for field in fields(cls)]
        return cls(**dict(zip(names, arrays, strict=True)))

    def keep_outputs(self, kept: NDArray[np.int64], output_axis: int) -> "RoundedLayer":
        """Without some output channels, which `output_axis` of the integers counts."""
        integers, *others = self.arrays
        cut = (np.take(integers, kept, axis=output_axis), *(a[kept] if len(a) else a for a in others))
        return RoundedLayer.from_arrays(cut)


def elimination_of(state: LayerState) -> Elimination:
    """What rounding and masking the layer need to know of its inputs; without moments, inputs count as independent."""
    second = state.second
    return independent(state.layer.groups, state.rows.shape[2]) if second is None else prepare(second)


def round_layer(state: LayerState, grid: WeightGrid, elimination: Elimination) -> RoundedLayer:
    """The layer in integers.

    Args:
        state: The layer; weights that are exactly zero stay so.
        grid: What to round to.
        elimination: Of the layer's inputs.
    """
    rows, kept = state.rows, state.rows != 0
    mask = None if kept.all() else kept
    if grid.block:
        steps, zeros = block_parameters(rows, grid.bits, grid.block)
        rounded = round_compensated(
            rows,
            elimination,
            steps,
            lowest=grid.lowest,
            highest=grid.highest,
            zero_point=zeros.astype(np.int16),
            kept=mask,
        )
        return _finished(state, grid, rounded, steps, zeros)
    scale = channel_scales(to_rows(state.layer, state.weight), grid.limit).reshape(-1)
    for candidate in (np.full_like(scale, scale.max()), scale) if grid.one_scale else (scale,):
        steps = repeat_per_row(state.layer, candidate, by_channel=state.by_channel)[:, :, None]
        rounded = round_compensated(rows, elimination, steps, lowest=grid.lowest, highest=grid.highest, kept=mask)
        if candidate is scale or _lost_share(state, rounded * steps) <= _NEXT_TO_NOTHING:
            break
    return _finished(state, grid, rounded, steps, np.zeros((1, 1, 1), np.uint8), candidate)


def _lost_share(state: LayerState, rounded: NDArray[np.float32]) -> float:
    """The share of the layer's answers that rounding loses; all of it where inputs are not known."""
    return 1.0 if state.second is None else response_error(state.rows, rounded, state.second)


def _finished(
    state: LayerState,
    grid: WeightGrid,
    rounded: NDArray[Any],
    steps: NDArray[np.float32],
    zeros: NDArray[np.uint8],
    scale: NDArray[np.float32] | None = None,
) -> RoundedLayer:
    shift = state.mean_shift(((rounded - zeros.astype(np.int16)) * steps).astype(np.float32))
    per_output = steps[0, :, :: grid.block] if scale is None else scale[:, None]
    offsets = zeros[0, :, :: grid.block] if grid.block else np.zeros(per_output.shape, np.uint8)
    return RoundedLayer(
        integers=rounded[0] if grid.block else from_rows(state.layer, rounded, by_channel=state.by_channel),
        scale=np.ascontiguousarray(per_output),
        zero_point=np.ascontiguousarray(offsets),
        bias=np.zeros(0, np.float32) if state.bias is None else state.bias + shift,
        mean_shift=shift,
    )
