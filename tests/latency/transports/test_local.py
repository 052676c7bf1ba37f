"""A local worker that misbehaves is told apart by how, and none outlives whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from latency.errors import WorkerError
from latency.transports.local import LocalTransport

Faulty = Callable[[str], LocalTransport]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("half_line", r"ended in the middle of an answer .*18 bytes.* during 'hello'; exit status 3"),
        ("garbage", r"not JSON \('Segmentation what\?'"),
        ("out_of_turn", "answered out of turn"),
    ],
)
@pytest.mark.usefixtures("armed")
def test_answer_that_is_none_says_how(faulty: Faulty, fault: str, words: str) -> None:
    with faulty(fault) as transport, pytest.raises(WorkerError, match=words):
        transport.start().request("hello", 60, engine="onnxruntime")


def test_stray_prints_stay_off_the_channel(
    faulty: Faulty, baseline: bytes, feeds: dict[str, np.ndarray], tmp_path: Path
) -> None:
    with faulty("prints") as transport:
        connection = transport.start()
        inputs = tmp_path / "in.npz"
        np.savez(inputs, *feeds.values())
        connection.request("inputs", 60, path=str(inputs), names=list(feeds))
        settings = {"provider": "CPUExecutionProvider", "threads": 1, "spinning": True, "session_entries": {}}
        path = transport.put(baseline, "model.onnx")
        assert connection.request("load", 60, slot="a", engine="onnxruntime", path=path, settings=settings)["ok"]
        stderr = transport.get(transport.path("stderr-1.txt"))
    assert b"a stray line" in stderr
    assert b"a native stray line" in stderr


def test_error_quotes_the_last_words() -> None:
    with LocalTransport([sys.executable, "-c", "raise SystemExit('no room left on the board')"]) as transport:
        connection = transport.start()
        with pytest.raises(WorkerError, match="its last words: no room left on the board"):
            connection.request("hello", 60, engine="onnxruntime")


def test_command_that_does_not_exist_is_named() -> None:
    with (
        LocalTransport(["/no/such/python"]) as transport,
        pytest.raises(WorkerError, match="'/no/such/python': No such"),
    ):
        transport.start()


def test_leaving_ends_workers_and_removes_the_folder() -> None:
    with LocalTransport() as transport:
        folder = Path(transport.path("x")).parent
        pids = [transport.start().request("hello", 60, engine="onnxruntime")["pid"] for _ in range(2)]
        assert folder.stat().st_mode & 0o077 == 0, "others may not look inside"
    assert not folder.exists()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    with pytest.raises(RuntimeError, match="not open"):
        transport.path("x")


@pytest.mark.parametrize("busy", [False, True])
def test_worker_ends_when_its_parent_is_killed(busy: bool, faulty: Faulty, armed: Path, tmp_path: Path) -> None:
    worker = str(Path(__file__).parents[1] / "faulty_worker.py")
    script = f"""
import sys, time
import numpy as np
from latency.transports.local import LocalTransport
command = [sys.executable, {worker!r}, "{{archive}}", "hangs", {str(armed)!r}]
with LocalTransport(command) as transport:
    connection = transport.start()
    pid = connection.request("hello", 60, engine="onnxruntime")["pid"]
    if {busy}:
        connection.post("time_interleaved", slots=["a", "b"], budget_s=0, min_rounds=1, limit_s=0)
        time.sleep(0.3)
    print(pid, flush=True)
    time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    os.kill(pid, 0)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 30
    while alive(pid):
        assert time.monotonic() < deadline, "the worker outlived its parent"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether the process runs; one that ended and that nobody has waited for does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
