"""Whatever ONNX Runtime falls back to, the session that comes is the one that was asked for, or an error."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from latency.worker.engine import EngineError
from latency.worker.onnxruntime_session import open_session, run_session, session_options

ASKED = "CUDAExecutionProvider"
SETTINGS: dict[str, Any] = {"threads": 2, "spinning": True, "session_entries": {"session.disable_prepacking": "1"}}


class Runtime:
    """onnxruntime-gpu on a machine without CUDA: it lists the provider, and runs on the processor."""

    __version__ = "1.31.1"

    def __init__(self, folder: Path, *, came: str | None) -> None:
        self.__file__ = str(folder / "__init__.py")
        self._came = came
        (folder / "capi").mkdir()
        for name in ("shared", "cuda"):
            (folder / "capi" / f"libonnxruntime_providers_{name}.so").write_text("not a library")

    def get_available_providers(self) -> list[str]:
        return [ASKED, "CPUExecutionProvider"]

    def InferenceSession(self, model: bytes, options: Any, *, providers: Any, enable_fallback: int) -> Any:  # noqa: N802
        assert enable_fallback == 0
        if self._came is None:
            raise RuntimeError("EP Error\nin two lines")
        return SimpleNamespace(get_providers=lambda: [self._came])


@pytest.mark.parametrize(
    ("came", "words"),
    [
        (
            "CPUExecutionProvider",
            r"asked for CUDAExecutionProvider, got CPUExecutionProvider from onnxruntime 1\.31",
        ),
        (None, "asked for CUDAExecutionProvider, got none since it cannot start"),
    ],
)
def test_provider_that_cannot_start_is_said_with_the_systems_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, came: str | None, words: str
) -> None:
    monkeypatch.setattr("latency.worker.onnxruntime_session.import_onnxruntime", lambda: Runtime(tmp_path, came=came))
    with pytest.raises(EngineError, match=words) as caught:
        open_session(b"", None, [(ASKED, {})])
    assert caught.value.kind == "provider"
    assert "libonnxruntime_providers_shared.so: " in str(caught.value)  # what the system's loader says
    assert "install onnxruntime-gpu[cuda,cudnn]" in str(caught.value)


def test_provider_that_came_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latency.worker.onnxruntime_session.import_onnxruntime", lambda: Runtime(tmp_path, came=ASKED))
    assert open_session(b"", None, [(ASKED, {})]).get_providers() == [ASKED]


def test_settings_reach_the_session() -> None:
    options = session_options(SETTINGS)
    assert options.intra_op_num_threads == 2
    assert options.get_session_config_entry("session.disable_prepacking") == "1"
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "1"
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"


def test_session_entry_that_is_refused_is_named() -> None:
    with pytest.raises(EngineError, match="refuses the session entry  = 'x'") as caught:
        session_options({**SETTINGS, "session_entries": {"": "x"}})
    assert caught.value.kind == "settings"


def test_failed_inference_is_a_sentence() -> None:
    def fail() -> None:
        raise RuntimeError("Got invalid dimensions\n for input: x")

    with pytest.raises(EngineError, match="the inference failed: Got invalid dimensions for input: x") as caught:
        run_session(fail)
    assert caught.value.kind == "inference"


def test_our_own_error_stays_what_it_is() -> None:
    def fail() -> None:
        raise EngineError("cuStreamSynchronize returned CUDA_ERROR_700", kind="cuda")

    with pytest.raises(EngineError) as caught:
        run_session(fail)
    assert caught.value.kind == "cuda"
