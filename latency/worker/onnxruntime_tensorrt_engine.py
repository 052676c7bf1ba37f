"""ONNX Runtime's TensorRT provider (onnxruntime-gpu and TensorRT): TensorRT builds and runs the network's parts.

The provider's networks are weakly typed: where one layer is in 16 bits, TensorRT may run others in 16 bits too. The
engine 'tensorrt' keeps every layer's format as the policy says.
"""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latency.worker.gpu_session import GpuSession
from latency.worker.onnx_model import read_facts
from latency.worker.onnxruntime_session import import_onnxruntime

if TYPE_CHECKING:
    from collections.abc import Mapping

_LIBRARIES = ("libnvinfer.so.11", "libnvinfer.so.10")
_LIBRARY_PACKAGES = ("tensorrt_libs",)  # NVIDIA's pip packages: importing one loads what no search path has


class OnnxRuntimeTensorRtEngine(GpuSession):
    """A session whose nodes TensorRT engines run. What TensorRT leaves to CUDA or the processor is an error."""

    provider = "TensorrtExecutionProvider"

    @classmethod
    def version(cls) -> str:
        """The runtime and its version, with TensorRT's where its library is found.

        Raises:
            EngineError: ONNX Runtime is not installed.
        """
        runtime = f"onnxruntime {import_onnxruntime().__version__}"
        number = _tensorrt_number()
        return runtime if number is None else f"{runtime}, TensorRT {_dotted(number)}"

    def describe(self) -> dict[str, Any]:
        """What really runs, and that TensorRT may have chosen other formats than the policy's."""
        return {**super().describe(), "typing": "weak"}

    def _preload(self, onnxruntime: Any) -> None:
        super()._preload(onnxruntime)
        _tensorrt_number()

    def _providers(
        self, model_bytes: bytes, settings: Mapping[str, Any], own: dict[str, str]
    ) -> list[tuple[str, dict[str, str]]]:
        """TensorRT with what the model's formats need; CUDA behind it for what carries no data."""
        facts = read_facts(model_bytes)
        options = {
            "trt_int8_enable": str(int(facts.quantized)),
            "trt_fp16_enable": str(int(facts.half)),
            "trt_sparsity_enable": str(int(settings["sparse_weights"])),
        }
        if settings["timing_cache"] is not None:
            folder = Path(settings["timing_cache"]).parent
            options.update({"trt_timing_cache_enable": "1", "trt_timing_cache_path": str(folder)})
        if settings["built"] is not None:
            # The file's name is the prefix: the engines that the provider builds of one model are several.
            built = Path(settings["built"])
            options.update({"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(built.parent)})
            options["trt_engine_cache_prefix"] = built.name
        return [(self.provider, {**options, **own}), ("CUDAExecutionProvider", {})]


def _tensorrt_number() -> int | None:
    """TensorRT's version as its library tells it; None where there is none."""
    for package in _LIBRARY_PACKAGES:
        if importlib.util.find_spec(package) is not None:
            importlib.import_module(package)
    for name in _LIBRARIES:
        try:
            return int(ctypes.CDLL(name).getInferLibVersion())
        except OSError:
            continue
    return None


def _dotted(number: int) -> str:
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"
