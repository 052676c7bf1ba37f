"""The real root where it was prepared, made-up counts, and a network in 32 and in 8 bits."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hwprofiles import HardwareProfile
from latency.emulation.command import EMULATOR
from latency.emulation.instruction_count import CLASSES, ClassCounts, InstructionCount, ProcessCounts
from latency.emulation.root import Root, default_root, find_root
from latency.errors import TargetError
from latency.measurement import MeasurementKey


@pytest.fixture(scope="session")
def arm_root() -> Root:
    """The root in the user's cache; tests that need it are skipped where nobody has prepared it."""
    if shutil.which(EMULATOR) is None:
        pytest.skip(f"{EMULATOR} is not installed (Debian: apt-get install qemu-user)")
    try:
        return find_root(None, "cortex-a76")
    except TargetError as error:
        pytest.skip(f"{error} [{default_root()}]")


@pytest.fixture
def arm(emulators: ModuleType, arm_root: Root) -> HardwareProfile:
    """The shipped profile on the real root."""
    profile: HardwareProfile = emulators.shipped_profile(arm_root)
    return profile


def class_counts(total: int, **changes: int) -> ClassCounts:
    return ClassCounts(**{**dict.fromkeys(CLASSES, 0), "total": total, **changes})


@pytest.fixture(scope="session")
def make_count() -> Callable[..., InstructionCount]:
    """Made-up counts; keyword arguments replace fields of the key or of the count."""

    def make(**changes: Any) -> InstructionCount:
        key: dict[str, Any] = {
            "model_digest": "c" * 64,
            "baseline_digest": "b" * 64,
            "hardware_id": "0123456789ab",
            "runtime": "onnxruntime 1.32.0, emulated by qemu-aarch64 7.2.22, root 0123456789ab",
            "provider": "CPUExecutionProvider",
            "threads": 1,
            "affinity": None,
            "spinning": True,
            "batch_size": 1,
            "input_shapes": (("x", "float32", (1, 8)),),
            "session_entries": (("a.b", "1"),),
            "baseline_session_entries": (),
        }
        key.update({name: changes.pop(name) for name in list(changes) if name in key and name != "runtime"})
        base = tuple(class_counts(total, fmla32=900) for total in (2000, 2002, 2400))
        values: dict[str, Any] = {
            "profile": "arm-emulated",
            "cpu": "cortex-a76",
            "runtime": "onnxruntime 1.32.0",
            "emulator": "qemu-aarch64 7.2.22",
            "processes": (
                ProcessCounts(candidate=(class_counts(1000, dot=300),), baseline=base),
                ProcessCounts(candidate=(class_counts(1010, dot=300),), baseline=base),
            ),
            "taken_at": "2026-01-02T03:04:05+00:00",
        }
        return InstructionCount(key=MeasurementKey(**key), **{**values, **changes})

    return make


@pytest.fixture(scope="session")
def networks() -> tuple[bytes, bytes]:
    """A convolutional network in FP32, and the same in 8 bits (u8s8, per channel), as our compressor writes it."""
    return convolutional(), convolutional(int8=True)


@pytest.fixture(scope="session")
def images() -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(3).normal(size=(3, 1, 28, 28)).astype(np.float32)}


def convolutional(*, int8: bool = False) -> bytes:
    """Three convolutions of a 28×28 image; Q/DQ around each where ``int8``."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    nodes, tensors = [], []

    def constant(name: str, array: np.ndarray) -> str:
        tensors.append(numpy_helper.from_array(array, name))
        return name

    def quantized(name: str) -> str:
        if not int8:
            return name
        after_relu = name.startswith("relu.")  # with zero point 0 the runtime fuses it
        scale = constant(f"{name}.s", np.float32(0.02 if after_relu else 0.04))
        zero = constant(f"{name}.z", np.uint8(0 if after_relu else 128))
        nodes.append(helper.make_node("QuantizeLinear", [name, scale, zero], [f"{name}.q"]))
        nodes.append(helper.make_node("DequantizeLinear", [f"{name}.q", scale, zero], [f"{name}.dq"]))
        return f"{name}.dq"

    def weights(name: str, shape: tuple[int, ...]) -> str:
        values = (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)
        if not int8:
            return constant(name, values)
        scale = (np.abs(values).reshape(shape[0], -1).max(axis=1) / 127).astype(np.float32)
        integers = np.round(values / scale.reshape(-1, *[1] * (len(shape) - 1))).astype(np.int8)
        names = [constant(f"{name}.i", integers), constant(f"{name}.s", scale)]
        nodes.append(helper.make_node("DequantizeLinear", names, [name], axis=0))
        return name

    def convolve(source: str, shape: tuple[int, ...], out: str, **attributes: object) -> str:
        nodes.append(helper.make_node("Conv", [quantized(source), weights(f"{out}.w", shape)], [out], **attributes))
        return out

    def relu(source: str) -> str:
        nodes.append(helper.make_node("Relu", [source], [f"relu.{source}"]))
        return f"relu.{source}"

    first = relu(convolve("x", (16, 1, 3, 3), "a", pads=[1, 1, 1, 1], strides=[2, 2]))
    second = relu(convolve(first, (32, 16, 3, 3), "b", pads=[1, 1, 1, 1]))
    last = convolve(second, (10, 32, 14, 14), "c")
    nodes.append(helper.make_node("Flatten", [quantized(last)], ["y"]))
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 28, 28])
    scores = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])
    graph = helper.make_graph(nodes, "net", [image], [scores], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())
