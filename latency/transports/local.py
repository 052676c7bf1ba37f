"""Workers on this machine."""

from __future__ import annotations

import contextlib
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from latency.errors import WorkerError
from latency.transports.connection import WorkerConnection, signal_words
from latency.transports.scratch import full, scratch_folder
from latency.worker_archive import build_archive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

_STDERR_TAIL_BYTES = 2000
_RECEIVER_S = 2.0  # how long the rest of its output may take to arrive


class LocalTransport:
    """Starts the worker archive with this Python, in a private folder that disappears with the transport.

    Args:
        command: what starts a worker, with ``{archive}`` where the archive's path goes; None for this Python.
    """

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self._command = tuple(command) if command else (sys.executable, "-X", "faulthandler", "{archive}")
        self._folder: Path | None = None
        self._stack = contextlib.ExitStack()
        self._connections: list[WorkerConnection] = []
        self._started = 0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            self._folder = stack.enter_context(scratch_folder())
            self.put(build_archive(), "worker.pyz")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for connection in self._connections:
            connection.close()
        self._connections = []
        self._folder = None
        self._stack.close()

    def start(self) -> WorkerConnection:
        """Starts a worker and returns at once.

        Raises:
            WorkerError: the command cannot be started.
            TargetError: there is no room for the worker's files.
        """
        self._connections = [connection for connection in self._connections if not connection.closed]
        self._started += 1
        arguments = [part.replace("{archive}", self.path("worker.pyz")) for part in self._command]
        connection = WorkerConnection(LocalProcess(arguments, Path(self.path(f"stderr-{self._started}.txt"))))
        self._connections.append(connection)
        return connection

    def put(self, data: bytes, name: str) -> str:
        """Stores bytes under a name in the private folder and returns their path.

        Raises:
            TargetError: there is no room for them.
        """
        path = Path(self.path(name))
        try:
            path.write_bytes(data)
        except OSError as error:
            raise full(path.parent, error) from error
        return str(path)

    def get(self, path: str) -> bytes:
        """Reads a file that a worker wrote."""
        return Path(path).read_bytes()

    def path(self, name: str) -> str:
        """The path of a name in the private folder."""
        if self._folder is None:
            raise RuntimeError("the transport is not open; use it in a with statement")
        return str(self._folder / name)

    def remove(self, path: str) -> None:
        """Removes a stored file; one that is gone is not missed."""
        Path(path).unlink(missing_ok=True)


class LocalProcess:
    """A process of this machine, as ``WorkerConnection`` needs it.

    Args:
        arguments: the process's argument list.
        stderr_path: where its standard error is kept, for the tail that errors quote.

    Raises:
        WorkerError: it cannot be started.
        TargetError: there is no room for its standard error.
    """

    def __init__(self, arguments: Sequence[str], stderr_path: Path) -> None:
        self._stderr_path = stderr_path
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        try:
            stderr = stderr_path.open("wb")
        except OSError as error:
            raise full(stderr_path.parent, error) from error
        with stderr:
            try:
                self._process = subprocess.Popen(
                    arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
                )
            except OSError as error:
                msg = f"cannot start a worker with {arguments[0]!r}: {error.strerror}; check the command"
                raise WorkerError(msg) from error
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101, PT018 - for mypy
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        self._receiver = threading.Thread(target=_receive, args=(self._stdout, self._lines), daemon=True)
        self._receiver.start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def name(self) -> str:
        """``worker`` and the process id."""
        return f"worker {self.pid}"

    def write(self, line: bytes) -> None:
        """Writes a line to its input. Raises OSError if it no longer reads."""
        self._stdin.write(line)
        self._stdin.flush()

    def read(self, timeout_s: float) -> bytes:
        """The next line of its output; at the end what is left of one, and then nothing. Raises TimeoutError."""
        try:
            return self._lines.get(timeout=timeout_s)
        except queue.Empty:
            raise TimeoutError from None

    def ending(self, timeout_s: float) -> str | None:
        """How it ended; None if it still runs after ``timeout_s``."""
        try:
            status = self._process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            return None
        return signal_words(-status) if status < 0 else f"exit status {status}"

    def last_words(self) -> str:
        """The end of its standard error."""
        return self._stderr_path.read_bytes()[-_STDERR_TAIL_BYTES:].decode(errors="replace").strip()

    def close(self, timeout_s: float) -> None:
        """Ends it: by closing its input, and by force if it still runs after ``timeout_s``."""
        if timeout_s == 0:
            self._process.kill()  # before its input is closed: what it has not read yet would be waited for
        with contextlib.suppress(OSError):
            self._stdin.close()
        try:
            self._process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._receiver.join(timeout=_RECEIVER_S)
        self._stdout.close()


def _receive(stdout: BinaryIO, lines: queue.SimpleQueue[bytes]) -> None:
    with contextlib.suppress(OSError, ValueError):
        for line in stdout:
            lines.put(line)
    lines.put(b"")
