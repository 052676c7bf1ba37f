"""How low a rank must be to pay: the arithmetic of low-rank factors, shared by space and compression."""

from typing import Literal

from compress.layers import Layer
from compress.weight_rows import taps_of

Decomposition = Literal["channel", "spatial"]

# Finding factors costs the cube of a layer's outputs: seconds on one core at 2048, a minute at 4096.
FACTORIZED_SIDE_LIMIT = 2048


def break_even_rank(layer: Layer, decomposition: Decomposition = "channel") -> int:
    """The rank at which two factors cost as many weights as the layer.

    0 if it is given no factors: grouped convolutions, layers with more outputs than `FACTORIZED_SIDE_LIMIT`, and for
    the spatial decomposition all but two-dimensional kernels.
    """
    outputs = layer.output_channels
    if layer.groups > 1 or outputs > FACTORIZED_SIDE_LIMIT or not layer.weight_count:
        return 0
    inputs = layer.weight_count // outputs
    if decomposition == "channel":
        return outputs * inputs // (outputs + inputs)
    if layer.op_type != "Conv" or len(layer.weight_shape) != 4 or min(layer.weight_shape[2:]) < 2:
        return 0
    height, width = layer.weight_shape[2:]
    channels = inputs // taps_of(layer)
    return outputs * inputs // (channels * height + outputs * width)


def rank_of(layer: Layer, fraction: float, multiple: int, decomposition: Decomposition = "channel") -> int | None:
    """`fraction` of the break-even rank, rounded to `multiple` channels; None where that saves nothing.

    Args:
        layer: The layer to factorize.
        fraction: In (0, 1); 1 leaves the layer whole.
        multiple: Channel multiple that the device's kernels work in.
        decomposition: Which factors.
    """
    limit = break_even_rank(layer, decomposition)
    rank = max(1, round(fraction * limit / multiple)) * multiple
    return rank if fraction < 1.0 and rank < limit else None
