"""Every call of TensorRT that the engine makes exists in NVIDIA's own bindings, with these arguments.

``tensorrt_rtx`` has TensorRT's API and installs without a GPU; where ``tensorrt`` is there, it is looked at too.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
from types import ModuleType
from typing import Any

import pytest

from latency.worker import tensorrt_build, tensorrt_engine, tensorrt_layers, tensorrt_rtx_engine, tensorrt_run

pytestmark = pytest.mark.tensorrt

# What is called, with the arguments in their order.
CALLS: dict[str, tuple[str, ...]] = {
    "Builder.__init__": ("logger",),
    "Builder.create_network": ("flags",),
    "Builder.create_builder_config": (),
    "Builder.create_optimization_profile": (),
    "Builder.build_serialized_network": ("network", "config"),
    "OnnxParser.__init__": ("network", "logger"),
    "OnnxParser.parse": ("model",),
    "OnnxParser.get_error": ("index",),
    "ParserError.desc": (),
    "ParserError.node_name": (),
    "ParserError.node_operator": (),
    "INetworkDefinition.get_input": ("index",),
    "IOptimizationProfile.set_shape": ("input", "min", "opt", "max"),
    "IBuilderConfig.set_flag": ("flag",),
    "IBuilderConfig.clear_flag": ("flag",),
    "IBuilderConfig.set_memory_pool_limit": ("pool", "pool_size"),
    "IBuilderConfig.add_optimization_profile": ("profile",),
    "Runtime.__init__": ("logger",),
    "Runtime.deserialize_cuda_engine": ("serialized_engine",),
    "ICudaEngine.create_execution_context": (),
    "ICudaEngine.create_engine_inspector": (),
    "ICudaEngine.get_tensor_name": ("index",),
    "ICudaEngine.get_tensor_mode": ("name",),
    "ICudaEngine.get_tensor_dtype": ("name",),
    "IExecutionContext.set_input_shape": ("name", "shape"),
    "IExecutionContext.infer_shapes": (),
    "IExecutionContext.get_tensor_shape": ("name",),
    "IExecutionContext.set_tensor_address": ("name", "memory"),
    "IExecutionContext.execute_async_v3": ("stream_handle",),
    "EngineInspector.get_engine_information": ("format",),
    "IProfiler.report_layer_time": ("layer_name", "ms"),
    "ILogger.log": ("severity", "msg"),
}
TIMING_CACHE: dict[str, tuple[str, ...]] = {
    "IBuilderConfig.create_timing_cache": ("serialized_timing_cache",),
    "IBuilderConfig.set_timing_cache": ("cache", "ignore_mismatch"),
    "IBuilderConfig.get_timing_cache": (),
    "ITimingCache.serialize": (),
}
RTX_ONLY: dict[str, tuple[str, ...]] = {
    "ICudaEngine.create_runtime_config": (),
    "IRuntimeConfig.create_runtime_cache": (),
    "IRuntimeConfig.set_runtime_cache": ("cache",),
    "IRuntimeCache.deserialize": ("blob",),
    "IRuntimeCache.serialize": (),
    "IBuilderConfig.set_compute_capability": ("compute_capability", "index"),
}
ATTRIBUTES = (
    "INetworkDefinition.num_inputs",
    "ITensor.name",
    "ITensor.shape",
    "ITensor.is_shape_tensor",
    "OnnxParser.num_errors",
    "IBuilderConfig.profiling_verbosity",
    "IBuilderConfig.builder_optimization_level",
    "IBuilderConfig.max_aux_streams",
    "ICudaEngine.num_io_tensors",
    "IExecutionContext.profiler",
    "IExecutionContext.nvtx_verbosity",
    "EngineInspector.execution_context",
    "NetworkDefinitionCreationFlag.STRONGLY_TYPED",
    "BuilderFlag.SPARSE_WEIGHTS",
    "BuilderFlag.TF32",
    "MemoryPoolType.WORKSPACE",
    "ProfilingVerbosity.DETAILED",
    "ProfilingVerbosity.NONE",
    "LayerInformationFormat.JSON",
    "TensorIOMode.INPUT",
    "TensorIOMode.OUTPUT",
    "ILogger.ERROR",
    "ILogger.INTERNAL_ERROR",
    "nptype",
)


INSTALLED = [name for name in ("tensorrt", "tensorrt_rtx") if importlib.util.find_spec(name)]


@pytest.fixture(params=INSTALLED or ["tensorrt_rtx"])
def trt(request: pytest.FixtureRequest) -> ModuleType:
    try:
        return importlib.import_module(request.param)
    except (ImportError, OSError) as error:
        pytest.skip(f"no {request.param} on this machine: {error}")


def signatures(trt: ModuleType, path: str) -> list[tuple[list[str], int]]:
    """Of each overload, from the bindings' own docstring: argument names, and how many have no default."""
    target: Any = trt
    for part in path.split("."):
        target = getattr(target, part)
    found = []
    for line in (inspect.getdoc(target) or "").splitlines():
        match = re.match(rf"(?:\d+\. )?{path.rpartition('.')[2]}\((.*)\) ->", line.strip())
        if match is None or "*args" in match[1]:
            continue
        arguments = [text for text in re.split(r", (?=\w+: )", match[1]) if text and not text.startswith("self: ")]
        found.append(([text.split(":")[0] for text in arguments], sum(" = " not in text for text in arguments)))
    return found


@pytest.mark.parametrize("path", sorted(CALLS))
def test_call_is_the_bindings(trt: ModuleType, path: str) -> None:
    assert_accepts(trt, path, CALLS[path])


@pytest.mark.parametrize("path", sorted(TIMING_CACHE))
def test_timing_cache_is_the_bindings(trt: ModuleType, path: str) -> None:
    """TensorRT-RTX has the calls still, though they do nothing there and are not made."""
    assert_accepts(trt, path, TIMING_CACHE[path])


@pytest.mark.parametrize("path", sorted(RTX_ONLY))
def test_what_only_rtx_has_is_its_bindings(path: str) -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="no tensorrt_rtx on this machine")
    assert_accepts(trt, path, RTX_ONLY[path])
    assert hasattr(trt.DynamicShapesKernelSpecializationStrategy, "EAGER")
    assert hasattr(trt.IBuilderConfig, "num_compute_capabilities")
    assert {"SM75", "SM89"} <= set(trt.ComputeCapability.__members__)
    assert hasattr(trt.IRuntimeConfig, "dynamic_shapes_kernel_specialization_strategy")
    contexts = [names for names, _ in signatures(trt, "ICudaEngine.create_execution_context")]
    assert ["runtime_config"] in contexts


@pytest.mark.parametrize("path", ATTRIBUTES)
def test_attribute_is_the_bindings(trt: ModuleType, path: str) -> None:
    target: Any = trt
    for part in path.split("."):
        assert hasattr(target, part), f"{trt.__name__} has no {path}"
        target = getattr(target, part)


def assert_accepts(trt: ModuleType, path: str, arguments: tuple[str, ...]) -> None:
    found = signatures(trt, path)
    count = len(arguments)
    fits = [tuple(names[:count]) == arguments and required <= count for names, required in found]
    assert any(fits), f"{path}{arguments} is called, {trt.__name__} {trt.__version__} has {found}"


def test_calls_that_the_engine_makes_are_all_looked_at() -> None:
    """A call on TensorRT's objects that is new in the source must come into one of the lists above."""
    known = {path.rpartition(".")[2] for path in [*CALLS, *TIMING_CACHE, *RTX_ONLY, *ATTRIBUTES]}
    modules = [tensorrt_build, tensorrt_engine, tensorrt_layers, tensorrt_run, tensorrt_rtx_engine]
    source = "\n".join(inspect.getsource(module) for module in modules)
    receivers = "_?trt|_?network|_?builder|_?parser|config|_?cache|_?engine|_?context|inspector|error|runtime"
    used = set(re.findall(rf"\b(?:{receivers})\.(?!_)(\w+)", source))
    ours = {
        "inputs", "build", "enqueue", "infer", "free", "context", "outputs",  # of our own objects by these names
        "ILogger", "IProfiler", "Builder", "OnnxParser", "Runtime", "NetworkDefinitionCreationFlag", "BuilderFlag",
        "MemoryPoolType", "ProfilingVerbosity", "LayerInformationFormat", "TensorIOMode", "tensorrt_build",
        "ComputeCapability", "num_compute_capabilities", "DynamicShapesKernelSpecializationStrategy",
        "dynamic_shapes_kernel_specialization_strategy",
    }  # fmt: skip
    assert used - known - ours == set()
    assert {"execute_async_v3", "set_tensor_address", "create_runtime_cache"} <= used
