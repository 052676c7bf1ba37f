"""The graph's side of number formats: which passes turn finished layers into operators of their formats."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from compress.finished_layer import FinishedLayer
from compress.formats.half_precision import HalfPrecisionLayers
from compress.formats.quantize import QuantizeLayers
from compress.formats.quantize_dynamic import DynamicQuantizeLayers
from compress.formats.scheme import QuantizationScheme, QuantizedWeight, Range
from compress.formats.weight_only import AccuracyLevel, BlockWeight, WeightOnlyLayers
from compress.layers import Layer
from compress.low_rank.factorize_layers import first_name, inner_name
from compress.plan import LayerPlan
from compress.weights.weight_grid import WeightGrid, grid_of


@dataclass(frozen=True, kw_only=True, eq=False)
class FormatPasses:
    """Makes the passes of a candidate.

    Attributes:
        scheme: 8-bit formats of the target; None where 8 bits do not pay.
        weight_block: Inputs that share a scale in weight-only formats.
        accuracy_level: What weight-only kernels may do with activations.
        ranges: Range by tensor name.
        extremes: Lowest and highest value by tensor name, for half precision.
        outputs: Operator name to the tensor that it writes in the FP32 network.
    """

    scheme: QuantizationScheme | None
    weight_block: int
    accuracy_level: AccuracyLevel
    ranges: Mapping[str, Range]
    extremes: Mapping[str, Range]
    outputs: Mapping[str, str]

    def of(self, finished: Mapping[LayerPlan, FinishedLayer]) -> Iterator[ir.passes.InPlacePass]:
        """One pass for each format that a layer has."""
        by_format: dict[str, list[tuple[LayerPlan, FinishedLayer]]] = {}
        for layer, done in finished.items():
            by_format.setdefault(layer.format, []).append((layer, done))
        ranges = dict(self.ranges)
        for layer, done in finished.items():
            if done.inner_range is not None:
                ranges[self._inner_tensor(layer.layer)] = done.inner_range
        if self.scheme is not None and "int8" in by_format:
            yield QuantizeLayers(self.scheme, _channel_weights(by_format["int8"]), ranges)
        if self.scheme is not None and "int8-dynamic" in by_format:
            yield DynamicQuantizeLayers(self.scheme, _channel_weights(by_format["int8-dynamic"]))
        for name in ("int8-weights", "int4-weights"):
            if name in by_format:
                yield WeightOnlyLayers(
                    _block_weights(by_format[name], grid_of(name, self.scheme, self.weight_block)),
                    accuracy_level=self.accuracy_level,
                )
        if "fp16" in by_format:
            names = [name for layer, done in by_format["fp16"] for name in _operators(layer, done)]
            yield HalfPrecisionLayers(names, self.extremes)

    def _inner_tensor(self, layer: Layer) -> str:
        return inner_name(self.outputs[layer.node_name])


def _operators(layer: LayerPlan, done: FinishedLayer) -> list[str]:
    """The operators that a layer has become, in the order of their weights."""
    name = layer.layer.node_name
    return [name] if done.rank is None else [first_name(name), name]


def _channel_weights(layers: Iterable[tuple[LayerPlan, FinishedLayer]]) -> dict[str, QuantizedWeight]:
    """Operator name to integers, as stored, and scales."""
    weights = {}
    for layer, done in layers:
        for name, rounded in zip(_operators(layer, done), done.rounded, strict=True):
            weights[name] = rounded.integers, rounded.scale[:, 0]
    return weights


def _block_weights(
    layers: Iterable[tuple[LayerPlan, FinishedLayer]], grid: WeightGrid | None
) -> dict[str, BlockWeight]:
    assert grid is not None  # noqa: S101  # weight-only formats have one
    return {
        name: BlockWeight(
            integers=rounded.integers.astype(np.uint8),
            scale=rounded.scale,
            zero_point=rounded.zero_point,
            bits=grid.bits,
            block=grid.block,
        )
        for layer, done in layers
        for name, rounded in zip(_operators(layer, done), done.rounded, strict=True)
    }
