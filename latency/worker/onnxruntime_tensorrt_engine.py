"""ONNX Runtime's TensorRT provider (onnxruntime-gpu and TensorRT): TensorRT builds and runs the network's parts.

The provider's networks are weakly typed: where one layer is in 16 bits, TensorRT may run others in 16 bits too. The
engine 'tensorrt' keeps every layer's format as the policy says.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latency.worker.built_file import locked, write_whole
from latency.worker.gpu_session import GpuSession
from latency.worker.onnx_model import read_facts
from latency.worker.onnxruntime_session import import_onnxruntime

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from latency.worker.cuda_driver import Gpu

_LIBRARIES = ("libnvinfer.so.11", "libnvinfer.so.10")
_LIBRARY_PACKAGES = ("tensorrt_libs",)  # NVIDIA's pip packages: importing one loads what no search path has


class OnnxRuntimeTensorRtEngine(GpuSession):
    """A session whose nodes TensorRT engines run. What TensorRT leaves to CUDA or the processor is an error."""

    name = "onnxruntime-tensorrt"
    provider = "TensorrtExecutionProvider"

    def __init__(self) -> None:
        super().__init__()
        self._building = contextlib.ExitStack()

    @classmethod
    def version(cls) -> str:
        """The runtime and its version, with TensorRT's where its library is found.

        Raises:
            EngineError: ONNX Runtime is not installed.
        """
        runtime = f"onnxruntime {import_onnxruntime().__version__}"
        number = _tensorrt_number()
        return runtime if number is None else f"{runtime}, TensorRT {_dotted(number)}"

    def load(self, model_bytes: bytes, settings: Mapping[str, Any]) -> None:
        """As for every GPU provider; where workers share what is built, one builds and the others wait for it.

        Raises:
            EngineError: the model or a setting is refused, the provider cannot start, or there is no such GPU.
        """
        self.close()
        if settings.get("built") is not None:
            # The provider's files are not safe for several processes at once; it builds in load and in the first run.
            self._building.enter_context(locked(settings["built"]))
        try:
            super().load(model_bytes, settings)
        except BaseException:
            self._building.close()
            raise

    def bind(self, inputs: Mapping[str, np.ndarray]) -> None:
        """As for every GPU provider; what is built for these inputs is built now.

        Raises:
            EngineError: the names are not the model's, or a node that carries data runs elsewhere.
        """
        try:
            super().bind(inputs)
            if self._settings["timing_cache"] is not None:
                _pack(self._settings["timing_cache"])
        finally:
            self._building.close()

    def close(self) -> None:
        """Frees the session, then its stream."""
        self._building.close()
        super().close()

    def describe(self) -> dict[str, Any]:
        """What really runs, and that TensorRT may have chosen other formats than the policy's."""
        return {**super().describe(), "typing": "weak"}

    def _preload(self, onnxruntime: Any) -> None:
        super()._preload(onnxruntime)
        _tensorrt_number()

    def _providers(
        self, model_bytes: bytes, settings: Mapping[str, Any], own: dict[str, str], gpu: Gpu
    ) -> list[tuple[str, dict[str, str]]]:
        """TensorRT with what the model's formats need; CUDA behind it for what carries no data."""
        facts = read_facts(model_bytes)
        options = {
            "trt_int8_enable": str(int(facts.quantized)),
            "trt_fp16_enable": str(int(facts.half)),
            "trt_sparsity_enable": str(int(settings["sparse_weights"])),
        }
        if settings["timing_cache"] is not None:
            folder = _unpack(settings["timing_cache"], gpu.capability)
            options.update({"trt_timing_cache_enable": "1", "trt_timing_cache_path": str(folder)})
        if settings["built"] is not None:
            # A folder of the model's own: the provider tells models apart by their structure, not by their weights
            # (onnxruntime issue 6455).
            folder = Path(f"{settings['built']}.{hashlib.sha256(model_bytes).hexdigest()[:16]}")
            folder.mkdir(exist_ok=True)
            options.update({"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(folder)})
        return [(self.provider, {**options, **own}), ("CUDAExecutionProvider", {})]


def _unpack(timing_cache: str, capability: str) -> Path:
    """The folder of a timing cache file, under the name that the provider reads: one for each kind of GPU."""
    folder = Path(f"{timing_cache}.d")
    folder.mkdir(exist_ok=True)
    if Path(timing_cache).is_file():
        name = f"TensorrtExecutionProvider_cache_sm{capability.replace('.', '')}.timing"
        write_whole(str(folder / name), Path(timing_cache).read_bytes())
    return folder


def _pack(timing_cache: str) -> None:
    """Makes the provider's timing cache one file again."""
    for file in Path(f"{timing_cache}.d").glob("*.timing"):
        write_whole(timing_cache, file.read_bytes())


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
