"""TensorRT without a GPU: its calls, over the fake driver's memory. The network doubles input ``x`` into output ``y``.

Each call that the engine makes is made on the real bindings too, in ``test_tensorrt_bindings.py``.
"""

from __future__ import annotations

import ctypes
import enum
import json
from types import SimpleNamespace
from typing import Any

import numpy as np


class FakeTensorRt:
    """Stands in for the module ``tensorrt``.

    Attributes:
        calls: what was called, in order.
        fails: the call that fails, and what it returns then: None, False or an exception to raise.
        shape: the model's input shape.
        output_shape: None where it follows the input's.
    """

    __name__ = "tensorrt"
    __version__ = "11.4.0"
    ILogger = type(
        "ILogger",
        (),
        {"ERROR": "Severity.ERROR", "INTERNAL_ERROR": "Severity.INTERNAL_ERROR", "WARNING": "Severity.WARNING"},
    )
    IProfiler = type("IProfiler", (), {})
    NetworkDefinitionCreationFlag = enum.IntEnum("NetworkDefinitionCreationFlag", {"STRONGLY_TYPED": 1})
    BuilderFlag = enum.Enum("BuilderFlag", ["SPARSE_WEIGHTS", "TF32"])
    MemoryPoolType = enum.Enum("MemoryPoolType", ["WORKSPACE"])
    ProfilingVerbosity = enum.Enum("ProfilingVerbosity", ["DETAILED", "NONE"])
    LayerInformationFormat = enum.Enum("LayerInformationFormat", ["JSON"])
    TensorIOMode = enum.Enum("TensorIOMode", ["INPUT", "OUTPUT"])

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fails: dict[str, Any] = {}
        self.shape = (-1, 8)
        self.output_shape: tuple[int, ...] | None = None
        self.caches: list[bytes] = []
        self.flags: list[Any] = []
        self.stale_cache = False
        self.log: Any = None

    def answer(self, call: str, value: Any = None) -> Any:
        self.calls.append(call)
        if call not in self.fails:
            return value
        failure = self.fails[call]
        self.log.log(self.ILogger.ERROR, f"{call}: out of  luck")
        if isinstance(failure, Exception):
            raise failure
        return failure

    def nptype(self, element: Any) -> Any:
        if element == "BF16":
            raise TypeError(element)
        return element

    def Builder(self, log: Any) -> Any:  # noqa: N802 - TensorRT's name
        self.log = log
        return self.answer("Builder", _Builder(self))

    def OnnxParser(self, network: Any, log: Any) -> Any:  # noqa: N802 - TensorRT's name
        return _Parser(self)

    def Runtime(self, log: Any) -> Any:  # noqa: N802 - TensorRT's name
        self.log = log
        return self.answer("Runtime", SimpleNamespace(deserialize_cuda_engine=self._deserialize))

    def _deserialize(self, data: bytes) -> Any:
        assert data.startswith(b"engine")
        return self.answer("deserialize_cuda_engine", _Engine(self))


class _Builder:
    def __init__(self, trt: FakeTensorRt) -> None:
        self._trt = trt

    def create_network(self, flags: int) -> Any:
        assert flags == 1 << 1
        tensor = SimpleNamespace(name="x", shape=self._trt.shape, is_shape_tensor=False)
        return self._trt.answer("create_network", SimpleNamespace(num_inputs=1, get_input=lambda index: tensor))

    def create_builder_config(self) -> Any:
        return self._trt.answer("create_builder_config", _Config(self._trt))

    def create_optimization_profile(self) -> Any:
        return SimpleNamespace(set_shape=lambda *shapes: self._trt.calls.append(f"set_shape {shapes}"))

    def build_serialized_network(self, network: Any, config: Any) -> Any:
        return self._trt.answer("build_serialized_network", b"engine of the network")


class _Config:
    def __init__(self, trt: FakeTensorRt) -> None:
        self._trt = trt
        self._cache: Any = None
        self.num_compute_capabilities = 0

    def set_flag(self, flag: Any) -> None:
        self._trt.flags.append(flag)

    def clear_flag(self, flag: Any) -> None:
        self._trt.flags.append(("without", flag))

    def set_memory_pool_limit(self, pool: Any, size: int) -> None:
        self._trt.calls.append(f"{pool.name} {size}")

    def set_compute_capability(self, capability: Any, index: int) -> bool:
        assert (self.num_compute_capabilities, index) == (1, 0)
        return bool(self._trt.answer(f"set_compute_capability {capability.name}", True))

    def add_optimization_profile(self, profile: Any) -> int:
        return int(self._trt.answer("add_optimization_profile", 0))

    def create_timing_cache(self, data: bytes) -> Any:
        self._trt.caches.append(data)
        return SimpleNamespace(data=data, serialize=lambda: data + b"+timings")

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        if self._trt.stale_cache and cache.data:
            return False
        self._cache = cache
        return True

    def get_timing_cache(self) -> Any:
        return self._cache


class _Parser:
    num_errors = 2

    def __init__(self, trt: FakeTensorRt) -> None:
        self._trt = trt

    def parse(self, model_bytes: bytes) -> bool:
        return bool(self._trt.answer("parse", True))

    def get_error(self, index: int) -> Any:
        texts = [("no plugin", "Fancy", "layer1"), ("broken file", "", "")][index]
        return SimpleNamespace(desc=lambda: texts[0], node_operator=lambda: texts[1], node_name=lambda: texts[2])


class _Engine:
    num_io_tensors = 2

    def __init__(self, trt: FakeTensorRt) -> None:
        self._trt = trt
        self.types: dict[str, Any] = {"x": np.float32, "y": np.float32}

    def get_tensor_name(self, index: int) -> str:
        return "xy"[index]

    def get_tensor_mode(self, name: str) -> Any:
        return self._trt.TensorIOMode.INPUT if name == "x" else self._trt.TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        return self.types[name]

    def create_execution_context(self) -> Any:
        return self._trt.answer("create_execution_context", _Context(self._trt))

    def create_engine_inspector(self) -> Any:
        tensor = {"Datatype": "Float"}
        layer = {"Name": "double", "LayerType": "kgen", "TacticName": "twice", "Metadata": "[ONNX Layer: product]"}
        layers = [{**layer, "Inputs": [tensor, tensor], "Outputs": [{"Datatype": "Int8"}]}, "only a name"]
        return SimpleNamespace(get_engine_information=lambda kind: json.dumps({"Layers": layers}))


class _Context:
    def __init__(self, trt: FakeTensorRt) -> None:
        self._trt = trt
        self._shape: tuple[int, ...] = ()
        self._addresses: dict[str, int] = {}
        self.profiler: Any = None
        self.nvtx_verbosity: Any = None

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._shape = shape
        return bool(self._trt.answer("set_input_shape", True))

    def infer_shapes(self) -> list[str]:
        return list(self._trt.answer("infer_shapes", []))

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._trt.output_shape or self._shape

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return bool(self._trt.answer(f"set_tensor_address {name}", True))

    def execute_async_v3(self, stream: int) -> bool:
        assert stream > 0
        count = int(np.prod(self._shape))
        source, target = ((ctypes.c_float * count).from_address(self._addresses[name]) for name in "xy")
        target[:] = [2 * value for value in source]
        if self.profiler is not None:
            for name, ms in (("double", 0.25), ("double", 0.5), ("only a name", 0.125)):
                self.profiler.report_layer_time(name, ms)
        return bool(self._trt.answer("execute_async_v3", True))


class FakeTensorRtRtx(FakeTensorRt):
    """The same with what TensorRT-RTX has more: a configuration and a cache of the run.

    Attributes:
        configs: the runtime configurations that were made.
        deserialized: what runtime caches were started from.
    """

    __name__ = "tensorrt_rtx"
    __version__ = "1.7.1"
    DynamicShapesKernelSpecializationStrategy = enum.Enum("Strategy", ["LAZY", "EAGER"])
    ComputeCapability = enum.Enum("ComputeCapability", ["NONE", "CURRENT", "SM86", "SM89"])

    def __init__(self) -> None:
        super().__init__()
        self.configs: list[Any] = []
        self.deserialized: list[bytes] = []

    def _deserialize(self, data: bytes) -> Any:
        engine = super()._deserialize(data)
        if engine is not None:
            engine.create_runtime_config = self._configure
            engine.create_execution_context = lambda config: self.answer("create_execution_context", _Context(self))
        return engine

    def _configure(self) -> Any:
        config = SimpleNamespace(create_runtime_cache=self._make_cache)
        config.set_runtime_cache = lambda cache: self.answer("set_runtime_cache", True)
        self.configs.append(config)
        return self.answer("create_runtime_config", config)

    def _make_cache(self) -> Any:
        return SimpleNamespace(deserialize=self.deserialized.append, serialize=lambda: b"compiled kernels")
