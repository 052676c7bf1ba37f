"""One pass of the FP32 network over the calibration data gathers what every candidate needs."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.errors import CompressionError
from compress.factorize import Factors, break_even_rank, decompose, first_weight
from compress.graph import add_initializer, constant
from compress.layers import Layer
from compress.network import Network, serialize
from compress.runtime import open_session
from compress.scheme import Range

logger = logging.getLogger(__name__)

Feeds = Mapping[str, NDArray[Any]]


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
    batches: Iterable[Feeds],
    *,
    threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Calibration:
    """Run the FP32 network once over `batches` and record ranges.

    Args:
        network: The network.
        batches: Inputs by name, first axis the batch.
        threads: CPU threads to run on.
        progress: Called with the number of samples done, after each batch.

    Raises:
        CompressionError: There is no data, or the network's tensors are not finite on it.
    """
    factors = {
        layer.name: decompose(layer, constant(network.model.graph.initializers[layer.weight_name]))
        for layer in network.layers
        if break_even_rank(layer)
    }
    probe = _Probe(network, factors)
    session = open_session(probe.model_bytes, threads=threads)
    lowest: list[NDArray[np.float32]] = []
    highest: list[NDArray[np.float32]] = []
    count = 0
    for feeds in batches:
        results = session.run(probe.output_names, dict(feeds))
        lows, highs = results[0::2], results[1::2]
        lowest = [np.minimum(a, b) for a, b in zip(lowest, lows, strict=True)] if lowest else list(lows)
        highest = [np.maximum(a, b) for a, b in zip(highest, highs, strict=True)] if highest else list(highs)
        count += len(next(iter(feeds.values())))
        if progress is not None:
            progress(count)
    if count == 0:
        raise CompressionError("calibration() gave no samples; it must yield at least one batch of inputs")
    return _assemble(probe, factors, lowest, highest, count)


def _assemble(
    probe: "_Probe",
    factors: Mapping[str, Factors],
    lowest: list[NDArray[np.float32]],
    highest: list[NDArray[np.float32]],
    count: int,
) -> Calibration:
    ranges: dict[str, Range] = {}
    inner: dict[str, NDArray[np.float32]] = {}
    scaled: dict[str, Factors] = {}
    for (kind, name), low, high in zip(probe.probed, lowest, highest, strict=True):
        if not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise CompressionError(
                f"tensor {name!r} of the FP32 network is not finite on the calibration data; check calibration()"
            )
        if kind == "tensor":
            ranges[name] = (float(low), float(high))
        else:
            scale = np.maximum(np.maximum(np.abs(low), np.abs(high)), np.float32(1e-12)).astype(np.float32)
            scaled[name] = factors[name].scaled(scale)
            inner[name] = np.stack([low / scale, high / scale])
    return Calibration(ranges=ranges, factors=scaled, inner_ranges=inner, sample_count=count)


class _Probe:
    """The FP32 network with a minimum and a maximum for every tensor that a candidate may quantize."""

    def __init__(self, network: Network, factors: Mapping[str, Factors]) -> None:
        model = network.model.clone()
        self.probed: list[tuple[str, str]] = []
        graph = model.graph
        outputs: list[ir.Value] = []
        for value in _float_tensors(model):
            self.probed.append(("tensor", value.name or ""))
            outputs += self._extremes(graph, value, axes=None)
        nodes = {node.name: node for node in graph}
        for layer in network.layers:
            if layer.name in factors:
                inner = self._inner_tensor(graph, nodes[layer.node_name], layer, factors[layer.name])
                self.probed.append(("inner", layer.name))
                outputs += self._extremes(graph, inner, axes=_all_but_channels(layer))
        graph.outputs.clear()
        graph.outputs.extend(outputs)
        self.output_names = [value.name or "" for value in outputs]
        self.model_bytes = serialize(model)

    @staticmethod
    def _inner_tensor(graph: ir.Graph, node: ir.Node, layer: Layer, factors: Factors) -> ir.Value:
        weight = add_initializer(graph, f"probe/{layer.name}/first", first_weight(layer, factors.first))
        attributes = [a for name, a in node.attributes.items() if name not in ("alpha", "beta")]
        inner = ir.Node("", node.op_type, [node.inputs[0], weight], attributes, name=f"probe/{layer.name}")
        inner.outputs[0].name = f"probe/{layer.name}/inner"
        graph.append(inner)
        return inner.outputs[0]

    def _extremes(self, graph: ir.Graph, value: ir.Value, axes: tuple[int, ...] | None) -> list[ir.Value]:
        results = []
        for op_type in ("ReduceMin", "ReduceMax"):
            inputs: list[ir.Value | None] = [value]
            attributes: dict[str, Any] = {"keepdims": 0}
            if axes is not None and graph.opset_imports[""] >= 18:
                inputs.append(add_initializer(graph, f"probe/{value.name}/{op_type}/axes", np.array(axes)))
            elif axes is not None:
                attributes["axes"] = axes
            node = ir.node(op_type, inputs, attributes=attributes, name=f"probe/{value.name}/{op_type}")
            node.outputs[0].name = f"probe/{value.name}/{op_type}/out"
            node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
            graph.append(node)
            results.append(node.outputs[0])
        return results


def _all_but_channels(layer: Layer) -> tuple[int, ...]:
    """Axes to reduce so that one number per inner channel is left."""
    return (0, *range(2, len(layer.weight_shape))) if layer.op_type == "Conv" else (0,)


def _float_tensors(model: ir.Model) -> list[ir.Value]:
    """Inputs and operator outputs that hold floats, in graph order."""
    candidates = list(model.graph.inputs) + [output for node in model.graph for output in node.outputs]
    return [v for v in candidates if v.dtype == ir.DataType.FLOAT and v.name]


def save_calibration(calibration: Calibration, path: Path) -> None:
    """Write the calibration as a NumPy archive (no pickle)."""
    arrays: dict[str, NDArray[Any]] = {"sample_count": np.array(calibration.sample_count)}
    for name, bounds in calibration.ranges.items():
        arrays[f"range/{name}"] = np.array(bounds, np.float64)
    for name, factors in calibration.factors.items():
        arrays[f"first/{name}"], arrays[f"second/{name}"] = factors.first, factors.second
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
            factors={n: Factors(first=archive[f"first/{n}"], second=archive[f"second/{n}"]) for n in names["first"]},
            inner_ranges={n: archive[f"inner/{n}"] for n in names["first"]},
            sample_count=int(archive["sample_count"]),
        )
