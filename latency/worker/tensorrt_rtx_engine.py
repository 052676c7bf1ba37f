"""TensorRT for RTX: TensorRT's API, but kernels are compiled on the device when a context is made.

It times no kernels when it builds, so there is no timing cache; what it compiled is kept in a runtime cache instead.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latency.worker.built_file import write_whole
from latency.worker.engine import EngineError
from latency.worker.tensorrt_build import create, require
from latency.worker.tensorrt_engine import TensorRtEngine

if TYPE_CHECKING:
    from collections.abc import Callable


class TensorRtRtxEngine(TensorRtEngine):
    """One engine of TensorRT for RTX on one GPU."""

    module = "tensorrt_rtx"
    provider = "TensorRT-RTX"
    package = "tensorrt-rtx-cu13 with its -bindings and -libs"

    def __init__(self) -> None:
        super().__init__()
        self._cache: Any = None

    def _deserialize(self) -> Any:
        return self._on_known_gpu(super()._deserialize)

    def _make_context(self) -> Any:
        return self._on_known_gpu(self._compile)

    def _on_known_gpu(self, make: Callable[[], Any]) -> Any:
        """What ``make`` returns; a failure on a GPU that TensorRT-RTX does not know says so."""
        try:
            return make()
        except EngineError as error:
            known, ours = self._known_gpus()
            if ours in known:
                raise
            msg = (
                f"{self.version()} has kernels for {', '.join(known)}, this GPU is {ours}; "
                f"choose engine 'tensorrt' or 'onnxruntime-cuda' ({error})"
            )
            raise EngineError(msg, kind="accelerator_missing") from error

    def _known_gpus(self) -> tuple[list[str], str]:
        """The kinds of GPU that it builds for, and the one that is there."""
        known = sorted(name for name in self._trt.ComputeCapability.__members__ if name.startswith("SM"))
        return known, f"SM{self._open().capability.replace('.', '')}"

    def _capability(self) -> str | None:
        # Left alone it builds for several kinds at once, and for none older than Ampere.
        known, ours = self._known_gpus()
        return ours if ours in known else None

    def _compile(self) -> Any:
        trt, log, kind = self._trt, self._log, "runtime_refused"
        config = create(self._engine.create_runtime_config, "make a runtime configuration", log, kind=kind)
        # Compiled in the background, kernels would change between two samples.
        config.dynamic_shapes_kernel_specialization_strategy = trt.DynamicShapesKernelSpecializationStrategy.EAGER
        path = self._runtime_cache()
        if path is not None:
            self._cache = create(config.create_runtime_cache, "make a runtime cache", log, kind=kind)
            if Path(path).is_file():
                self._cache.deserialize(Path(path).read_bytes())  # of another GPU or driver: it stays empty
            require(config.set_runtime_cache(self._cache), "take a runtime cache", log, kind=kind)
        make = functools.partial(self._engine.create_execution_context, config)
        return create(make, "make a context", log, kind=kind)

    def _after_first_run(self) -> None:
        path = self._runtime_cache()
        if path is not None:
            serialized = require(self._cache.serialize(), "write its runtime cache", self._log, kind="inference")
            write_whole(path, bytes(serialized))

    def _timing_cache(self) -> str | None:
        return None

    def _runtime_cache(self) -> str | None:
        path = self._settings["timing_cache"]
        return None if path is None else str(path)

    def _cache_note(self) -> str:
        path = self._runtime_cache()
        note = f"compiled kernels in {path}" if path else "none was asked for"
        return f"{note}; TensorRT-RTX times no kernels when it builds, so it has no timing cache"

    def _forget(self) -> None:
        super()._forget()
        self._cache = None
