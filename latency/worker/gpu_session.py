"""An ONNX Runtime session on a GPU: a stream of our own, inputs and outputs on the device, CUDA events as the clock.

What runs where is read from ONNX Runtime's profile of the first inference. Its own switch against nodes on the
processor (``session.disable_cpu_ep_fallback``) refuses every network that computes a shape, since ONNX Runtime puts
such nodes on the processor on purpose (onnxruntime issue 17930); here only a node that carries data is refused.
"""

from __future__ import annotations

import contextlib
import functools
import math
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latency.worker.cuda_driver import Gpu, name_gpu, open_gpu
from latency.worker.engine import EngineError, check_names, check_provider, complete
from latency.worker.onnxruntime_profile import KernelRun, read_profile
from latency.worker.onnxruntime_session import import_onnxruntime, open_session, run_session, session_options
from latency.worker.stopwatch import switch_counter, time_on_gpu
from latency.worker.transfers import time_transfers

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

_OURS = {"device_id", "user_compute_stream", "has_user_compute_stream"}
_SHAPE_TYPES = {"int64", "bool"}  # what ONNX computes shapes, positions and conditions in
_FEW = 64  # elements of any type that are no layer's data


class GpuSession:
    """What the engines of ONNX Runtime's GPU providers have in common. Each says its provider and its options."""

    name = ""  # the engine's, in ``ENGINES``
    provider = ""
    memory = "cuda"

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._session: Any = None
        self._binding: Any = None
        self._run_options: Any = None
        self._gpu: Gpu | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._settings: dict[str, Any] = {}
        self._inputs: dict[str, np.ndarray] = {}
        self._outputs: list[str] = []
        self._model = b""
        self.profiled_runs = 1
        """How many inferences ``bind`` runs, whose ``kernels`` are then known."""
        self.kernels: list[KernelRun] = []

    @classmethod
    def version(cls) -> str:
        """The runtime and its version.

        Raises:
            EngineError: ONNX Runtime is not installed.
        """
        return f"onnxruntime {import_onnxruntime().__version__}"

    @classmethod
    def accelerator(cls, device: int) -> str | None:
        """The GPU's name and driver.

        Raises:
            EngineError: there is none.
        """
        return name_gpu(device)

    def load(self, model_bytes: bytes, settings: Mapping[str, Any]) -> None:
        """Makes a session on the GPU.

        Raises:
            EngineError: the model or a setting is refused, the provider cannot start, or there is no such GPU.
        """
        self._stack.close()
        settings = complete(settings)
        check_provider(self.provider, settings)
        _refuse_ours(settings["options"])
        onnxruntime = import_onnxruntime()
        options = session_options(settings)
        self._preload(onnxruntime)
        with contextlib.ExitStack() as stack:
            self._folder = tempfile.TemporaryDirectory()
            stack.callback(self._end_profile)
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(self._folder.name) / "first")
            gpu = self._open_gpu(onnxruntime, settings)
            stack.callback(gpu.close)
            own = {key: str(value) for key, value in settings["options"].items()}
            providers = self._providers(model_bytes, settings, own, gpu)
            place = {"device_id": str(settings["device"]), "user_compute_stream": str(gpu.stream)}
            session = open_session(model_bytes, options, [(name, {**its, **place}) for name, its in providers])
            stack.callback(self._forget)
            self._gpu, self._settings, self._session, self._model = gpu, settings, session, model_bytes
            self._outputs = [output.name for output in session.get_outputs()]
            # Without this a run ends only when the stream is empty, and the end event would be late.
            self._run_options = onnxruntime.RunOptions()
            self._run_options.add_run_config_entry("disable_synchronize_execution_providers", "1")
            self._stack = stack.pop_all()

    def bind(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Puts the inputs on the GPU, runs once, and keeps the outputs' places there.

        Raises:
            EngineError: the names are not the model's, or a node that carries data runs elsewhere.
        """
        session, gpu, onnxruntime = self._loaded(), self._open(), import_onnxruntime()
        check_names([entry.name for entry in session.get_inputs()], inputs)
        device = self._settings["device"]
        binding = session.io_binding()
        for name, array in inputs.items():
            place = functools.partial(onnxruntime.OrtValue.ortvalue_from_numpy, array, self.memory, device)
            binding.bind_ortvalue_input(name, run_session(place))
        for name in self._outputs:
            binding.bind_output(name, self.memory, device)
        for _ in range(self.profiled_runs if self._folder is not None else 1):
            run_session(lambda: session.run_with_iobinding(binding, self._run_options))
        gpu.synchronize()
        self._check_placement()
        # Outputs at fixed places: the timed inferences allocate nothing.
        values = binding.get_outputs()
        binding.clear_binding_outputs()
        for name, value in zip(self._outputs, values):  # noqa: B905 - zip(strict=) needs Python 3.10
            binding.bind_ortvalue_output(name, value)
        self._binding = binding
        self._inputs = dict(inputs)

    def time(self, count: int) -> list[list[int | None]]:
        """Runs ``count`` inferences on the bound inputs; ``[event_ns, None, switches]`` for each."""
        session, binding, options = self._loaded(), self._bound(), self._run_options
        switches = switch_counter(self._settings["threads"])
        gpu = self._open()
        return list(
            run_session(lambda: time_on_gpu(gpu, lambda: session.run_with_iobinding(binding, options), count, switches))
        )

    def infer(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One inference from and to the processor's memory: output name to array."""
        session = self._loaded()
        values = run_session(lambda: session.run(self._outputs, dict(inputs)))
        return dict(zip(self._outputs, values))  # noqa: B905 - zip(strict=) needs Python 3.10

    def describe(self) -> dict[str, Any]:
        """What really runs: runtime, provider and GPU, kernels by provider, inputs, outputs, and transfers."""
        session = self._loaded()
        kernels: dict[str, Counter[str]] = {}
        for run in self.kernels:
            if run.inference == 0:
                kernels.setdefault(run.provider, Counter())[run.kernel] += 1
        transfers = None
        if self._inputs:
            outputs = [value.numpy() for value in self._bound().get_outputs()]
            transfers = time_transfers(self._open(), self._inputs.values(), outputs)
        return {
            "runtime": self.version(),
            "provider": session.get_providers()[0],
            "accelerator": self.accelerator(self._settings["device"]),
            "settings": self._settings,
            "inputs": {entry.name: [entry.type, entry.shape] for entry in session.get_inputs()},
            "outputs": {entry.name: [entry.type, entry.shape] for entry in session.get_outputs()},
            "kernels": {provider: dict(counts) for provider, counts in kernels.items()},
            "transfers_ms": transfers,
        }

    def layers(self, count: int) -> list[dict[str, Any]]:
        """Time and kernel of each node over ``count`` inferences, with what it takes to launch it.

        They are profiled in a process of their own (``blocking_launches``), so that ``time`` keeps its speed.

        Raises:
            EngineError: no inputs are bound, or that process fails.
        """
        from latency.worker.blocking_launches import time_nodes

        self._loaded()
        self._bound()
        return time_nodes(self.name, self._model, self._settings, self._inputs, count)

    def artifact(self) -> tuple[bytes, dict[str, Any]] | None:
        """None: the model's own bytes are what runs."""
        return None

    def close(self) -> None:
        """Frees the session, then its stream."""
        self._stack.close()

    def _providers(
        self, model_bytes: bytes, settings: Mapping[str, Any], own: dict[str, str], gpu: Gpu
    ) -> list[tuple[str, dict[str, str]]]:
        """Providers in the order asked, each with its options; ``own`` are those of the settings."""
        return [(self.provider, own)]

    def _preload(self, onnxruntime: Any) -> None:
        """Loads CUDA's libraries from NVIDIA's pip packages, where no search path of the system has them."""
        if hasattr(onnxruntime, "preload_dlls"):
            onnxruntime.preload_dlls()

    def _open_gpu(self, onnxruntime: Any, settings: Mapping[str, Any]) -> Gpu:
        if self.provider not in onnxruntime.get_available_providers():
            open_session(b"", None, [(self.provider, {})])  # says which package is missing
        return open_gpu(settings["device"], spinning=settings["spinning"])

    def _check_placement(self) -> None:
        """Reads where the first inference ran; profiling ends with it."""
        if self._folder is None:
            return
        self.kernels = read_profile(Path(self._loaded().end_profiling()))
        self._end_profile()
        strays = [run for run in self.kernels if run.provider != self.provider and carries_data(run)]
        if strays:
            listed = ", ".join(f"{run.kernel} '{run.name}' on {run.provider}" for run in strays[:5])
            more = f" and {len(strays) - 5} more" if len(strays) > 5 else ""
            msg = (
                f"asked for {self.provider}, but not all of the network runs there: {listed}{more}; "
                "leave out the formats that make these nodes, or choose another engine"
            )
            raise EngineError(msg, kind="provider")
        if not any(run.provider == self.provider for run in self.kernels):
            msg = f"asked for {self.provider}, but no node runs there; choose another engine for this network"
            raise EngineError(msg, kind="provider")

    def _end_profile(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()
        self._folder = None

    def _forget(self) -> None:
        # In this order: what is bound lies in the session's memory, and the session uses the GPU's stream.
        self._binding = None
        self._session = self._run_options = self._gpu = None
        self._inputs, self.kernels, self._model = {}, [], b""

    def _loaded(self) -> Any:
        if self._session is None:
            raise EngineError("no model is loaded; load one first", kind="not_loaded")
        return self._session

    def _open(self) -> Gpu:
        if self._gpu is None:
            raise EngineError("no model is loaded; load one first", kind="not_loaded")
        return self._gpu

    def _bound(self) -> Any:
        if self._binding is None:
            raise EngineError("no inputs are bound; bind inputs before timing", kind="inputs")
        return self._binding


def carries_data(run: KernelRun) -> bool:
    """Whether a node makes a layer's data rather than shapes, positions or conditions."""
    return any(element not in _SHAPE_TYPES and math.prod(shape) > _FEW for element, shape in run.outputs)


def _refuse_ours(options: Mapping[str, str]) -> None:
    taken = sorted(_OURS & set(options))
    if taken:
        msg = f"the options {taken} are set by paretune; name the GPU with device, and leave the stream out"
        raise EngineError(msg, kind="settings")
