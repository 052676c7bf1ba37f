"""What every transport must do. A new transport joins the list and passes as it is."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latency.errors import OperationError, WorkerError
from latency.transports import Connection, Transport
from latency.transports.emulated import EmulatedTransport
from latency.transports.local import LocalTransport
from latency.transports.ssh import SshTransport

Maker = Callable[[pytest.FixtureRequest], Transport]
TRANSPORTS: dict[str, Maker] = {
    "local": lambda _request: LocalTransport(),
    "asyncssh": lambda request: SshTransport(request.getfixturevalue("asyncssh_server").reach()),
    "emulated": lambda request: EmulatedTransport(request.getfixturevalue("fake_arm").reach),
    "sshd": lambda request: SshTransport(request.getfixturevalue("sshd").reach()),
}
TIMEOUT_S = 60.0
SETTINGS = {"provider": "CPUExecutionProvider", "threads": 1, "spinning": True, "session_entries": {}}


@pytest.fixture(params=sorted(TRANSPORTS))
def transport(request: pytest.FixtureRequest) -> Iterator[Transport]:
    with TRANSPORTS[request.param](request) as opened:
        yield opened


@pytest.fixture
def connection(transport: Transport, baseline: bytes, feeds: dict[str, np.ndarray], tmp_path: Path) -> Connection:
    """A worker with inputs and one model in slot ``a`` and in slot ``b``."""
    inputs = tmp_path / "inputs.npz"
    np.savez(inputs, *feeds.values())
    connection = transport.start()
    connection.request("inputs", TIMEOUT_S, path=transport.put(inputs.read_bytes(), "in.npz"), names=list(feeds))
    path = transport.put(baseline, "model.onnx")
    for slot in ("a", "b"):
        connection.request("load", TIMEOUT_S, slot=slot, engine="onnxruntime", path=path, settings=SETTINGS)
    return connection


def timing(budget_s: float) -> dict[str, Any]:
    return {"slots": ["a", "b"], "budget_s": budget_s, "min_rounds": 2, "limit_s": 60.0}


def test_worker_says_hello(transport: Transport) -> None:
    hello = transport.start().request("hello", TIMEOUT_S, engine="onnxruntime")
    assert hello["pid"] > 0
    assert hello["runtime"].startswith("onnxruntime ")
    assert hello["protocol"] == 1


def test_two_models_are_timed_in_turn(connection: Connection) -> None:
    warmed = connection.request("warm_up", TIMEOUT_S, slots=["a", "b"], budget_s=0.05)
    assert warmed["inferences"] >= 1
    answer = connection.request("time_interleaved", TIMEOUT_S, **timing(0.02))
    first, second = answer["samples"]
    stays, rounds = answer["stays"], answer["rounds"]
    assert rounds >= 2
    assert [len(first), len(second)] == [2 * stay * rounds for stay in stays]
    assert all(len(row) == 3 and row[0] > 0 for row in first + second)


def test_outputs_come_back_as_a_file(connection: Connection, transport: Transport, tmp_path: Path) -> None:
    inputs = tmp_path / "other.npz"
    np.savez(inputs, np.ones((3, 8), np.float32))
    path = transport.put(inputs.read_bytes(), "other.npz")
    fields = {"slot": "a", "path": path, "names": ["x"], "outputs_path": transport.path("out.npz")}
    assert connection.request("infer", TIMEOUT_S, **fields)["names"] == ["y"]
    (tmp_path / "out.npz").write_bytes(transport.get(transport.path("out.npz")))
    with np.load(tmp_path / "out.npz") as outputs:
        assert outputs["arr_0"].shape == (3, 16)


def test_refused_operation_leaves_the_worker_alive(connection: Connection, transport: Transport) -> None:
    refused: list[tuple[str, dict[str, Any], str]] = [
        ("dance", {}, "unknown_operation"),
        ("describe", {"slot": "c"}, "not_loaded"),
        ("hello", {"engine": "abacus"}, "unknown_engine"),
        ("describe", {}, "TypeError"),
        ("load", {"slot": "c", "engine": "onnxruntime", "path": "/absent", "settings": SETTINGS}, "FileNotFoundError"),
    ]
    for op, fields, kind in refused:
        with pytest.raises(OperationError) as caught:
            connection.request(op, TIMEOUT_S, **fields)
        assert caught.value.kind == kind
    assert connection.request("describe", TIMEOUT_S, slot="a")["description"]["provider"] == "CPUExecutionProvider"


def test_answers_come_in_the_order_of_the_requests(connection: Connection) -> None:
    connection.post("describe", slot="a")
    connection.post("describe", slot="absent")
    connection.post("unload", slot="a")
    assert "description" in connection.collect(TIMEOUT_S)
    with pytest.raises(OperationError, match="slot 'absent' is empty; loaded: a, b"):
        connection.collect(TIMEOUT_S)
    assert connection.collect(TIMEOUT_S)["ok"]


def test_worker_killed_while_timing_is_reported_soon(connection: Connection) -> None:
    pid = connection.request("hello", TIMEOUT_S, engine="onnxruntime")["pid"]
    killer = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
    killer.start()
    start = time.monotonic()
    with pytest.raises(WorkerError, match="ended during 'time_interleaved'; killed by signal 9"):
        connection.request("time_interleaved", TIMEOUT_S, **timing(30.0))
    assert time.monotonic() - start < 20
    with pytest.raises(WorkerError, match="closed worker"):
        connection.post("hello", engine="onnxruntime")


def test_no_answer_in_time_ends_the_worker(connection: Connection) -> None:
    pid = connection.request("hello", TIMEOUT_S, engine="onnxruntime")["pid"]
    with pytest.raises(WorkerError, match=r"did not answer within 0\.2 s during 'time_interleaved'"):
        connection.request("time_interleaved", 0.2, **timing(30.0))
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_what_is_put_comes_back_as_it_was(transport: Transport) -> None:
    data = np.random.default_rng(0).bytes(3_000_000)
    path = transport.put(data, "block")
    assert transport.get(path) == data
    assert transport.put(b"", "block") == path, "a name has one path"
    assert transport.get(path) == b""
    transport.remove(path)
    with pytest.raises(FileNotFoundError, match="block"):
        transport.get(path)


def test_a_closed_transport_says_so(transport: Transport) -> None:
    transport.start()
    transport.__exit__(None, None, None)
    for use in (transport.start, lambda: transport.put(b"", "x"), lambda: transport.path("x")):
        with pytest.raises(RuntimeError, match="not open"):
            use()


def test_closing_twice_and_removing_twice_is_harmless(connection: Connection, transport: Transport) -> None:
    path = transport.put(b"x", "extra")
    transport.remove(path)
    transport.remove(path)
    connection.close()
    connection.close()
