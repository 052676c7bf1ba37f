"""A real PostgreSQL of a test's own on loopback, which can be stopped and started again."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

USER = "paretune"

# The server refuses to run as root; Debian's package brings a user for it.
_SERVER_USER = "postgres"
# Durability is the server's business and no test's; without it starting takes half a second.
_SETTINGS = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=16MB")


def why_not() -> str:
    """Why no server can be started here; empty where one can."""
    if _programs() is None:
        return "PostgreSQL's server is not installed (Debian: postgresql)"
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            return "PostgreSQL refuses to run as root, and setpriv, which would run it as another user, is missing"
        try:
            pwd.getpwnam(_SERVER_USER)
        except KeyError:
            return f"PostgreSQL refuses to run as root, and there is no user {_SERVER_USER!r} to run it as"
    return ""


class PostgresServer:
    """A server with one superuser, `USER`, and the database `postgres`; a context manager.

    Its files lie in a folder of its own below `/tmp`: the server's user must be able to reach it, and a socket's path
    must be short.
    """

    def __init__(self, password: str | None = None) -> None:
        self.password = password
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])

    @property
    def url(self) -> str:
        """Where it is, without its password."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres"

    @property
    def url_with_password(self) -> str:
        """Where it is, with its password."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/postgres"

    def __enter__(self) -> PostgresServer:
        self._folder = tempfile.TemporaryDirectory(prefix="paretune-pg-", dir="/tmp")
        folder = Path(self._folder.name)
        if os.geteuid() == 0:
            owner = pwd.getpwnam(_SERVER_USER)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        secret = folder / "password"
        secret.write_text(self.password or "unused")
        secret.chmod(0o644)
        method = "trust" if self.password is None else "scram-sha-256"
        self._run("initdb", "-D", str(folder / "data"), "-U", USER, "-A", method, f"--pwfile={secret}", "--no-sync")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._folder.cleanup()

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        folder = Path(self._folder.name)
        settings = [part for setting in _SETTINGS for part in ("-c", setting)]
        command = self._command(
            "postgres", "-D", str(folder / "data"), "-p", str(self.port), "-k", str(folder), *settings
        )
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd="/")
        waiting = self._command("pg_isready", "-h", "127.0.0.1", "-p", str(self.port), "-q")
        for _ in range(600):
            if subprocess.run(waiting, check=False, cwd="/").returncode == 0:
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"PostgreSQL did not start: {(folder / 'log').read_text()[-2000:]}")

    def stop(self) -> None:
        """Stop it as an operator who is in a hurry does: connections are cut, nothing is lost."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(timeout=60)
            self._process = None

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(self._command(program, *arguments), capture_output=True, check=False, text=True, cwd="/")
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr}")

    def _command(self, program: str, *arguments: str) -> list[str]:
        folder = _programs()
        assert folder is not None
        command = [str(folder / program), *arguments]
        if os.geteuid() != 0:
            return command
        owner = pwd.getpwnam(_SERVER_USER)
        return ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups", *command]


def _programs() -> Path | None:
    """Where the server's programs are: in the path, or where Debian keeps them, the newest version."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return versions[-1].parent if versions else None
