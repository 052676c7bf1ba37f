"""A link that is lost costs the workers on it and nothing else: what was put is there again when it comes back."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from typing import Any

import asyncssh
import numpy as np
import psutil
import pytest

from latency.errors import TargetError, WorkerError
from latency.transports.ssh import LinkSettings, SshTransport

LOST = "the link to it was lost"


def cut_off_soon(server: Any) -> threading.Timer:
    timer = threading.Timer(0.3, server.drop)
    timer.start()
    return timer


def test_link_lost_while_timing_costs_the_workers(
    server: Any, open_ssh: Any, prepare: Any, time_both: Any, alive: Any
) -> None:
    with open_ssh(server) as transport:
        prepared = prepare(transport)
        first, second = transport.start(), transport.start()
        prepared.load(first)
        prepared.load(second)
        pid = first.request("hello", 60, engine="onnxruntime")["pid"]
        timer = cut_off_soon(server)
        with pytest.raises(WorkerError, match=rf"ended during 'time_interleaved'; {LOST}"):
            time_both(first, 30.0)
        timer.join()
        with pytest.raises(WorkerError, match=r"no longer reads|ended during"):
            time_both(second, 0.1)
        again = transport.start()
        assert not alive(pid), "a worker without a link takes time from those that have one"
        prepared.load(again)
        assert time_both(again, 0.05)["samples"]


class CutsOff(asyncssh.SFTPServer):
    """Loses the link once, in the middle of a large file."""

    armed = False

    def write(self, file_obj: object, offset: int, data: bytes) -> int:
        if type(self).armed and offset > 5_000_000:
            type(self).armed = False
            self.channel.get_connection().abort()
        return super().write(file_obj, offset, data)


def test_link_lost_in_the_middle_of_a_transfer(ssh_servers: Any, tmp_path: Path, open_ssh: Any) -> None:
    data = np.random.default_rng(0).bytes(20_000_000)
    with ssh_servers.AsyncsshServer(tmp_path, sftp=CutsOff) as server, open_ssh(server) as transport:
        CutsOff.armed = True
        path = transport.put(data, "large")
        assert not CutsOff.armed, "the link was lost on the way"
        assert not Path(path).exists(), "half a file never has the name of a whole one"
        transport.start()
        assert Path(path).read_bytes() == data


def test_session_killed_in_the_middle_of_a_transfer(sshd: Any, open_ssh: Any, until: Any) -> None:
    data = np.random.default_rng(0).bytes(60_000_000)
    with open_ssh(sshd) as transport:
        part = Path(transport.path("large.part"))

        def kill() -> None:
            until(part.exists, "no transfer began")
            sshd.drop()

        killer = threading.Thread(target=kill)
        killer.start()
        path = transport.put(data, "large")
        killer.join()
        transport.start()
        assert transport.get(path) == data


def test_server_that_does_not_come_back(server: Any, settings: LinkSettings, sleeps: list[float]) -> None:
    with SshTransport(server.reach(), settings=settings, sleep=sleeps.append) as transport:
        path = transport.put(b"old", "file")
        connection = transport.start()
        server.stop()
        with pytest.raises(
            TargetError, match=r"the link to .*127\.0\.0\.1.* was lost \(.*\) and did not come back in 4"
        ):
            transport.start()
        assert sleeps == [0.0, 0.1, 0.2, 0.2]
        assert transport.put(b"new", "file") == path, "what is put meanwhile waits"
        transport.remove(transport.put(b"", "removed meanwhile"))
        with pytest.raises(TargetError, match="did not come back"):
            transport.get(path)
        connection.close()
        server.start()
        assert transport.start().request("hello", 60, engine="onnxruntime")["ok"]
        assert transport.get(path) == b"new"


def test_target_that_was_restarted_with_an_empty_disk(
    server: Any, settings: LinkSettings, prepare: Any, time_both: Any
) -> None:
    """The server is away for two attempts, and all folders of sessions with it."""
    pauses: list[float] = []

    def sleep(pause_s: float) -> None:
        pauses.append(pause_s)
        if len(pauses) == 3:
            for folder in server.sessions():
                shutil.rmtree(folder)
            server.start()

    with SshTransport(server.reach(), settings=settings, sleep=sleep) as transport:
        prepared = prepare(transport)
        transport.remove(transport.put(b"x", "candidate"))
        before = transport.path("")
        server.stop()
        connection = transport.start()
        assert len(pauses) == 3
        assert transport.path("") == before
        prepared.load(connection)
        assert time_both(connection, 0.05)["samples"]
        assert not Path(transport.path("candidate")).exists()


def test_target_that_no_longer_answers(sshd: Any, open_ssh: Any, prepare: Any, time_both: Any) -> None:
    """An unplugged board closes no connection. What stands still here is the server's process for the session."""
    with open_ssh(sshd) as transport:
        connection = transport.start()
        prepare(transport).load(connection)
        sessions = psutil.Process(sshd._process.pid).children()
        for session in sessions:
            session.suspend()
        try:
            with pytest.raises(WorkerError, match=r"link to it was lost .*not responding to keepalive"):
                time_both(connection, 30.0)
        finally:
            for session in sessions:
                session.kill()
        assert transport.start().request("hello", 60, engine="onnxruntime")["ok"]


def test_another_host_key_after_the_link_was_lost(ssh_servers: Any, tmp_path: Path, open_ssh: Any) -> None:
    with ssh_servers.AsyncsshServer(tmp_path) as server, open_ssh(server) as transport:
        server.stop()
        key = (server.folder / "host").read_bytes()
        (server.folder / "host.pub").unlink()
        asyncssh.generate_private_key("ssh-ed25519").write_private_key(server.folder / "host")
        server.start()
        with pytest.raises(TargetError, match="has CHANGED"):
            transport.start()
        server.stop()
        (server.folder / "host").write_bytes(key)
        server.start()
        transport.start()


def test_keys_refused_for_a_while(sshd: Any, settings: LinkSettings) -> None:
    """A host that starts up may refuse logins at first: that is tried again, not believed."""
    keys = sshd.folder / "authorized_keys"
    known, pauses = keys.read_bytes(), []

    def sleep(pause_s: float) -> None:
        pauses.append(pause_s)
        keys.write_bytes(known if len(pauses) > 2 else b"")

    try:
        with SshTransport(sshd.reach(), settings=settings, sleep=sleep) as transport:
            sshd.drop()
            until_lost(transport)
            assert transport.start().request("hello", 60, engine="onnxruntime")["ok"]
    finally:
        keys.write_bytes(known)
    assert len(pauses) == 3


def until_lost(transport: SshTransport) -> None:
    """A worker that was started on a link that is just being lost does not answer."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if transport._open[1].standing() is None:  # type: ignore[index]
            return
        time.sleep(0.01)


@pytest.mark.parametrize("name", ["attempts", "first_pause_s", "keepalive_s", "grace_s"])
def test_settings_are_above_zero(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be above zero, got 0"):
        LinkSettings(**{name: 0})


def test_pauses_double_up_to_the_longest() -> None:
    settings = LinkSettings(attempts=6, first_pause_s=1, longest_pause_s=5)
    assert list(settings.pauses_s()) == [0, 1, 2, 4, 5, 5]
