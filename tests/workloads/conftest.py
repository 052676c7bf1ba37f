"""Workload files and ONNX networks on disk, as a user has them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

WORKLOAD = """
import numpy as np

def model():
    return "net.onnx"

def calibration():
    for start in range(2):
        yield {"x": np.full((4, 3), start, dtype=np.float32)}

def validation():
    x = np.arange(30, dtype=np.float32).reshape(10, 3)
    yield {"x": x[:4]}, np.arange(4) % 2
    yield {"x": x[4:]}, np.arange(6) % 2

def metric(outputs, targets):
    return outputs.argmax(axis=1) == targets
"""


@pytest.fixture(autouse=True)
def module_path() -> Iterator[None]:
    """Loading a user's file extends the module path for good; a test must not see another test's folder."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        file = getattr(sys.modules[name], "__file__", None)
        if file and "pytest-of-" in file:
            del sys.modules[name]


@pytest.fixture
def linear() -> Callable[..., bytes]:
    """Makes the ONNX bytes of y = x @ weights, for x of (batch, 3)."""

    def make(
        *, batch: int | str = "batch", dtype: int = TensorProto.FLOAT, seed: int = 0, outputs: tuple[str, ...] = ("y",)
    ) -> bytes:
        weights = np.random.default_rng(seed).normal(size=(3, 2)).astype(helper.tensor_dtype_to_np_dtype(dtype))
        graph = helper.make_graph(
            [helper.make_node("MatMul", ["x", "weights"], [output]) for output in outputs],
            "linear",
            [helper.make_tensor_value_info("x", dtype, [batch, 3])],
            [helper.make_tensor_value_info(output, dtype, [batch, 2]) for output in outputs],
            [numpy_helper.from_array(weights, "weights")],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        onnx.checker.check_model(model)
        return model.SerializeToString()

    return make


@pytest.fixture
def write_workload(tmp_path: Path, linear: Callable[..., bytes]) -> Callable[..., Path]:
    """Writes a working workload file beside its network; `extra` is appended and so overrides functions."""

    def write(extra: str = "", *, source: str = WORKLOAD, name: str = "mine.py") -> Path:
        (tmp_path / "net.onnx").write_bytes(linear())
        path = tmp_path / name
        path.write_text(source + "\n" + extra)
        return path

    return write
