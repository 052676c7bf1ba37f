"""ONNX Runtime on the processor, or with any provider that needs no clock of its own."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latency.worker.engine import EngineError, check_names, complete
from latency.worker.onnx_model import read_facts
from latency.worker.onnxruntime_profile import layer_rows, read_profile
from latency.worker.onnxruntime_session import import_onnxruntime, open_session, run_session, session_options
from latency.worker.stopwatch import switch_counter, time_calls

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

_ENGINES_OF_THEIR_OWN = {
    "CUDAExecutionProvider": "onnxruntime-cuda",
    "TensorrtExecutionProvider": "onnxruntime-tensorrt",
}
_PROFILED_WARM_UP = 3  # inferences before those whose layers count


class OnnxRuntimeEngine:
    """One ONNX Runtime session."""

    def __init__(self) -> None:
        self._session: Any = None
        self._model = b""
        self._outputs: list[str] = []
        self._inputs: dict[str, np.ndarray] = {}
        self._settings: dict[str, Any] = {}

    @classmethod
    def version(cls) -> str:
        """The runtime and its version.

        Raises:
            EngineError: ONNX Runtime is not installed.
        """
        return f"onnxruntime {import_onnxruntime().__version__}"

    @classmethod
    def accelerator(cls, device: int) -> str | None:
        """None: it runs on the processor."""
        return None

    def load(self, model_bytes: bytes, settings: Mapping[str, Any]) -> None:
        """Makes a session that runs on the provider asked for, never silently on another.

        Raises:
            EngineError: the model or a setting is refused, or another provider would run it.
        """
        self.close()
        self._settings = complete(settings)
        _refuse_gpu(self._settings["provider"])
        _refuse_ignored(self._settings)
        self._session = self._open(model_bytes, session_options(self._settings))
        self._model = model_bytes
        self._outputs = [output.name for output in self._session.get_outputs()]

    def bind(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Sets the inputs that ``time`` runs with.

        Raises:
            EngineError: the names are not the model's.
        """
        check_names([entry.name for entry in self._loaded().get_inputs()], inputs)
        self._inputs = dict(inputs)

    def time(self, count: int) -> list[list[int | None]]:
        """Runs ``count`` inferences on the bound inputs; ``[wall_ns, thread_cpu_ns, switches]`` for each."""
        session, outputs, inputs = self._loaded(), self._outputs, self._bound()
        switches = switch_counter(self._settings["threads"])
        return list(run_session(lambda: time_calls(lambda: session.run(outputs, inputs), count, switches)))

    def infer(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One inference: output name to array."""
        session = self._loaded()
        values = run_session(lambda: session.run(self._outputs, dict(inputs)))
        return dict(zip(self._outputs, values))  # noqa: B905 - zip(strict=) needs Python 3.10

    def describe(self) -> dict[str, Any]:
        """What really runs: runtime, provider, settings, inputs and outputs with shapes."""
        session = self._loaded()
        return {
            "runtime": self.version(),
            "provider": session.get_providers()[0],
            "settings": self._settings,
            "inputs": {entry.name: [entry.type, entry.shape] for entry in session.get_inputs()},
            "outputs": {entry.name: [entry.type, entry.shape] for entry in session.get_outputs()},
        }

    def layers(self, count: int) -> list[dict[str, Any]]:
        """Time and kernel of each node over ``count`` inferences, from ONNX Runtime's own profile.

        A second session of the same model and options is profiled, so that ``time`` keeps its speed; the profile's
        clock ticks in microseconds.
        """
        self._loaded()
        inputs = self._bound()
        with tempfile.TemporaryDirectory() as folder:
            options = session_options(self._settings)
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(folder) / "layers")
            session = self._open(self._model, options)
            for _ in range(_PROFILED_WARM_UP + count):
                run_session(lambda: session.run(self._outputs, inputs))
            runs = read_profile(Path(session.end_profiling()))
        return layer_rows(runs, read_facts(self._model).operators, skip=_PROFILED_WARM_UP)

    def artifact(self) -> tuple[bytes, dict[str, Any]] | None:
        """None: the model's own bytes are what runs."""
        return None

    def close(self) -> None:
        """Frees the session."""
        self._session = None
        self._model = b""
        self._inputs = {}

    def _open(self, model_bytes: bytes, options: Any) -> Any:
        own = {key: str(value) for key, value in self._settings["options"].items()}
        return open_session(model_bytes, options, [(self._settings["provider"], own)])

    def _loaded(self) -> Any:
        if self._session is None:
            raise EngineError("no model is loaded; load one first", kind="not_loaded")
        return self._session

    def _bound(self) -> dict[str, np.ndarray]:
        if not self._inputs:
            raise EngineError("no inputs are bound; bind inputs before timing", kind="inputs")
        return self._inputs


def _refuse_gpu(provider: str) -> None:
    """A GPU is timed by events on it; the wall clock around a call would add the transfers."""
    if provider in _ENGINES_OF_THEIR_OWN:
        msg = (
            f"asked for {provider}, got the engine 'onnxruntime', which does not time GPUs; "
            f"choose engine '{_ENGINES_OF_THEIR_OWN[provider]}' (and install onnxruntime-gpu)"
        )
        raise EngineError(msg, kind="provider")


def _refuse_ignored(settings: Mapping[str, Any]) -> None:
    if settings["options"] and settings["provider"] == "CPUExecutionProvider":
        msg = f"CPUExecutionProvider has no options and would ignore {sorted(settings['options'])}; leave options out"
        raise EngineError(msg, kind="settings")
