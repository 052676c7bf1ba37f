"""A session has one private folder on the target, which goes with it however it ends, and says so when it is full."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import psutil
import pytest

from latency.errors import TargetError
from latency.transports.ssh import LinkSettings, SshTransport

CLIENT = """
import signal, sys, time
from hwprofiles import SshReach
from latency.transports.ssh import LinkSettings, SshTransport
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
reach, settings = SshReach.model_validate_json(sys.argv[1]), LinkSettings(grace_s=0.5)
with SshTransport(reach, settings=settings, command=sys.argv[2:] or None) as transport:
    connection = transport.start()
    print(connection.request("hello", 60, engine="onnxruntime")["pid"], flush=True)
    if sys.argv[2:]:
        connection.post("time_interleaved", slots=["a", "b"], budget_s=0, min_rounds=1, limit_s=0)
    connection.collect(600) if sys.argv[2:] else time.sleep(600)
"""

Client = subprocess.Popen[str]


@pytest.fixture
def client() -> Iterator[Callable[..., tuple[Client, int]]]:
    """Another process with a session of its own, and its worker's process id."""
    started: list[Client] = []

    def start(server: Any, *command: str) -> tuple[Client, int]:
        arguments = [sys.executable, "-c", CLIENT, server.reach().model_dump_json(), *command]
        process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        return process, int(process.stdout.readline())

    yield start
    for process in started:
        process.kill()
        process.communicate()


def keeper_of(folder: Path) -> psutil.Process:
    """The process on the target that keeps a folder."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "keep" in words and str(folder) in words and not words[0].endswith("sh"):
            return process
    raise AssertionError(f"nobody keeps {folder}")


def test_one_private_folder_that_goes_with_the_session(server: Any, open_ssh: Any, until: Any) -> None:
    with open_ssh(server) as transport:
        transport.start()
        path = transport.put(b"x", "file")
        (folder,) = server.sessions()
        assert path == f"{folder}/file"
        assert folder.stat().st_mode & 0o777 == 0o700
        with open_ssh(server) as second:
            assert Path(second.path("file")).parent not in {folder, folder.parent}
    assert server.sessions() == []


@pytest.mark.parametrize("fault", [None, "hangs"])
def test_client_that_is_killed_leaves_nothing(
    server: Any, client: Any, faulty_command: Callable[[str], list[str]], fault: str | None, until: Any, alive: Any
) -> None:
    process, pid = client(server, *(faulty_command(fault) if fault else ()))
    (folder,) = server.sessions()
    time.sleep(0.3 if fault else 0)  # until the worker hangs
    process.send_signal(signal.SIGKILL)
    until(lambda: not folder.exists(), "the folder outlived its session")
    until(lambda: not alive(pid), "the worker outlived its session")


def test_client_that_is_interrupted_clears_away_at_once(server: Any, client: Any, alive: Any) -> None:
    process, pid = client(server)
    process.send_signal(signal.SIGINT)
    _out, stderr = process.communicate(timeout=60)
    assert stderr.rstrip().endswith("KeyboardInterrupt")
    assert stderr.count("Traceback") == 1, "nothing else goes wrong on the way out"
    assert server.sessions() == []
    assert not alive(pid)


def test_folder_of_a_session_whose_keeper_was_killed_too_is_removed_by_the_next(
    sshd: Any, client: Any, open_ssh: Any, until: Any, alive: Any
) -> None:
    process, pid = client(sshd)
    (folder,) = sshd.sessions()
    keeper_of(folder).kill()
    process.send_signal(signal.SIGKILL)
    until(lambda: not alive(pid), "the worker outlived its session")
    assert sshd.sessions() == [folder]
    (sshd.target / "paretune-session-notes").mkdir()
    with open_ssh(sshd) as transport:
        assert not folder.exists()
        assert Path(transport.path("")).exists()
    assert sshd.sessions() == [sshd.target / "paretune-session-notes"], "what has no owner file is none of ours"
    (sshd.target / "paretune-session-notes").rmdir()


def test_keeper_that_is_killed_is_replaced(server: Any, open_ssh: Any, until: Any) -> None:
    with open_ssh(server) as transport:
        path = transport.put(b"x", "file")
        keeper_of(Path(path).parent).kill()
        until(lambda: not transport._open[1].standing(), "nobody missed the keeper")
        assert transport.start().request("hello", 60, engine="onnxruntime")["ok"]
        assert transport.get(path) == b"x"


def test_keeper_that_is_told_to_end_clears_away(server: Any, open_ssh: Any, until: Any) -> None:
    """The target is shut down."""
    with open_ssh(server) as transport:
        folder = Path(transport.put(b"x", "file")).parent
        keeper_of(folder).terminate()
        until(lambda: not folder.exists(), "the folder outlived its keeper")
        until(lambda: not transport._open[1].standing(), "nobody missed the keeper")
        assert transport.get(f"{folder}/file") == b"x", "the session goes on with a new one"


def test_client_that_falls_silent_is_given_up_and_may_come_back(sshd: Any, settings: LinkSettings, until: Any) -> None:
    """A client whose machine is switched off closes no connection."""
    impatient = dataclasses.replace(settings, silence_s=2.0, grace_s=0.1, keepalive_s=60.0)
    with SshTransport(sshd.reach(), settings=impatient) as transport:
        folder = Path(transport.put(b"x", "file")).parent
        time.sleep(2.5)
        assert folder.exists(), "signs of life were given in time"
        (session,) = psutil.Process(sshd._process.pid).children()
        session.suspend()  # nothing that the client sends gets through
        until(lambda: not folder.exists(), "a silent client was not given up")
        session.resume()
        until(lambda: not transport._open[1].standing(), "nobody missed the keeper")
        assert transport.start().request("hello", 60, engine="onnxruntime")["ok"]
        assert transport.get(f"{folder}/file") == b"x"


def test_folder_that_someone_else_has_put_in_place_is_refused(server: Any, open_ssh: Any, until: Any) -> None:
    with open_ssh(server) as transport:
        folder = Path(transport.path(""))
        server.drop()
        until(lambda: not folder.exists(), "the folder outlived its session")
        folder.mkdir(mode=0o755)
        (folder / "theirs").touch()
        with pytest.raises(TargetError, match=r"is not the folder that was made there: mode 40755"):
            transport.start()
        (folder / "theirs").unlink()
        folder.rmdir()
        assert transport.start().request("hello", 60, engine="onnxruntime")["ok"]


@pytest.mark.parametrize("folder", ["/no/such/folder", "/proc"])
def test_place_where_no_folder_can_be_made(server: Any, open_ssh: Any, folder: str) -> None:
    words = f"no folder can be made in '{folder}' on .*127.0.0.1.*set folder in reach"
    with pytest.raises(TargetError, match=words), open_ssh(server, folder=folder):
        pass


def test_home_directory_as_the_place(sshd: Any, open_ssh: Any) -> None:
    with open_ssh(sshd, folder="~") as transport:
        folder = Path(transport.path(""))
        assert folder.parent == Path.home()
        assert transport.start().request("hello", 60, engine="onnxruntime")["ok"]
    assert not folder.exists()


class FullDisk(asyncssh.SFTPServer):
    """A disk with room for small files."""

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        if offset + len(data) > 200_000:
            raise OSError(28, "No space left on device")
        return super().write(file_obj, offset, data)


def check_full(transport: SshTransport) -> None:
    folder = Path(transport.path("x")).parent
    with pytest.raises(TargetError, match=r"cannot write big \(3,000,000 bytes\) to '.*paretune-session-.*free there"):
        transport.put(bytes(3_000_000), "big")
    assert {"big", "big.part"}.isdisjoint(path.name for path in folder.iterdir())
    assert transport.get(transport.put(b"small", "small")) == b"small"
    assert transport.start().request("hello", 60, engine="onnxruntime")["ok"]


def test_full_disk_says_where_and_what_to_do(ssh_servers: Any, tmp_path: Path, open_ssh: Any) -> None:
    with ssh_servers.AsyncsshServer(tmp_path, sftp=FullDisk) as server, open_ssh(server) as transport:
        check_full(transport)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of one MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if os.getuid() != 0 or mount is None or umount is None:
        pytest.skip("only root can mount a small file system")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"this machine mounts nothing: {done.stderr.strip()}")
    yield folder
    subprocess.run([umount, str(folder)], check=True)


def test_really_full_disk(sshd: Any, small_disk: Path, open_ssh: Any) -> None:
    with open_ssh(sshd, folder=str(small_disk)) as transport:
        check_full(transport)
    (small_disk / "ballast").write_bytes(bytes(2**20 - 8192))
    with (
        pytest.raises(TargetError, match=r"cannot write .* free there.*set folder in reach"),
        open_ssh(sshd, folder=str(small_disk)),
    ):
        pass
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]
