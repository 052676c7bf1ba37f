"""What a number format does to weights and activations, with gradients that pass straight through the rounding.

(Bengio et al. 2013, arXiv:1308.3432; activations' scales are learned as in LSQ, Esser et al. 2020, arXiv:1902.08153.)
Each of these answers with exactly the numbers that the candidate's own kernels compute with. They are operators of a
domain of our own, written into a float graph by `compress.recovery.rounded_graph`.
"""

from collections.abc import Mapping

import torch

from compress.formats.half_precision import LARGEST
from compress.formats.scheme import SMALLEST_SCALE
from compress.formats.weight_only import block_parameters
from compress.recovery.device import fetch, place
from compress.recovery.torch_graph.call import Call, Operator


def _straight_through(value: torch.Tensor, rounded: torch.Tensor) -> torch.Tensor:
    """`rounded`, with the gradient of `value`."""
    return value + (rounded - value).detach()


def _round_channels(call: Call) -> torch.Tensor:
    """Symmetric, one scale per output channel, so that the largest weight is the largest integer."""
    weight, axis, limit = call[0], call.attribute("axis", 0), call.attribute("limit", 127)
    with torch.no_grad():
        others = [other for other in range(weight.ndim) if other != axis]
        scale = torch.clamp(weight.abs().amax(dim=others, keepdim=True) / limit, min=SMALLEST_SCALE)
        rounded = torch.clamp(torch.round(weight / scale), -limit, limit) * scale
    return _straight_through(weight, rounded)


def _round_blocks(call: Call) -> torch.Tensor:
    """A scale and a zero point per block of inputs, found as the candidate's are."""
    weight, bits = call[0], call.attribute("bits", 8)
    with torch.no_grad():
        rows = weight if call.attribute("axis", 0) == 0 else weight.transpose(0, 1)
        found = block_parameters(fetch(rows)[None], bits, call.attribute("block", 32))
        scale, zero_point = (place(array[0], rows.device).float() for array in found[:2])
        integers = torch.clamp(torch.round(rows / scale) + zero_point, 0, 2**bits - 1)
        rounded = (integers - zero_point) * scale
        rounded = rounded if call.attribute("axis", 0) == 0 else rounded.transpose(0, 1)
    return _straight_through(weight, rounded)


def _round_activation(call: Call) -> torch.Tensor:
    """One learned scale, a fixed zero point, saturation at both ends: what a Relu or Clip in front does too."""
    value, log_scale = call[0], call[1]
    zero_point = call.attribute("zero_point", 0)
    scale = torch.clamp(torch.exp(log_scale), SMALLEST_SCALE, call.attribute("largest_scale", float("inf")))
    low, high = call.attribute("lowest", 0) - zero_point, call.attribute("highest", 255) - zero_point
    steps = torch.clamp(value / scale, low, high)
    return _straight_through(steps, torch.round(steps)) * scale


def _round_dynamically(call: Call) -> torch.Tensor:
    """Unsigned 8 bits in the range of the moment, sample by sample, as a network is run that gets one at a time."""
    value = call[0]
    with torch.no_grad():
        axes = tuple(range(1, value.ndim))
        low = torch.clamp(value.amin(dim=axes, keepdim=True), max=0.0)
        high = torch.clamp(value.amax(dim=axes, keepdim=True), min=0.0)
        scale = torch.clamp((high - low) / 255, min=SMALLEST_SCALE)
        zero_point = torch.clamp(torch.round(-low / scale), 0, 255)
        integers = torch.clamp(torch.round(value / scale) + zero_point, 0, 255)
        rounded = (integers - zero_point) * scale
    return _straight_through(value, rounded)


def _round_half(call: Call) -> torch.Tensor:
    """The nearest number of half precision; what is beyond them all stays at its end."""
    value = call[0]
    with torch.no_grad():
        rounded = torch.clamp(value, -LARGEST, LARGEST).half().float()
    return _straight_through(value, rounded)


OPERATORS: Mapping[str, Operator] = {
    "RoundActivation": _round_activation,
    "RoundBlocks": _round_blocks,
    "RoundChannels": _round_channels,
    "RoundDynamically": _round_dynamically,
    "RoundHalf": _round_half,
}
