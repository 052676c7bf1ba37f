"""Where a runtime's optimized graph departs from the graph as written: piece by piece, on the same integers.

Two honest runs of a deep 8-bit network drift apart. Sums in another order now and then fall on the other side of a
rounding boundary, and the layers behind amplify that: on EfficientNet-Lite0 from 1 in 100,000 integers behind the first
layer to a difference of 0.05 at the output, which says nothing about any layer. So the graph is cut at every tensor
that is quantized. Each piece gets the integers that the optimized graph really had there, and must answer alike.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.graph import constant, derived, operand
from compress.network import serialize
from compress.runtime import open_session

Feeds = Mapping[str, NDArray[Any]]

_ROUNDS_INSIDE = ("DynamicQuantizeLinear", "MatMulNBits")


def piecewise_difference(
    onnx_bytes: bytes, feeds: Feeds, *, session_entries: Mapping[str, str], threads: int = 1
) -> tuple[str, float]:
    """The largest relative difference between optimized and unoptimized pieces of a graph, and the tensor it is at.

    Args:
        onnx_bytes: The network.
        feeds: A few samples by input name.
        session_entries: What the network's sessions need.
        threads: Threads inside an operator.

    Raises:
        CompressionError: The runtime does not load or run the network.
    """
    import onnx

    model = ir.from_proto(onnx.load_model_from_string(onnx_bytes))
    cuts = _cuts(model)
    outputs = [value.name or "" for value in model.graph.outputs]
    names = [*cuts, *(name for name in outputs if name not in cuts)]
    whole = open_session(
        serialize(_observed(model, names)), threads=threads, session_entries=session_entries, spins=False
    )
    seen = dict(zip(names, whole.run(names, dict(feeds)), strict=True))
    pieces = open_session(serialize(_cut(model, names, list(cuts))), threads=threads, optimize=False, spins=False)
    given = {name: array for name, array in feeds.items() if name in {i.name for i in pieces.get_inputs()}}
    given |= {derived(name, "cut"): seen[name] for name in cuts}
    wanted = dict(zip(names, pieces.run(names, given), strict=True))
    differences = {name: _difference(seen[name], wanted[name], cuts.get(name, 0)) for name in names}
    worst = max(differences, key=lambda name: differences[name])
    return worst, differences[worst]


def _cuts(model: ir.Model) -> dict[str, int]:
    """The tensors to cut at, with the integer that stands for 0; 0 for floats.

    Those are what QuantizeLinear writes, and what operators read that round to integers inside.
    """
    cuts: dict[str, int] = {}
    for node in model.graph:
        source = node.inputs[0] if node.inputs else None
        if source is None or source.const_value is not None:
            continue
        if node.op_type == "QuantizeLinear":
            cuts[node.outputs[0].name or ""] = int(constant(operand(node, 2)).item())
        elif node.op_type in _ROUNDS_INSIDE and source.producer() is not None:
            cuts.setdefault(source.name or "", 0)
    return cuts


def _observed(model: ir.Model, names: list[str]) -> ir.Model:
    opened = model.clone()
    values = {value.name: value for node in opened.graph for value in node.outputs}
    opened.graph.outputs.clear()
    opened.graph.outputs.extend(values[name] for name in names)
    return opened


def _cut(model: ir.Model, names: list[str], cuts: list[str]) -> ir.Model:
    """The graph with every tensor that is cut read from an input instead of from the operator that writes it."""
    pieces = _observed(model, names)
    values = {value.name: value for node in pieces.graph for value in node.outputs}
    for name in cuts:
        value = values[name]
        given = ir.Value(name=derived(name, "cut"), type=ir.TensorType(_element_type(value)), shape=value.shape)
        for node, index in tuple(value.uses()):
            node.replace_input_with(index, given)
        pieces.graph.inputs.append(given)
    return pieces


def _element_type(value: ir.Value) -> ir.DataType:
    node = value.producer()
    zero_point = operand(node, 2).const_value if node is not None and node.op_type == "QuantizeLinear" else None
    if zero_point is not None:
        return zero_point.dtype
    return value.dtype or ir.DataType.FLOAT


def _difference(found: NDArray[Any], wanted: NDArray[Any], zero: int) -> float:
    reference = wanted.astype(np.float64) - zero
    size = float(np.square(reference).sum())
    error = float(np.square(found.astype(np.float64) - zero - reference).sum())
    return float(np.sqrt(error / size)) if size else float(error > 0)
