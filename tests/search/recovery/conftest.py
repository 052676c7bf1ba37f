"""A small real workload that can be trained, and one finished run of it that recovered its front."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

WORKLOAD = """
import numpy as np

def _part(name, first, last):
    data = np.load(__file__.replace("learner.py", "data.npz"))
    return {"x": data["x"][first:last]}, data["y"][first:last]

def model():
    return "learner.onnx"

def calibration():
    yield _part("x", 0, 64)[0]

def training():
    for first in range(0, 384, 64):
        yield _part("x", first, first + 64)

def validation():
    yield _part("x", 384, 512)

def top1(outputs, targets):
    return outputs.argmax(axis=1) == targets

metric = top1
"""
"""Labels are FP32's own answers, so that it is never beaten; they lie in a pattern that a smaller network can learn."""


def network(bias: np.ndarray | None = None) -> bytes:
    """Three convolutions and a head; with the right bias it answers each of its four classes now and then."""
    rng = np.random.default_rng(0)
    shapes = {"one": (48, 3, 3, 3), "two": (48, 48, 3, 3), "three": (48, 48, 3, 3), "head": (4, 48)}
    weights = [
        numpy_helper.from_array(rng.normal(0, 1.4 * np.prod(shape[1:]) ** -0.5, shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    weights.append(numpy_helper.from_array(np.zeros(4, np.float32) if bias is None else bias, "bias"))
    nodes = [
        helper.make_node("Conv", ["x", "one"], ["a"], name="one", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "two"], ["c"], name="two", pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("Conv", ["d", "three"], ["e"], name="three", pads=[1] * 4),
        helper.make_node("Relu", ["e"], ["f"]),
        helper.make_node("GlobalAveragePool", ["f"], ["g"]),
        helper.make_node("Flatten", ["g"], ["h"]),
        helper.make_node("Gemm", ["h", "head", "bias"], ["y"], name="head", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "learner",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 12, 12])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def write_learner(folder: Path, source: str = WORKLOAD) -> Path:
    """The workload's file, with its network and its data."""
    import onnxruntime

    def answers(model: bytes, inputs: Any) -> Any:
        return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"x": inputs})[0]

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    patterns = rng.normal(size=(4, 3, 12, 12))
    kinds = rng.integers(0, 4, 512)
    x = (0.7 * rng.normal(size=(512, 3, 12, 12)) + patterns[kinds]).astype(np.float32)
    balanced = network(bias=-answers(network(), x).mean(axis=0))
    (folder / "learner.onnx").write_bytes(balanced)
    np.savez(folder / "data.npz", x=x, y=answers(balanced, x).argmax(axis=1))
    path = folder / "learner.py"
    path.write_text(source)
    return path
