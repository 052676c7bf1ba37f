"""What tests on a GPU need, on a machine that may hold no more than the worker, numpy, onnx and the runtimes.

    python -m pytest --confcutdir=tests/latency/gpu tests/latency/gpu

``PARETUNE_GPU_MODELS`` names the folder that ``tests.latency.gpu.write_models`` filled.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).parents[3]
LIBRARIES = ("pydantic", "scipy")  # what the rest of ``latency`` imports

if any(importlib.util.find_spec(name) is None for name in LIBRARIES):
    # As on any target, the worker is all there is of the package.
    alone = ModuleType("latency")
    alone.__path__ = [str(ROOT / "latency")]
    sys.modules.setdefault("latency", alone)

from latency.worker.cuda_driver import name_gpu  # noqa: E402 - after the package is what the machine can import
from latency.worker.engine import EngineError  # noqa: E402


def pytest_configure(config: pytest.Config) -> None:
    """Markers, where pyproject.toml is not read."""
    config.addinivalue_line("markers", "tensorrt: needs NVIDIA's tensorrt-rtx wheels")


@pytest.fixture(scope="session")
def gpu() -> str:
    """The GPU's name; without one the test is skipped."""
    try:
        return name_gpu(0)
    except EngineError as error:
        pytest.skip(f"no GPU on this machine: {error}")


@pytest.fixture(scope="session")
def models(gpu: str) -> Path:
    """The folder of networks and what they answer."""
    folder = os.environ.get("PARETUNE_GPU_MODELS")
    if folder is None:
        pytest.skip("PARETUNE_GPU_MODELS names no folder; python -m tests.latency.gpu.write_models FOLDER fills one")
    return Path(folder)


def onnx_bytes(operator: str = "MatMul") -> bytes:
    """One matrix product of a batch of 8 features."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(0).normal(size=(8, 16)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "w"], ["y"], name="product")],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 16])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="session")
def baseline() -> bytes:
    return onnx_bytes()


@pytest.fixture(scope="session")
def broken_model() -> bytes:
    return onnx_bytes("NoSuchOperator")


@pytest.fixture
def feeds() -> dict[str, np.ndarray]:
    return {"x": np.ones((1, 8), np.float32)}
