"""ONNX Runtime with any of its execution providers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from latency.worker.engine import EngineError
from latency.worker.stopwatch import switch_counter, time_calls

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

_PACKAGES = {
    "CUDAExecutionProvider": "onnxruntime-gpu, in an environment without onnxruntime",
    "TensorrtExecutionProvider": "onnxruntime-gpu and TensorRT, in an environment without onnxruntime",
    "OpenVINOExecutionProvider": "onnxruntime-openvino, in an environment without onnxruntime",
}


class OnnxRuntimeEngine:
    """One ONNX Runtime session."""

    def __init__(self) -> None:
        self._session: Any = None
        self._outputs: list[str] = []
        self._inputs: dict[str, np.ndarray] = {}
        self._settings: dict[str, Any] = {}

    @classmethod
    def version(cls) -> str:
        """The runtime and its version.

        Raises:
            EngineError: ONNX Runtime is not installed.
        """
        try:
            import onnxruntime
        except ImportError as error:
            msg = f"ONNX Runtime cannot be imported ({error}); install onnxruntime for this Python"
            raise EngineError(msg, kind="runtime_missing") from error
        return f"onnxruntime {onnxruntime.__version__}"

    @classmethod
    def accelerator(cls, device: int) -> str | None:
        """None: it runs on the processor."""
        return None

    def load(self, model_bytes: bytes, settings: Mapping[str, Any]) -> None:
        """Makes a session that runs on the provider asked for, never silently on another.

        Raises:
            EngineError: the model or a setting is refused, or another provider would run it.
        """
        self.version()
        import onnxruntime

        provider = settings["provider"]
        _require_provider(provider, onnxruntime.get_available_providers(), onnxruntime.__version__)
        try:
            session = onnxruntime.InferenceSession(model_bytes, _session_options(settings), providers=[provider])
        except Exception as error:  # ONNX Runtime raises many types of its own
            msg = f"ONNX Runtime {onnxruntime.__version__} does not load the model: {error}"
            raise EngineError(msg, kind="model_refused") from error
        # onnxruntime-gpu lists providers that cannot start and falls back; the session tells which one came.
        _require_provider(provider, session.get_providers()[:1], onnxruntime.__version__)
        self._session = session
        self._outputs = [output.name for output in session.get_outputs()]
        self._settings = dict(settings)

    def bind(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Sets the inputs that ``time`` runs with.

        Raises:
            EngineError: the names are not the model's.
        """
        names = sorted(entry.name for entry in self._loaded().get_inputs())
        if sorted(inputs) != names:
            msg = f"the model's inputs are {names}, got {sorted(inputs)}; pass these inputs by name"
            raise EngineError(msg, kind="inputs")
        self._inputs = dict(inputs)

    def time(self, count: int) -> list[list[int | None]]:
        """Runs ``count`` inferences on the bound inputs; ``[wall_ns, thread_cpu_ns, switches]`` for each."""
        session, outputs, inputs = self._loaded(), self._outputs, self._inputs
        if not inputs:
            raise EngineError("no inputs are bound; bind inputs before timing", kind="inputs")
        return time_calls(lambda: session.run(outputs, inputs), count, switch_counter(self._settings["threads"]))

    def infer(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One inference: output name to array."""
        values = self._loaded().run(self._outputs, dict(inputs))
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
        """Not yet."""
        raise EngineError("layers", kind="unsupported")

    def artifact(self) -> tuple[bytes, dict[str, Any]] | None:
        """None: the model's own bytes are what runs."""
        return None

    def close(self) -> None:
        """Frees the session."""
        self._session = None
        self._inputs = {}

    def _loaded(self) -> Any:
        if self._session is None:
            raise EngineError("no model is loaded; load one first", kind="not_loaded")
        return self._session


def _session_options(settings: Mapping[str, Any]) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = settings["threads"]
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    spinning = settings["spinning"]
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spinning else "0")
    if spinning and settings["threads"] > 1:
        # Two sessions take turns in one process: the idle one's threads must not spin on the other one's cores.
        options.add_session_config_entry("session.force_spinning_stop", "1")
    for key, value in settings["session_entries"].items():
        options.add_session_config_entry(key, value)
    return options


def _require_provider(asked: str, came: list[str], version: str) -> None:
    if asked not in came:
        package = _PACKAGES.get(asked, f"the ONNX Runtime package that holds {asked}")
        msg = (
            f"asked for {asked}, got {', '.join(came) or 'none'} from onnxruntime {version}; "
            f"install {package}, or change the profile's provider"
        )
        raise EngineError(msg, kind="provider")
