"""Layers as ONNX Runtime's own profile tells them."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from latency.worker.onnxruntime_engine import OnnxRuntimeEngine
from latency.worker.onnxruntime_profile import layer_rows, read_profile

SETTINGS: dict[str, Any] = {
    "provider": "CPUExecutionProvider",
    "threads": 1,
    "spinning": False,
    "session_entries": {},
}


def convolution(*, quantized: bool) -> bytes:
    """A convolution with a Relu, which ONNX Runtime runs as one kernel."""
    weights = np.random.default_rng(0).normal(size=(16, 16, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["h"], name="conv"),
        helper.make_node("Relu", ["h"], ["y"], name="relu"),
    ]
    tensors = [numpy_helper.from_array(weights, "w")]
    if quantized:
        scalars = {"scale": np.float32(0.05), "zero": np.uint8(0), "wscale": np.float32(0.02), "wzero": np.int8(0)}
        tensors = [numpy_helper.from_array(np.array(value), name) for name, value in scalars.items()]
        tensors.append(numpy_helper.from_array(np.clip(weights / 0.02, -127, 127).astype(np.int8), "w"))
        nodes = [
            helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["xq"], name="x@quantize"),
            helper.make_node("DequantizeLinear", ["xq", "scale", "zero"], ["xd"], name="x@dequantize"),
            helper.make_node("DequantizeLinear", ["w", "wscale", "wzero"], ["wd"], name="w@dequantize"),
            helper.make_node("Conv", ["xd", "wd"], ["h"], name="conv"),
            helper.make_node("QuantizeLinear", ["h", "scale", "zero"], ["hq"], name="h@quantize"),
            helper.make_node("DequantizeLinear", ["hq", "scale", "zero"], ["y"], name="h@dequantize"),
        ]
    graph = helper.make_graph(
        nodes,
        "convolution",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 16, 12, 12])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 16, 10, 10])],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def rows_of(model: bytes) -> list[dict[str, Any]]:
    with contextlib.closing(OnnxRuntimeEngine()) as engine:
        engine.load(model, SETTINGS)
        engine.bind({"x": np.ones((1, 16, 12, 12), np.float32)})
        return engine.layers(5)


def test_layers_tell_the_kernel_beside_the_models_operator() -> None:
    """The policy says a convolution in 8 bits; the kernel says whether it is one."""
    kernels = {row["kernel"]: row for row in rows_of(convolution(quantized=True))}
    assert "QLinearConv" in kernels
    assert "Conv" not in kernels
    assert kernels["QLinearConv"]["operator"] == "Conv"
    assert all(row["calls"] == 1 for row in kernels.values())
    assert kernels["QLinearConv"]["median_ns"] > 0


def test_fused_layers_are_one_row() -> None:
    kernels = [row["kernel"] for row in rows_of(convolution(quantized=False))]
    assert sum("Conv" in kernel for kernel in kernels) == 1
    assert "Relu" not in kernels


def test_profile_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    rows_of(convolution(quantized=False))
    assert list(tmp_path.iterdir()) == []


def test_warm_up_does_not_count_and_loops_are_summed(tmp_path: Path) -> None:
    """Two nodes, one of which runs twice in every inference, and a third only in one of three."""

    def node(ts: int, dur: int, name: str) -> dict[str, Any]:
        arguments = {"op_name": "Add", "provider": "CPUExecutionProvider", "output_type_shape": [{"float": [1, 2]}]}
        return {"cat": "Node", "ph": "X", "name": f"{name}_kernel_time", "ts": ts, "dur": dur, "args": arguments}

    events: list[dict[str, Any]] = [{"cat": "Session", "ph": "X", "name": "session_initialization", "ts": 1, "dur": 5}]
    for inference, factor in enumerate((100, 1, 3, 5)):
        start = 1000 * (inference + 1)
        events.append({"cat": "Session", "ph": "X", "name": "model_run", "ts": start, "dur": 900, "args": {}})
        events += [node(start + 10, 2 * factor, "once"), node(start + 20, factor, "twice")]
        events += [node(start + 30, factor, "twice")]
    events.append(node(3000 + 40, 9, "rare"))
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(events))
    runs = read_profile(path)
    assert [run.inference for run in runs[:3]] == [0, 0, 0]
    assert runs[0].outputs == (("float", (1, 2)),)
    rows = {row["name"]: row for row in layer_rows(runs, {"once": "Sum"}, skip=1)}
    assert rows["once"] == {"name": "once", "operator": "Sum", "kernel": "Add", "median_ns": 6000, "calls": 1.0}
    assert (rows["twice"]["median_ns"], rows["twice"]["calls"]) == (6000, 2.0)
    assert (rows["rare"]["median_ns"], rows["rare"]["calls"]) == (0, 0.333)
