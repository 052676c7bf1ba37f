"""What every candidate needs to know of the calibration data, gathered once from the FP32 network."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.errors import CompressionError
from compress.factorize import Factors, break_even_rank, decompose, decompose_responses, first_weight
from compress.graph import constant, derived, operand
from compress.layers import Layer
from compress.network import Network
from compress.placement import output_point, range_source
from compress.probe import Feeds, Probe, Reading
from compress.responses import has_responses, read_responses, responses_of
from compress.scheme import Range

_FACTOR_PARTS = ("first", "second", "mean", "offset")


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """What the calibration data does inside the FP32 network.

    Attributes:
        ranges: Lowest and highest value by tensor name, over all samples.
        factors: Layer name to its low-rank factors, inner channels scaled to a largest magnitude of 1. One scale
            for the inner tensor then fits every channel (cross-layer equalization, Nagel et al. 2019,
            arXiv:1906.04721, exact here because nothing nonlinear stands between the factors).
        inner_ranges: Layer name to (low, high) of each inner channel, shape (2, K).
        sample_count: Samples seen.
    """

    ranges: Mapping[str, Range]
    factors: Mapping[str, Factors]
    inner_ranges: Mapping[str, NDArray[np.float32]]
    sample_count: int

    def inner_range(self, layer: str, rank: int) -> Range:
        """Range of the tensor between the factors of `layer` when cut to `rank` channels."""
        low, high = self.inner_ranges[layer][:, :rank]
        return float(low.min()), float(high.max())


def calibrate(
    network: Network,
    batches: Sequence[Feeds],
    *,
    threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Calibration:
    """Run the FP32 network over `batches` twice: for ranges and responses, then for what lies between the factors.

    Args:
        network: The network.
        batches: Inputs by name, first axis the batch.
        threads: CPU threads to run on.
        progress: Called with the number of samples done, after each batch; counts to twice their number.

    Raises:
        CompressionError: There is no data, or the network's tensors are not finite on it.
    """
    nodes = {node.name: node for node in network.model.graph}
    tensors = _quantizable_tensors(nodes[layer.node_name] for layer in network.layers)
    readings = _first_probe(network, tensors).sweep(batches, threads=threads, progress=progress)
    ranges = {name: _range(readings, name) for name in (value.name or "" for value in tensors)}
    factors = _decompose_layers(network, readings, threads)
    count = sum(len(next(iter(feeds.values()))) for feeds in batches)

    def second_half(done: int) -> None:
        if progress is not None:
            progress(count + done)

    between = _second_probe(network, factors).sweep(batches, threads=threads, progress=second_half)
    inner_ranges, scaled = {}, {}
    for name, whole in factors.items():
        low, high = _extremes(between, name)
        scale = np.maximum(np.maximum(np.abs(low), np.abs(high)), np.float32(1e-12)).astype(np.float32)
        scaled[name], inner_ranges[name] = whole.scaled(scale), np.stack([low / scale, high / scale])
    return Calibration(ranges=ranges, factors=scaled, inner_ranges=inner_ranges, sample_count=count)


def _first_probe(network: Network, tensors: Iterable[ir.Value]) -> Probe:
    """The ranges of what may be quantized, and the moments of what may be factorized."""
    probe = Probe(network.model)
    values = {value.name: value for value in probe.graph.inputs}
    values |= {value.name: value for node in probe.graph for value in node.outputs}
    nodes = {node.name: node for node in probe.graph}
    for value in tensors:
        probe.read_extremes(value.name or "", values[value.name])
    for layer in filter(has_responses, network.layers):
        read_responses(probe, nodes[layer.node_name], layer)
    return probe


def _second_probe(network: Network, factors: Mapping[str, Factors]) -> Probe:
    """The ranges of the channels between the factors."""
    probe = Probe(network.model)
    nodes = {node.name: node for node in probe.graph}
    for layer in network.layers:
        if layer.name in factors:
            inner = _inner_tensor(probe, nodes[layer.node_name], layer, factors[layer.name])
            probe.read_extremes(layer.name, inner, _all_but_channels(layer))
    return probe


def _inner_tensor(probe: Probe, node: ir.Node, layer: Layer, factors: Factors) -> ir.Value:
    name = derived(layer.node_name, "probe")
    weight = probe.constant(f"{name}_first", first_weight(layer, factors.first))
    attributes = {key: a.value for key, a in node.attributes.items() if key not in ("alpha", "beta")}
    inner = probe.apply(node.op_type, [operand(node, 0), weight], name, **attributes)
    if layer.op_type == "Conv":
        return inner
    # A MatMul's input may have any number of axes; only the last one counts channels.
    shape = probe.constant(f"{name}_shape", np.array([-1, len(factors.first)]))
    return probe.apply("Reshape", [inner, shape], f"{name}_rows")


def _decompose_layers(network: Network, readings: Mapping[Reading, NDArray[Any]], threads: int) -> dict[str, Factors]:
    from threadpoolctl import threadpool_limits

    # LAPACK's threads spin while they wait for one another: on a machine that is also doing other things, finding
    # eigenvectors takes thirty times as long with two threads as with one.
    with threadpool_limits(limits=threads):
        return {
            layer.name: _decompose(network, layer, readings) for layer in network.layers if break_even_rank(layer) > 1
        }


def _decompose(network: Network, layer: Layer, readings: Mapping[Reading, NDArray[Any]]) -> Factors:
    weight = constant(network.model.graph.initializers[layer.weight_name])
    if not has_responses(layer):
        return decompose(layer, weight)
    responses = responses_of(readings, layer)
    nothing = np.zeros(layer.output_channels, np.float32)
    if layer.op_type == "MatMul":
        # It has no bias that could keep the mean: the mean counts as one more direction.
        return decompose_responses(
            layer, weight, nothing, mean=nothing.astype(np.float64), covariance=responses.second_moment
        )
    node = next(node for node in network.model.graph if node.name == layer.node_name)
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    return decompose_responses(
        layer, weight, nothing if bias is None else constant(bias), mean=responses.mean, covariance=responses.covariance
    )


def _range(readings: Mapping[Reading, NDArray[Any]], name: str) -> Range:
    low, high = _extremes(readings, name)
    return float(low), float(high)


def _extremes(readings: Mapping[Reading, NDArray[Any]], name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    low, high = readings[Reading(name=name, statistic="min")], readings[Reading(name=name, statistic="max")]
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise CompressionError(
            f"tensor {name!r} of the FP32 network is not finite on the calibration data; check calibration()"
        )
    return low, high


def _all_but_channels(layer: Layer) -> tuple[int, ...]:
    """Axes to reduce so that one number per inner channel is left."""
    return (0, *range(2, len(layer.weight_shape))) if layer.op_type == "Conv" else (0,)


def _quantizable_tensors(layers: Iterable[ir.Node]) -> list[ir.Value]:
    """What a candidate may quantize: no others are probed, since a mask of -inf elsewhere is nobody's mistake."""
    found: dict[ir.Value, None] = {}
    for node in layers:
        for value in (range_source(operand(node, 0)), node.outputs[0], output_point(node)):
            found.setdefault(value)
    return list(found)


def save_calibration(calibration: Calibration, path: Path) -> None:
    """Write the calibration as a NumPy archive (no pickle)."""
    arrays: dict[str, NDArray[Any]] = {"sample_count": np.array(calibration.sample_count)}
    for name, bounds in calibration.ranges.items():
        arrays[f"range/{name}"] = np.array(bounds, np.float64)
    for name, factors in calibration.factors.items():
        arrays |= {f"{part}/{name}": getattr(factors, part) for part in _FACTOR_PARTS}
        arrays[f"inner/{name}"] = calibration.inner_ranges[name]
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def load_calibration(path: Path) -> Calibration:
    """Read what `save_calibration` wrote."""
    with np.load(path, allow_pickle=False) as archive:
        names = {
            kind: [n.split("/", 1)[1] for n in archive.files if n.startswith(kind + "/")] for kind in ("range", "first")
        }
        return Calibration(
            ranges={n: (float(archive[f"range/{n}"][0]), float(archive[f"range/{n}"][1])) for n in names["range"]},
            factors={n: Factors(**{part: archive[f"{part}/{n}"] for part in _FACTOR_PARTS}) for n in names["first"]},
            inner_ranges={n: archive[f"inner/{n}"] for n in names["first"]},
            sample_count=int(archive["sample_count"]),
        )
