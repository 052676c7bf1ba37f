"""Candidates in mixed number formats, made by the passes alone: nearest rounding, no store, no solver."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from compress.formats.half_precision import HalfPrecisionLayers
from compress.formats.kernels import marks_of, read_kernels
from compress.formats.quantize import QuantizeLayers
from compress.formats.quantize_dynamic import DynamicQuantizeLayers
from compress.formats.scheme import SCHEMES, QuantizedWeight, Range
from compress.formats.weight_only import AccuracyLevel, BlockWeight, WeightOnlyLayers, block_parameters
from compress.graph import constant, output_axis
from compress.layers import Layer
from compress.network import Network, serialize
from compress.runtime import FAITHFUL_SESSION_ENTRIES, open_session
from compress.statistics.calibration import Calibration
from tests.compress.nearest import rounded_to_nearest


def formats_for(layer: Layer) -> tuple[str, ...]:
    """The formats in which a layer can be."""
    everywhere = ("fp32", "fp16", "int8")
    return everywhere if layer.op_type == "Conv" else (*everywhere, "int8-dynamic", "int8-weights", "int4-weights")


def random_formats(network: Network, seed: int) -> dict[str, str]:
    """A format for every layer."""
    random = np.random.default_rng(seed)
    return {layer.name: str(random.choice(formats_for(layer))) for layer in network.layers}


def uniform_formats(network: Network, wanted: str) -> dict[str, str]:
    """`wanted` for every layer that can have it."""
    return {layer.name: wanted if wanted in formats_for(layer) else "fp32" for layer in network.layers}


def build(
    network: Network,
    calibration: Calibration,
    formats: Mapping[str, str],
    *,
    scheme: str = "u8s8",
    block: int = 16,
    accuracy_level: AccuracyLevel = 1,
) -> bytes:
    """The network with every layer in its format."""
    chosen: dict[str, list[str]] = {}
    for layer in network.layers:
        chosen.setdefault(formats[layer.name], []).append(layer.node_name)
    nodes = {node.name or "": node for node in network.model.graph}
    integers = {
        kind: {name: integer_weight(nodes[name], scheme) for name in chosen.get(kind, ())}
        for kind in ("int8", "int8-dynamic")
    }
    blocks = {
        name: block_weight(nodes[name], bits, block) for bits in (8, 4) for name in chosen.get(f"int{bits}-weights", ())
    }
    ranges = extremes(calibration)
    passes = ir.passes.Sequential(
        QuantizeLayers(SCHEMES[scheme], integers["int8"], ranges),
        DynamicQuantizeLayers(SCHEMES[scheme], integers["int8-dynamic"]),
        WeightOnlyLayers(blocks, accuracy_level=accuracy_level),
        HalfPrecisionLayers(chosen.get("fp16", ()), ranges),
    )
    return serialize(ir.passes.functionalize(passes)(network.model).model)


def extremes(calibration: Calibration) -> dict[str, Range]:
    """Lowest and highest value by tensor name."""
    return {name: (found.low, found.high) for name, found in calibration.histograms.items()}


def integer_weight(node: ir.Node, scheme: str = "u8s8") -> QuantizedWeight:
    """The weight of `node`, rounded to nearest."""
    return rounded_to_nearest(SCHEMES[scheme], constant(node.inputs[1]), output_axis(node))  # type: ignore[arg-type]


def block_weight(node: ir.Node, bits: int, block: int) -> BlockWeight:
    """The weight of a matrix product in blocks, rounded to nearest."""
    weight = constant(node.inputs[1])  # type: ignore[arg-type]
    return rounded_blocks(weight if output_axis(node) == 0 else weight.T, bits, block)


def rounded_blocks(rows: Any, bits: int, block: int) -> BlockWeight:
    """Rows (R, K) in blocks, rounded to nearest."""
    scale, zero_point = block_parameters(rows[None], bits, block)
    integers = np.clip(np.rint(rows[None] / scale) + zero_point, 0, (1 << bits) - 1)
    return BlockWeight.from_rows(integers.astype(np.int16), scale, zero_point, bits=bits, block=block)


def open_and_read(network: Network, onnx_bytes: bytes) -> tuple[Any, dict[str, tuple[str, ...]]]:
    """The session as it will run, and the kernels by layer name."""
    nodes = {node.name or "": node for node in network.model.graph}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimized.onnx"
        session = open_session(onnx_bytes, session_entries=FAITHFUL_SESSION_ENTRIES, optimized_path=path)
        kernels = read_kernels(
            path, {layer.node_name: marks_of(nodes[layer.node_name]) for layer in network.layers}, onnx_bytes
        )
    return session, {layer.name: kernels[layer.node_name] for layer in network.layers}
