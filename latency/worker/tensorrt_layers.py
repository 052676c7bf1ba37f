"""Which kernels a TensorRT engine runs, and for how long: its profiler's times beside its inspector's words."""

from __future__ import annotations

import json
import re
import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_ONNX_LAYER = re.compile(r"\[ONNX Layer: ([^\]]*)\]")


def make_profiler(trt: Any) -> Any:
    """A TensorRT profiler that keeps every time by layer name, in the order they run.

    Args:
        trt: the ``tensorrt`` or ``tensorrt_rtx`` module.
    """

    class Profiler(trt.IProfiler):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)
            self.times_ms: dict[str, list[float]] = {}

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            self.times_ms.setdefault(layer_name, []).append(ms)

    return Profiler()


def inspected_layers(trt: Any, engine: Any, context: Any) -> dict[str, dict[str, Any]]:
    """What the inspector says of each layer, by name. Empty of an engine that was built without details."""
    inspector = engine.create_engine_inspector()
    inspector.execution_context = context
    text = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
    found = json.loads(text).get("Layers", []) if text else []
    return {layer["Name"]: layer for layer in found if isinstance(layer, dict)}


def layer_rows(
    times_ms: Mapping[str, list[float]],
    inspected: Mapping[str, Mapping[str, Any]],
    operators: Mapping[str, str],
    inferences: int,
) -> list[dict[str, Any]]:
    """Rows of ``Engine.layers``.

    ``name`` is TensorRT's, with the ONNX nodes that became the layer behind it in brackets; ``operator`` names their
    operators, ``kernel`` what runs it, and in which formats.

    Args:
        times_ms: each layer's times, of ``inferences`` inferences.
        inspected: what the inspector says of them.
        operators: the model's operators by node name.
        inferences: over how many.
    """
    rows = []
    for name, times in times_ms.items():
        layer = inspected.get(name, {})
        calls = max(1, round(len(times) / inferences))
        sums = [sum(times[start : start + calls]) for start in range(0, len(times), calls)]
        nodes = _ONNX_LAYER.findall(str(layer.get("Metadata", "")))
        rows.append(
            {
                "name": f"{name} [{' + '.join(nodes)}]" if nodes else name,
                "operator": _operator(nodes, operators) or str(layer.get("LayerType", "")) or name,
                "kernel": _kernel(layer) or "not told by the engine",
                "median_ns": round(statistics.median(sums) * 1e6),
                "calls": calls,
            }
        )
    return rows


def _operator(nodes: list[str], operators: Mapping[str, str]) -> str:
    return "+".join(dict.fromkeys(operators[node] for node in nodes if node in operators))


def _kernel(layer: Mapping[str, Any]) -> str:
    words = [str(layer[key]) for key in ("LayerType", "TacticName") if layer.get(key)]
    types = [_types(layer.get(key, [])) for key in ("Inputs", "Outputs")]
    if all(types):
        words.append(f"({types[0]} to {types[1]})")
    return " ".join(words)


def _types(tensors: Any) -> str:
    found = [str(tensor.get("Datatype") or tensor.get("Format/Datatype") or "") for tensor in tensors]
    return "/".join(dict.fromkeys(text for text in found if text))
