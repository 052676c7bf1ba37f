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
from compress.graph import add_initializer, constant, derived, operand
from compress.layers import Layer
from compress.network import Network, serialize
from compress.placement import output_point, range_source
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
    factors = _decompose_layers(network, threads)
    probe = _Probe(network, factors)
    session = open_session(probe.model_bytes, threads=threads) if probe.probed else None
    lowest: list[NDArray[np.float32]] = []
    highest: list[NDArray[np.float32]] = []
    count = 0
    for feeds in batches:
        results = _run(session, probe.output_names, feeds) if session is not None else []
        lows, highs = results[0::2], results[1::2]
        lowest = [np.minimum(a, b) for a, b in zip(lowest, lows, strict=True)] if lowest else list(lows)
        highest = [np.maximum(a, b) for a, b in zip(highest, highs, strict=True)] if highest else list(highs)
        count += len(next(iter(feeds.values())))
        if progress is not None:
            progress(count)
    if count == 0:
        raise CompressionError("calibration() gave no samples; it must yield at least one batch of inputs")
    return _assemble(probe, factors, lowest, highest, count)


def _run(session: Any, output_names: list[str], feeds: Feeds) -> list[NDArray[np.float32]]:
    try:
        results: list[NDArray[np.float32]] = session.run(output_names, dict(feeds))
    except Exception as error:  # onnxruntime's exceptions share no public base class
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise CompressionError(f"the network does not run on the calibration data: {first_line}") from error
    return results


def _decompose_layers(network: Network, threads: int) -> dict[str, Factors]:
    from threadpoolctl import threadpool_limits

    # LAPACK's threads spin while they wait for one another: on a machine that is also doing other things, finding
    # eigenvectors takes thirty times as long with two threads as with one.
    with threadpool_limits(limits=threads):
        return {
            layer.name: decompose(layer, constant(network.model.graph.initializers[layer.weight_name]))
            for layer in network.layers
            if break_even_rank(layer) > 1
        }


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
        graph = model.graph
        nodes = {node.name: node for node in graph}
        self.probed: list[tuple[str, str]] = []
        outputs: list[ir.Value] = []
        for value in _quantizable_tensors(nodes[layer.node_name] for layer in network.layers):
            self.probed.append(("tensor", value.name or ""))
            outputs += self._extremes(graph, value, axes=None)
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
        weight = add_initializer(graph, derived(layer.node_name, "probe_first"), first_weight(layer, factors.first))
        attributes = [a for name, a in node.attributes.items() if name not in ("alpha", "beta")]
        inner = ir.Node("", node.op_type, [node.inputs[0], weight], attributes, name=derived(layer.node_name, "probe"))
        inner.outputs[0].name = derived(layer.node_name, "probe_inner")
        graph.append(inner)
        if layer.op_type == "Conv":
            return inner.outputs[0]
        # A MatMul's input may have any number of axes; only the last one counts channels.
        shape = add_initializer(graph, derived(layer.node_name, "probe_shape"), np.array([-1, len(factors.first)]))
        rows = ir.node("Reshape", [inner.outputs[0], shape], name=derived(layer.node_name, "probe_rows"))
        rows.outputs[0].name = derived(layer.node_name, "probe_inner_rows")
        graph.append(rows)
        return rows.outputs[0]

    def _extremes(self, graph: ir.Graph, value: ir.Value, axes: tuple[int, ...] | None) -> list[ir.Value]:
        results = []
        for op_type in ("ReduceMin", "ReduceMax"):
            inputs: list[ir.Value | None] = [value]
            attributes: dict[str, Any] = {"keepdims": 0}
            if axes is not None and graph.opset_imports[""] >= 18:
                inputs.append(add_initializer(graph, derived(value.name or "", f"{op_type}_axes"), np.array(axes)))
            elif axes is not None:
                attributes["axes"] = axes
            node = ir.node(op_type, inputs, attributes=attributes, name=derived(value.name or "", op_type))
            node.outputs[0].name = derived(value.name or "", f"{op_type}_out")
            node.outputs[0].type = ir.TensorType(ir.DataType.FLOAT)
            graph.append(node)
            results.append(node.outputs[0])
        return results


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
