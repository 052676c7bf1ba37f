"""A worker over SSH that misbehaves is told apart by how, as a local one is, and its target's Python as well."""

from __future__ import annotations

import itertools
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latency.errors import OperationError, TargetError, WorkerError
from latency.transports.ssh import LinkSettings, SshTransport
from latency.transports.ssh.process import Session

Faulty = Callable[[str], list[str]]


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("half_line", r"ended in the middle of an answer .*18 bytes.* during 'hello'; exit status 3"),
        ("garbage", r"not JSON \('Segmentation what\?'"),
        ("out_of_turn", "answered out of turn"),
    ],
)
def test_answer_that_is_none_says_how(
    server: Any, settings: LinkSettings, faulty_command: Faulty, fault: str, words: str
) -> None:
    with (
        SshTransport(server.reach(), settings=settings, command=faulty_command(fault)) as transport,
        pytest.raises(WorkerError, match=f"worker 1 on .*127.0.0.1.* {words}"),
    ):
        transport.start().request("hello", 60, engine="onnxruntime")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("dies", "ended during 'time_interleaved'; killed by signal 11; its last words: about to die"),
        ("hangs", "did not answer within 3 s during 'time_interleaved'; its last words"),
    ],
)
def test_runtime_that_dies_or_hangs_costs_its_worker_only(
    server: Any,
    settings: LinkSettings,
    faulty_command: Faulty,
    prepare: Any,
    fault: str,
    words: str,
    until: Any,
    alive: Any,
) -> None:
    with SshTransport(server.reach(), settings=settings, command=faulty_command(fault)) as transport:
        prepared = prepare(transport)
        connection, other = transport.start(), transport.start()
        prepared.load(connection)
        pid = connection.request("hello", 60, engine="onnxruntime")["pid"]
        with pytest.raises(WorkerError, match=words):
            connection.request("time_interleaved", 3, slots=["a", "b"], budget_s=0, min_rounds=1, limit_s=0)
        until(lambda: not alive(pid), "a worker that hung was not killed")
        prepared.load(other)


def test_signal_that_a_shell_reports_as_a_status() -> None:
    session = Session()
    session.exit_status_received(137)
    assert session.ending == "killed by signal 9"
    session.exit_status_received(130 + 120)
    assert session.ending == "exit status 250"


def test_lines_come_whole_however_they_are_cut() -> None:
    session = Session()
    for piece in (b"a", b"b\nc\n", b"", b"\nd", b"e"):
        session.data_received(piece, None)
    session.connection_lost(None)
    assert [session.lines.get() for _ in range(5)] == [b"ab\n", b"c\n", b"\n", b"de", b""]


def test_long_answers_arrive(sshd: Any, open_ssh: Any, prepare: Any) -> None:
    with open_ssh(sshd) as transport:
        connection = transport.start()
        prepare(transport).load(connection)
        fields = {"slots": ["a", "b"], "budget_s": 0.0, "min_rounds": 1, "limit_s": 60.0, "stays": [15_000, 1]}
        first, second = connection.request("time_interleaved", 60, **fields)["samples"]
    assert [len(first), len(second)] == [30_000, 2]


def test_words_of_the_command_arrive_as_they_are(server: Any, open_ssh: Any, odd_python: Any, tmp_path: Path) -> None:
    words = (
        "two words",
        'it\'s "quoted"',
        f"$(touch {tmp_path}/pwned)",
        f"`touch {tmp_path}/pwned`",
        f"; touch {tmp_path}/pwned #",
        f"line\ntouch {tmp_path}/pwned\n",
        "*",
        "~",
        "$HOME",
        "a\\b",
        "--",
        "ü",
    )
    noted = tmp_path / "noted; touch 'it' $(echo)"
    python = odd_python("notes_words", str(noted), *[word for word in words if word != "--"])
    with open_ssh(server, python_command=python) as transport:
        transport.start().request("hello", 60, engine="onnxruntime")
    assert noted.read_text() == repr([word for word in words if word != "--"])
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("folder", ["it's a 'folder'", "$(touch pwned)", "a;b\nc"])
def test_folder_of_any_name(sshd: Any, open_ssh: Any, folder: str) -> None:
    (sshd.folder / folder).mkdir()
    with open_ssh(sshd, folder=str(sshd.folder / folder)) as transport:
        assert transport.start().request("hello", 60, engine="onnxruntime")["ok"]
        assert transport.path("x").startswith(str(sshd.folder / folder))
    assert list((sshd.folder / folder).iterdir()) == []


def test_python_that_is_not_there(sshd: Any, open_ssh: Any) -> None:
    words = "no worker can be started on .* with /no/such/python.*install Python 3.9 or newer.*python_command"
    with pytest.raises(TargetError, match=words), open_ssh(sshd, python_command=("/no/such/python",)):
        pass


def test_python_that_is_too_old(sshd: Any, open_ssh: Any, odd_python: Any) -> None:
    words = r"the worker needs Python 3\.9 or newer, and .* is Python 3\.8; install Python 3\.9"
    with pytest.raises(TargetError, match=words), open_ssh(sshd, python_command=odd_python("is_old")):
        pass


def test_python_without_numpy(sshd: Any, open_ssh: Any) -> None:
    words = r"has no numpy; install it and the engine there: .* -S -m pip install numpy onnxruntime"
    with pytest.raises(TargetError, match=words), open_ssh(sshd, python_command=(sys.executable, "-S")):
        pass


def test_python_without_the_engine(sshd: Any, open_ssh: Any, odd_python: Any) -> None:
    with (
        open_ssh(sshd, python_command=odd_python("has_no_engine")) as transport,
        pytest.raises(OperationError, match=r"ONNX Runtime cannot be imported.*install") as caught,
    ):
        transport.start().request("hello", 60, engine="onnxruntime")
    assert caught.value.kind == "runtime_missing"


def test_wall_clocks_that_jump_change_nothing(
    server: Any, open_ssh: Any, odd_python: Any, prepare: Any, time_both: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here and there the time of day goes days forwards and back between any two looks at it."""
    wall_clock, jumps = time.time, itertools.cycle([0.0, 1e6, -1e6])
    monkeypatch.setattr(time, "time", lambda: wall_clock() + next(jumps))
    with open_ssh(server, python_command=odd_python("clock_jumps")) as transport:
        connection = transport.start()
        prepare(transport).load(connection)
        samples = np.array(time_both(connection, 0.1)["samples"][0], dtype=float)
    assert np.all((samples[:, 0] > 0) & (samples[:, 0] < 60e9))


def test_server_that_starts_no_more_processes(ssh_servers: Any, tmp_path: Path, open_ssh: Any) -> None:
    server = ssh_servers.open_ssh_server(tmp_path)
    with (tmp_path / "sshd_config").open("a") as config:
        config.write("MaxSessions 3\n")
    with server, open_ssh(server) as transport:
        assert transport.start().request("hello", 60, engine="onnxruntime")["ok"]
        with pytest.raises(WorkerError, match=r"starts no further process.*MaxSessions.*fewer workers"):
            transport.start()


def test_nothing_is_left_here(server: Any, open_ssh: Any) -> None:
    threads, descriptors = set(threading.enumerate()), open_files()
    with open_ssh(server) as transport:
        transport.start()
        transport.put(b"x", "y")
    assert {thread for thread in threading.enumerate() if thread.name == "paretune-ssh"} <= threads
    assert open_files() <= descriptors
    transport.__exit__(None, None, None)


def open_files() -> int:
    """How many file descriptors this process has."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
