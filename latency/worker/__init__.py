"""What travels to a target: the engines, and the loop that serves them over JSON lines.

Only the standard library, numpy and the engines' own runtimes are imported here, and it runs on Python 3.9.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from latency.worker.engine import Engine

_CLASSES = {
    "onnxruntime": ("onnxruntime_engine", "OnnxRuntimeEngine"),
    "onnxruntime-cuda": ("onnxruntime_cuda_engine", "OnnxRuntimeCudaEngine"),
    "onnxruntime-tensorrt": ("onnxruntime_tensorrt_engine", "OnnxRuntimeTensorRtEngine"),
    "tensorrt": ("tensorrt_engine", "TensorRtEngine"),
    "tensorrt-rtx": ("tensorrt_rtx_engine", "TensorRtRtxEngine"),
}


class _Engines(Mapping[str, "type[Engine]"]):
    """Engine name to its class, imported when it is asked for: a worker starts often, and needs one."""

    def __getitem__(self, name: str) -> type[Engine]:
        module, attribute = _CLASSES[name]
        return cast("type[Engine]", getattr(importlib.import_module(f"{__name__}.{module}"), attribute))

    def __iter__(self) -> Iterator[str]:
        return iter(_CLASSES)

    def __len__(self) -> int:
        return len(_CLASSES)

    def __contains__(self, name: object) -> bool:
        return name in _CLASSES


ENGINES = _Engines()
