"""How an ONNX Runtime session is opened: its options, the provider that must come, and why another one came."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latency.worker.engine import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PACKAGES = {
    "CUDAExecutionProvider": "onnxruntime-gpu[cuda,cudnn], in an environment without onnxruntime",
    "TensorrtExecutionProvider": "onnxruntime-gpu[cuda,cudnn] and TensorRT, in an environment without onnxruntime",
    "OpenVINOExecutionProvider": "onnxruntime-openvino, in an environment without onnxruntime",
}
_LIBRARIES = {"CUDAExecutionProvider": "cuda", "TensorrtExecutionProvider": "tensorrt"}


def import_onnxruntime() -> Any:
    """The package.

    Raises:
        EngineError: it is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        msg = f"ONNX Runtime cannot be imported ({error}); install onnxruntime for this Python"
        raise EngineError(msg, kind="runtime_missing") from error
    return onnxruntime


def session_options(settings: Mapping[str, Any]) -> Any:
    """Session options of an engine's settings.

    Raises:
        EngineError: a session entry is refused.
    """
    onnxruntime = import_onnxruntime()
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
        try:
            options.add_session_config_entry(key, value)
        except Exception as error:  # ONNX Runtime raises many types of its own
            msg = f"ONNX Runtime refuses the session entry {key} = {value!r}: {error}; correct it"
            raise EngineError(msg, kind="settings") from error
    return options


def open_session(model_bytes: bytes, options: Any, providers: Sequence[tuple[str, dict[str, str]]]) -> Any:
    """A session that the first of ``providers`` runs, with its options; never silently another.

    Raises:
        EngineError: the model or an option is refused, or another provider came.
    """
    onnxruntime = import_onnxruntime()
    asked = providers[0][0]
    _require_provider(asked, onnxruntime.get_available_providers(), onnxruntime)
    try:
        session = onnxruntime.InferenceSession(model_bytes, options, providers=list(providers), enable_fallback=0)
    except Exception as error:
        _require_library(asked, onnxruntime)
        own = dict(providers)[asked]
        with_options = f" with the options {own}" if own else ""
        what = f"the model on {asked}{with_options}"
        msg = f"ONNX Runtime {onnxruntime.__version__} does not load {what}: {_one_line(error)}"
        raise EngineError(msg, kind="model_refused") from error
    # onnxruntime-gpu lists providers that cannot start and falls back; the session tells which one came.
    _require_provider(asked, session.get_providers()[:1], onnxruntime)
    return session


def run_session(call: Any) -> Any:
    """Runs ``call``; what ONNX Runtime raises becomes an EngineError.

    Raises:
        EngineError: the inference failed.
    """
    try:
        return call()
    except EngineError:
        raise
    except Exception as error:
        msg = f"the inference failed: {_one_line(error)}; check the inputs' shapes and types"
        raise EngineError(msg, kind="inference") from error


def _require_provider(asked: str, came: list[str], onnxruntime: Any) -> None:
    if asked in came:
        return
    reason = _missing_library(asked, onnxruntime) if asked in onnxruntime.get_available_providers() else None
    msg = (
        f"asked for {asked}, got {', '.join(came) or 'none'} from onnxruntime {onnxruntime.__version__}"
        f"{f' ({reason})' if reason else ''}; install {_package(asked)}, or change the profile's provider"
    )
    raise EngineError(msg, kind="provider")


def _require_library(asked: str, onnxruntime: Any) -> None:
    reason = _missing_library(asked, onnxruntime)
    if reason is not None:
        msg = f"asked for {asked}, got none since it cannot start ({reason}); install {_package(asked)}"
        raise EngineError(msg, kind="provider")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _package(provider: str) -> str:
    return _PACKAGES.get(provider, f"the ONNX Runtime package that holds {provider}")


def _missing_library(provider: str, onnxruntime: Any) -> str | None:
    """Why the provider's library cannot be loaded, in the system's words; None if it can, or is not a library.

    ONNX Runtime tells this on standard error only.
    """
    if provider not in _LIBRARIES or sys.platform == "win32":
        return None
    folder = Path(onnxruntime.__file__).parent / "capi"
    try:
        ctypes.CDLL(str(folder / "libonnxruntime_providers_shared.so"), mode=ctypes.RTLD_GLOBAL)
        ctypes.CDLL(str(folder / f"libonnxruntime_providers_{_LIBRARIES[provider]}.so"))
    except OSError as error:
        return str(error)
    return None
