"""Equal ranges for the channels of a tensor, by moving factors from the layer before it to the layers behind it.

With nothing but a clamp or another positively homogeneous operator in between, a channel may be divided by a positive
number in the first layer and multiplied by it in the second: the network computes what it did (Nagel et al. 2019,
arXiv:1906.04721, section 4.1). That paper equalizes pairs of weights that have one scale each. Ours have a scale per
output channel, so the first layer's rounding does not see the division, nor does a depthwise layer's see the
multiplication. To win is the tensor in between, one scale for all its channels; to lose are a dense second layer's
rows, whose scales their largest column sets. `_Damage` adds up both; where the sum hardly falls, nothing is changed.

What it is worth depends on the network, and on EfficientNet-Lite0 it is worth next to nothing: its clamps at 6 have
brought most channels to one range already, and the noise behind the pairs falls by 5 to 8%, which does not show in
the network's answers. With Relus in place of the clamps, it falls to 0.27 of what it was behind depthwise layers and
to 0.61 behind dense ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.errors import CompressionError
from compress.formats.equalizable import Pair, find_pairs
from compress.graph import constant, operand
from compress.layers import Layer, Skipped
from compress.network import Network, serialize
from compress.weight_rows import from_rows, taps_of, to_rows

Scales = NDArray[np.float64]

# No channel is brought beyond this share of the tensor's range: what calibration did not see must not meet a clamp.
_HEADROOM = 0.5
# Nor enlarged more than this: a channel that was nearly silent may speak up on other data.
_LARGEST_GAIN = 1024.0
# E[x²] as a share of the largest |x|², for channels behind a clamp. Measured: 0.05 to 0.4 over EfficientNet-Lite0.
_MOMENT_SHARE = 0.1
_ACTIVATION_STEPS, _WEIGHT_STEPS = 255.0, 127.0
# An estimate that falls by less is no reason to move factors about.
_WORTHWHILE = 0.9
_EXPONENTS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Equalized:
    """A network that computes what it did, with more even ranges.

    Attributes:
        network: Its layers keep their names and shapes.
        scales: Tensor name to what each of its channels was divided by, shape (C,), in (0, 1].
        left_alone: Layers whose output keeps its scale, with the reason.
    """

    network: Network
    scales: Mapping[str, Scales]
    left_alone: tuple[Skipped, ...]


def tensors_to_observe(network: Network) -> dict[str, int]:
    """What `equalize` needs the ranges of: tensor name to the axis that counts its channels."""
    return {pair.tensor: pair.channel_axis for pair in find_pairs(network)[0]}


def widen(earlier: NDArray[np.float64] | None, array: NDArray[np.generic], channel_axis: int) -> NDArray[np.float64]:
    """The lowest and highest value of each channel in `array` and in what was seen before, shape (2, C).

    Args:
        earlier: What this function returned for the batches before; None for the first.
        array: The tensor on one batch.
        channel_axis: As `tensors_to_observe` gives it.
    """
    others = tuple(axis for axis in range(array.ndim) if axis != channel_axis % array.ndim)
    low, high = array.min(axis=others), array.max(axis=others)
    if earlier is not None:
        low, high = np.minimum(low, earlier[0]), np.maximum(high, earlier[1])
    return np.stack([low, high]).astype(np.float64)


def equalize(
    network: Network, channel_ranges: Mapping[str, NDArray[np.floating]], *, strength: float = 1.0
) -> Equalized:
    """Even out the ranges of channels wherever that lowers the rounding noise behind them.

    On data that keeps within twice the ranges seen, FP32 outputs stay what they were, to the digits of single
    precision.

    Args:
        network: The network; left as it was.
        channel_ranges: Tensor name to the (low, high) of its channels on the calibration data, shape (2, C), for
            all of `tensors_to_observe`.
        strength: Exponent of the scales, in [0, 1]; 0 changes nothing.

    Raises:
        CompressionError: A range is missing, has the wrong shape or is not finite.
    """
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"strength must be in [0, 1], got {strength}")
    pairs, left_alone = find_pairs(network)
    scales: dict[Pair, Scales] = {}
    uneven: list[Skipped] = []
    for pair in pairs:
        found = _scales(network, pair, _range_of(pair, channel_ranges)) ** strength
        if (found < 1.0).any():
            scales[pair] = found
        else:
            reason = "scaling its channels would hardly lower the noise behind them"
            uneven.append(Skipped(name=pair.producer.name, op_type=pair.producer.op_type, reason=reason))
    if scales:
        model = ir.passes.functionalize(EqualizeLayers(scales))(network.model).model
        network = Network(model=model, layers=network.layers, skipped=network.skipped, onnx_bytes=serialize(model))
    return Equalized(
        network=network,
        scales=MappingProxyType({pair.tensor: found for pair, found in scales.items()}),
        left_alone=(*left_alone, *uneven),
    )


class EqualizeLayers(ir.passes.InPlacePass):
    """Divide the channels of some tensors, and multiply them again where they are read.

    Requires that the pairs stand in the graph as `find_pairs` found them. Ensures that all names and shapes stay.

    Args:
        scales: Pair to what its channels are divided by, shape (C,), positive.
    """

    def __init__(self, scales: Mapping[Pair, Scales]) -> None:
        super().__init__()
        self._scales = scales

    def requires(self, model: ir.Model) -> None:
        """Every layer's weight exists, and every channel has a positive scale."""
        for pair, scale in self._scales.items():
            for layer in (pair.producer, *pair.consumers):
                if layer.weight_name not in model.graph.initializers:
                    raise CompressionError(f"no weight {layer.weight_name!r} to equalize in this network")
            if scale.shape != (pair.producer.output_channels,) or not (np.isfinite(scale) & (scale > 0.0)).all():
                raise CompressionError(
                    f"the scales of tensor {pair.tensor!r} must be {pair.producer.output_channels} positive numbers"
                )

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite weights and biases."""
        nodes = {node.name: node for node in model.graph}
        for pair, scale in self._scales.items():
            producer = nodes[pair.producer.node_name]
            shape = [-1 if axis == pair.producer.output_axis else 1 for axis in range(len(pair.producer.weight_shape))]
            weight = operand(producer, 1)
            _replace_values(weight, constant(weight) / scale.reshape(shape))
            bias = producer.inputs[2] if len(producer.inputs) > 2 else None
            if bias is not None:
                _replace_values(bias, constant(bias) / scale)
            for layer in pair.consumers:
                weight = operand(nodes[layer.node_name], 1)
                rows = to_rows(layer, constant(weight)).astype(np.float64) * _per_column(layer, scale)
                _replace_values(weight, from_rows(layer, rows))
        return ir.passes.PassResult(model, bool(self._scales))


class _Damage:
    """The rounding noise that leaves a pair's consumers, by what the channels between are divided by.

    Rounding x to steps of its tensor's range costs every product w·x the variance w²·range²/(12·255²); rounding w to
    steps of its row's largest magnitude costs it max|w|²·E[x²]/(12·127²) (Nagel et al. 2021, arXiv:2106.08295,
    section 2). Of x only its range is known: E[x²] counts as a fixed share of the largest |x|².
    """

    def __init__(self, network: Network, pair: Pair, channel_range: NDArray[np.float64]) -> None:
        initializers = network.model.graph.initializers
        self._range, self._pair = channel_range, pair
        self._moment = _MOMENT_SHARE * np.square(channel_range).max(axis=0)
        self._magnitudes = [
            np.abs(to_rows(layer, constant(initializers[layer.weight_name])).astype(np.float64))
            for layer in pair.consumers
        ]

    def column_shares(self) -> Scales:
        """By channel, its largest share in the magnitude that sets a row's scale, shape (C,), in (0, 1]."""
        found = np.zeros(self._range.shape[1])
        for layer, magnitudes in zip(self._pair.consumers, self._magnitudes, strict=True):
            largest = np.maximum(magnitudes.max(axis=2, keepdims=True), np.finfo(np.float64).tiny)
            columns = (magnitudes / largest).max(axis=1).reshape(len(found), taps_of(layer))
            found = np.maximum(found, columns.max(axis=1))
        return np.maximum(found, 1.0 / _LARGEST_GAIN)

    def __call__(self, scale: Scales) -> float:
        low, high = self._range / scale
        step = (max(float(high.max()), 0.0) - min(float(low.min()), 0.0)) / _ACTIVATION_STEPS
        total = 0.0
        for layer, magnitudes in zip(self._pair.consumers, self._magnitudes, strict=True):
            scaled = magnitudes * _per_column(layer, scale)
            total += step**2 * float(np.square(scaled).sum())
            row_steps = np.square(scaled.max(axis=2) / _WEIGHT_STEPS).sum(axis=1)
            moments = (self._moment / scale**2).reshape(layer.groups, -1).sum(axis=1) * taps_of(layer)
            total += float(row_steps @ moments)
        return total / 12.0


def _scales(network: Network, pair: Pair, channel_range: NDArray[np.float64]) -> Scales:
    """What lowers the damage most, of products of powers of the channels' ranges and of their columns' magnitudes."""
    smallest = _smallest_scales(pair, channel_range)
    damage = _Damage(network, pair, channel_range)
    best = np.ones(len(smallest))
    least = _WORTHWHILE * damage(best)
    columns = damage.column_shares()
    for by_range in _EXPONENTS[1:]:
        for by_column in _EXPONENTS:
            scale = np.clip(smallest**by_range * columns**-by_column, smallest, 1.0)
            found = damage(scale)
            if found < least:
                best, least = scale, found
    return best


def _smallest_scales(pair: Pair, channel_range: NDArray[np.float64]) -> Scales:
    """How far each channel may be enlarged; 1 for those that reach the clamp, and for the silent ones."""
    low, high = np.minimum(channel_range[0], 0.0), np.maximum(channel_range[1], 0.0)
    largest = np.maximum(-low, high)
    reach = largest / max(float(largest.max()), np.finfo(np.float64).tiny)
    for extreme, bound in ((low, pair.bounds[0]), (high, pair.bounds[1])):
        if bound and np.isfinite(bound):
            reach = np.maximum(reach, extreme / bound)
    smallest = np.maximum(reach / _HEADROOM, 1.0 / _LARGEST_GAIN)
    scales: Scales = np.where(largest > 0.0, np.minimum(smallest, 1.0), 1.0)
    return scales


def _range_of(pair: Pair, channel_ranges: Mapping[str, NDArray[np.floating]]) -> NDArray[np.float64]:
    found = channel_ranges.get(pair.tensor)
    if found is None:
        raise CompressionError(f"tensor {pair.tensor!r} was not observed; observe all of tensors_to_observe()")
    expected = (2, pair.producer.output_channels)
    if found.shape != expected:
        raise CompressionError(f"the range of tensor {pair.tensor!r} must have shape {expected}, got {found.shape}")
    if not np.isfinite(found).all():
        raise CompressionError(
            f"tensor {pair.tensor!r} of the FP32 network is not finite on the calibration data; check calibration()"
        )
    return found.astype(np.float64)


def _per_column(layer: Layer, scale: Scales) -> Scales:
    """One number per input channel, shape (C,), as one per column of the layer's rows, shape (G, 1, K)."""
    return np.repeat(scale, taps_of(layer)).reshape(layer.groups, 1, -1)


def _replace_values(value: ir.Value, array: NDArray[np.generic]) -> None:
    value.const_value = ir.Tensor(np.asarray(array, np.float32, order="C"), name=value.name)
