"""Two real SSH servers on loopback that can be stopped, started again and cut off: OpenSSH's and asyncssh's."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncssh
import psutil
import pytest

from hwprofiles import SshReach
from latency.transports.ssh.event_loop import LoopThread

SSHD = shutil.which("sshd", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
_START_S = 20.0


class Server:
    """Throwaway keys, a port, and the way in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.chmod(0o700)
        self.target = folder / "target"  # where sessions make their folders
        self.target.mkdir()
        for name in ("host", "id"):
            key = asyncssh.generate_private_key("ssh-ed25519")
            key.write_private_key(folder / name)
            key.write_public_key(folder / f"{name}.pub")
            (folder / name).chmod(0o600)
        (folder / "authorized_keys").write_bytes((folder / "id.pub").read_bytes())
        self.port = free_port()
        self.known_hosts = folder / "known_hosts"
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port},[::1]:{self.port} {(folder / 'host.pub').read_text()}")

    def reach(self, **changes: Any) -> SshReach:
        """How to get in; keyword arguments replace settings."""
        settings: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": getpass.getuser(),
            "identity_files": (str(self.folder / "id"),),
            "known_hosts": str(self.known_hosts),
            "python_command": (sys.executable,),
            "folder": str(self.target),
        }
        return SshReach(**{**settings, **changes})

    def sessions(self) -> list[Path]:
        """The sessions' folders that stand on the target."""
        return sorted(self.target.iterdir())

    def start(self) -> None:  # of each kind of server, as all three
        raise NotImplementedError

    def drop(self) -> None:
        """Cuts off every connection; the server goes on."""
        raise NotImplementedError

    def stop(self) -> None:
        """Cuts off every connection and no longer listens."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class OpenSshServer(Server):
    """``sshd -D`` as a child process."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._process: subprocess.Popen[bytes] | None = None
        lines = [
            *[f"ListenAddress {address}" for address in ("127.0.0.1", "::1") if has_address(address)],
            f"Port {self.port}",
            f"HostKey {folder}/host",
            "PidFile none",
            f"AuthorizedKeysFile {folder}/authorized_keys",
            "StrictModes no",
            "UsePAM no",
            "PasswordAuthentication no",
            "KbdInteractiveAuthentication no",
            "PermitRootLogin prohibit-password",
            "Subsystem sftp internal-sftp",
        ]
        (folder / "sshd_config").write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # it insists on this one for root
        assert SSHD is not None
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(self.folder / "sshd_config")], stderr=log)
        deadline = time.monotonic() + _START_S
        while not _listens(self.port):
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, "sshd does not listen"
            time.sleep(0.02)

    def drop(self) -> None:
        assert self._process is not None
        for child in psutil.Process(self._process.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()

    def stop(self) -> None:
        if self._process is None:
            return
        children = psutil.Process(self._process.pid).children()
        self._process.terminate()
        self._process.wait()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        self._process = None


class AsyncsshServer(Server):
    """asyncssh's server in a thread of this process. ``sftp`` may be one that misbehaves."""

    def __init__(self, folder: Path, sftp: Any = True) -> None:
        super().__init__(folder)
        self._sftp = sftp
        self._loop = LoopThread()
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._processes: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._acceptor = self._loop.run(self._listen())

    def drop(self) -> None:
        self._loop.run(self._abort())

    def stop(self) -> None:
        if self._acceptor is not None:
            self._loop.call(self._acceptor.close)
            self._acceptor = None
            self.drop()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._loop.run(self._wait_for_processes())
        self._loop.close()

    async def _listen(self) -> asyncssh.SSHAcceptor:
        return await asyncssh.create_server(
            lambda: _Owner(self._connections),
            "127.0.0.1",
            self.port,
            server_host_keys=[str(self.folder / "host")],
            authorized_client_keys=str(self.folder / "authorized_keys"),
            process_factory=self._run,
            sftp_factory=self._sftp,
            encoding=None,
            config=None,
            reuse_address=True,
        )

    async def _run(self, process: asyncssh.SSHServerProcess[bytes]) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._processes.add(task)
        try:
            await _run(process)
        finally:
            self._processes.discard(task)

    async def _wait_for_processes(self) -> None:
        """They see the end of their input, and end."""
        while self._processes:
            await asyncio.wait(self._processes)

    async def _abort(self) -> None:
        for connection in list(self._connections):
            connection.abort()
            await connection.wait_closed()


class _Owner(asyncssh.SSHServer):
    def __init__(self, connections: set[asyncssh.SSHServerConnection]) -> None:
        self._connections = connections

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._connections.add(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self._connection)


async def _run(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Runs the command as OpenSSH's server does: in a shell, its input closed when the channel is."""
    pipe = asyncio.subprocess.PIPE
    command = process.command
    assert command is not None
    child = await asyncio.create_subprocess_exec("/bin/sh", "-c", command, stdin=pipe, stdout=pipe, stderr=pipe)
    inwards = asyncio.create_task(_pump(process.stdin, child.stdin))
    await asyncio.gather(_pump(child.stdout, process.stdout), _pump(child.stderr, process.stderr))
    status = await child.wait()
    inwards.cancel()
    with contextlib.suppress(OSError, asyncssh.Error):
        if status < 0:
            process.exit_with_signal({9: "KILL", 11: "SEGV", 15: "TERM"}[-status])
        else:
            process.exit(status)


async def _pump(source: Any, sink: Any) -> None:
    try:
        while data := await source.read(65536):
            with contextlib.suppress(OSError):
                sink.write(data)
    except (OSError, asyncssh.Error):
        pass
    if isinstance(sink, asyncio.StreamWriter):
        sink.close()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def has_address(address: str) -> bool:
    """Whether this machine has the address."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def open_ssh_server(folder: Path) -> OpenSshServer:
    """OpenSSH's server; the test is skipped where there is none."""
    if SSHD is None:
        pytest.skip("needs OpenSSH's server (Debian: openssh-server)")
    return OpenSshServer(folder)
