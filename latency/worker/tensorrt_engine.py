"""NVIDIA's TensorRT (10 and 11) without ONNX Runtime between: the engine that it builds is what is timed.

An engine is built for exactly the shapes of the bound inputs, so ``bind`` builds it, and ``load`` only prepares.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latency.worker.built_file import read_or_build
from latency.worker.cuda_driver import Gpu, name_gpu, open_gpu
from latency.worker.engine import EngineError, check_names, check_provider, complete
from latency.worker.onnx_model import read_facts
from latency.worker.stopwatch import switch_counter, time_on_gpu
from latency.worker.tensorrt_build import ParsedNetwork, create, make_log
from latency.worker.tensorrt_layers import inspected_layers, layer_rows, make_profiler
from latency.worker.tensorrt_run import BoundContext
from latency.worker.transfers import time_transfers

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

_PROFILED_WARM_UP = 3  # inferences before those whose layers count


class TensorRtEngine:
    """One TensorRT engine on one GPU."""

    module = "tensorrt"
    provider = "TensorRT"
    package = "tensorrt-cu13 (on a Jetson, what JetPack brings)"

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._trt: Any = None
        self._log: Any = None
        self._gpu: Gpu | None = None
        self._network: ParsedNetwork | None = None
        self._runtime: Any = None
        self._engine: Any = None
        self._bound: BoundContext | None = None
        self._model = b""
        self._serialized = b""
        self._settings: dict[str, Any] = {}

    @classmethod
    def version(cls) -> str:
        """The runtime and its version.

        Raises:
            EngineError: it is not installed.
        """
        return f"{cls.module} {cls._import().__version__}"

    @classmethod
    def accelerator(cls, device: int) -> str | None:
        """The GPU's name and driver.

        Raises:
            EngineError: there is none.
        """
        return name_gpu(device)

    def load(self, model_bytes: bytes, settings: Mapping[str, Any]) -> None:
        """Opens the GPU, and parses the model unless an engine lies where workers share it.

        Raises:
            EngineError: TensorRT or the GPU is missing, or the model or a setting is refused.
        """
        self.close()
        settings = complete(settings)
        check_provider(self.provider, settings)
        trt = self._import()
        with contextlib.ExitStack() as stack:
            gpu = open_gpu(settings["device"], spinning=settings["spinning"])
            stack.callback(gpu.close)
            stack.callback(self._forget)
            self._trt, self._gpu, self._settings, self._model = trt, gpu, settings, model_bytes
            self._log = make_log(trt)
            if settings["built"] is None or not Path(settings["built"]).is_file():
                self._network = ParsedNetwork(trt, model_bytes, self._log)
            self._stack = stack.pop_all()

    def bind(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Builds the engine for these inputs, or takes the one that was built, and puts the inputs on the GPU.

        Raises:
            EngineError: the names, types or shapes are not the model's, or TensorRT does not build or run it.
        """
        gpu = self._open()
        gpu.make_current()
        if self._engine is None:
            if self._network is not None:
                check_names(list(self._network.inputs), inputs)
            self._serialized = self._build({name: tuple(array.shape) for name, array in inputs.items()})
            self._network = None
            self._engine = self._deserialize()
        bound = self._bind(inputs)
        if self._bound is not None:
            self._bound.free()
        self._bound = bound
        self._bound.enqueue()
        gpu.synchronize()
        self._after_first_run()

    def time(self, count: int) -> list[list[int | None]]:
        """Runs ``count`` inferences on the bound inputs; ``[event_ns, None, switches]`` for each."""
        gpu, enqueue = self._open(), self._ready().enqueue
        return time_on_gpu(gpu, enqueue, count, switch_counter(self._settings["threads"]))

    def infer(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One inference on inputs of the bound shapes: output name to array."""
        return self._ready().infer(inputs)

    def describe(self) -> dict[str, Any]:
        """What really runs: runtime, GPU, engine, inputs, outputs, and transfers."""
        bound = self._ready()
        return {
            "runtime": self.version(),
            "provider": self.provider,
            "accelerator": self.accelerator(self._settings["device"]),
            "settings": self._settings,
            "inputs": {name: [str(array.dtype), list(array.shape)] for name, array in bound.inputs.items()},
            "outputs": {name: [str(array.dtype), list(array.shape)] for name, array in bound.outputs.items()},
            "engine_bytes": len(self._serialized),
            "layers": len(inspected_layers(self._trt, self._engine, bound.context)),
            "cache": self._cache_note(),
            "transfers_ms": time_transfers(self._open(), bound.inputs.values(), bound.outputs.values()),
        }

    def layers(self, count: int) -> list[dict[str, Any]]:
        """Time and kernel of each layer of the engine over ``count`` inferences, from TensorRT's profiler.

        A second context is profiled, so that ``time`` keeps its speed.
        """
        bound, gpu = self._ready(), self._open()
        profiled = self._bind(bound.inputs)
        try:
            for _ in range(_PROFILED_WARM_UP):
                profiled.enqueue()
            gpu.synchronize()
            profiler = make_profiler(self._trt)
            profiled.context.profiler = profiler
            for _ in range(count):
                profiled.enqueue()
                gpu.synchronize()
            inspected = inspected_layers(self._trt, self._engine, bound.context)
        finally:
            profiled.free()
        return layer_rows(profiler.times_ms, inspected, read_facts(self._model).operators, count)

    def artifact(self) -> tuple[bytes, dict[str, Any]] | None:
        """The serialized engine, which runs with this runtime's version on this kind of GPU only."""
        self._ready()
        facts = {
            "kind": "tensorrt-engine",
            "runtime": self.version(),
            "accelerator": self.accelerator(self._settings["device"]),
        }
        return self._serialized, facts

    def close(self) -> None:
        """Frees the engine, then its buffers and stream."""
        self._stack.close()

    @classmethod
    def _import(cls) -> Any:
        try:
            return importlib.import_module(cls.module)
        except (ImportError, OSError) as error:  # the bindings load TensorRT's libraries when they are imported
            msg = f"{cls.provider} cannot be imported ({error}); install {cls.package} for this Python"
            raise EngineError(msg, kind="runtime_missing") from error

    def _build(self, shapes: dict[str, tuple[int, ...]]) -> bytes:
        """The engine: from the file that workers share, or built."""
        settings = self._settings
        depends_on = {
            "model": hashlib.sha256(self._model).hexdigest(),
            "shapes": sorted((name, list(shape)) for name, shape in shapes.items()),
            "sparse_weights": settings["sparse_weights"],
            "options": sorted(settings["options"].items()),
            "runtime": self.version(),
            "accelerator": self.accelerator(settings["device"]),
        }

        def build() -> bytes:
            network = self._network or ParsedNetwork(self._trt, self._model, self._log)
            return network.build(
                shapes,
                sparse_weights=settings["sparse_weights"],
                timing_cache=self._timing_cache(),
                options=settings["options"],
                capability=self._capability(),
            )

        return read_or_build(settings["built"], json.dumps(depends_on, sort_keys=True), build)

    def _deserialize(self) -> Any:
        log, kind = self._log, "runtime_refused"
        self._runtime = create(functools.partial(self._trt.Runtime, log), "start", log, kind=kind)
        what = f"load its engine on {self.accelerator(self._settings['device'])}"
        make = functools.partial(self._runtime.deserialize_cuda_engine, self._serialized)
        return create(make, what, log, kind=kind)

    def _bind(self, inputs: Mapping[str, np.ndarray]) -> BoundContext:
        context = self._make_context()
        # The engine is built with details for the inspector; ranges for NVIDIA's profilers would cost time in each run.
        context.nvtx_verbosity = self._trt.ProfilingVerbosity.NONE
        return BoundContext(self._trt, self._engine, context, self._open(), self._log, inputs)

    def _make_context(self) -> Any:
        return create(self._engine.create_execution_context, "make a context", self._log, kind="runtime_refused")

    def _after_first_run(self) -> None:
        """For a runtime that keeps what a first run made."""

    def _capability(self) -> str | None:
        """The kind of GPU to build for, where the builder does not take the one that is there."""
        return None

    def _timing_cache(self) -> str | None:
        path = self._settings["timing_cache"]
        return None if path is None else str(path)

    def _cache_note(self) -> str:
        path = self._timing_cache()
        return f"kernel timings in {path}" if path else "none was asked for"

    def _forget(self) -> None:
        # Contexts go before their engine, engines before their runtime, and all before the stream, closed next.
        if self._bound is not None:
            self._bound.free()
        self._bound = None
        self._engine = None
        self._runtime = None
        self._network = self._log = self._trt = self._gpu = None
        self._model = self._serialized = b""

    def _open(self) -> Gpu:
        if self._gpu is None:
            raise EngineError("no model is loaded; load one first", kind="not_loaded")
        return self._gpu

    def _ready(self) -> BoundContext:
        self._open()
        if self._bound is None:
            raise EngineError("no inputs are bound; bind inputs before timing", kind="inputs")
        return self._bound
