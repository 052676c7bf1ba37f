"""Impatient links to real servers, and Pythons there that are odd on purpose."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from latency.transports import Connection, Transport
from latency.transports.ssh import LinkSettings, SshTransport

TESTS = Path(__file__).parents[2]
SETTINGS = {"provider": "CPUExecutionProvider", "threads": 1, "spinning": True, "session_entries": {}}


@pytest.fixture(params=["asyncssh_server", "sshd"])
def server(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Either server, running before and after the test; no session's folder is left on it."""
    found = request.getfixturevalue(request.param)
    yield found
    found.stop()
    found.start()
    wait_until(lambda: not found.sessions(), "a session's folder was left behind")


@pytest.fixture(autouse=True)
def leaves_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    """No session's folder is left on the server of a test for OpenSSH's alone either."""
    sshd = request.getfixturevalue("sshd") if "sshd" in request.fixturenames else None
    yield
    if sshd is not None:
        wait_until(lambda: not sshd.sessions(), "a session's folder was left behind")


@pytest.fixture
def settings() -> LinkSettings:
    return LinkSettings(
        attempts=4, first_pause_s=0.1, longest_pause_s=0.2, keepalive_s=0.5, keepalives=2, grace_s=1.0, silence_s=60.0
    )


@pytest.fixture
def odd_python() -> Callable[..., tuple[str, ...]]:
    """A ``python_command`` that is odd in one way."""

    def make(way: str, *own: str) -> tuple[str, ...]:
        return (sys.executable, str(TESTS / "odd_python.py"), way, *own, "--")

    return make


@pytest.fixture
def faulty_command(armed: Path) -> Callable[[str], list[str]]:
    """A ``command`` whose workers do ``fault`` as long as ``armed`` exists."""

    def make(fault: str) -> list[str]:
        return [sys.executable, str(TESTS / "faulty_worker.py"), "{archive}", fault, str(armed), "{lock}"]

    return make


@pytest.fixture
def prepare(baseline: bytes, feeds: dict[str, np.ndarray], tmp_path: Path) -> Callable[[Transport], Preparation]:
    """Puts inputs and a model; what comes back loads them in a worker's slots ``a`` and ``b``."""

    def make(transport: Transport) -> Preparation:
        np.savez(tmp_path / "in.npz", *feeds.values())
        inputs = transport.put((tmp_path / "in.npz").read_bytes(), "in.npz")
        return Preparation(inputs, transport.put(baseline, "model.onnx"), list(feeds))

    return make


class Preparation:
    """Paths on the target that stay valid whatever happens to it."""

    def __init__(self, inputs: str, model: str, names: list[str]) -> None:
        self.inputs, self.model, self.names = inputs, model, names

    def load(self, connection: Connection) -> None:
        connection.request("inputs", 60, path=self.inputs, names=self.names)
        for slot in ("a", "b"):
            connection.request("load", 60, slot=slot, engine="onnxruntime", path=self.model, settings=SETTINGS)


@pytest.fixture
def time_both() -> Callable[[Connection, float], dict[str, Any]]:
    """Times slots ``a`` and ``b`` for so many seconds."""

    def time_for(connection: Connection, budget_s: float) -> dict[str, Any]:
        fields = {"slots": ["a", "b"], "budget_s": budget_s, "min_rounds": 1, "limit_s": budget_s}
        return connection.request("time_interleaved", 60, **fields)

    return time_for


@pytest.fixture
def sleeps() -> list[float]:
    """The pauses that a link made, one after another."""
    return []


@pytest.fixture
def until() -> Callable[[Callable[[], bool], str], None]:
    return wait_until


@pytest.fixture
def alive() -> Callable[[int], bool]:
    """Whether a process runs; one that has ended and that nobody has waited for does not."""

    def is_alive(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    return is_alive


def wait_until(holds: Callable[[], bool], otherwise: str) -> None:
    """Waits for something that has to come. Half a minute is for a crowded machine, not for the thing."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)


@pytest.fixture
def open_ssh(settings: LinkSettings) -> Callable[..., SshTransport]:
    """An impatient transport to a server; keyword arguments are those of its reach."""

    def make(server: Any, **changes: Any) -> SshTransport:
        return SshTransport(server.reach(**changes), settings=settings)

    return make
