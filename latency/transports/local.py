"""Workers on this machine."""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from latency.errors import OperationError, WorkerError
from latency.transports.scratch import full, scratch_folder
from latency.worker_archive import build_archive

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

_STDERR_TAIL_BYTES = 2000
_EXIT_S = 2.0  # how long a worker may take to end before it is killed


class LocalTransport:
    """Starts the worker archive with this Python, in a private folder that disappears with the transport.

    Args:
        command: what starts a worker, with ``{archive}`` where the archive's path goes; None for this Python.
    """

    def __init__(self, command: Sequence[str] | None = None) -> None:
        self._command = tuple(command) if command else (sys.executable, "-X", "faulthandler", "{archive}")
        self._folder: Path | None = None
        self._stack = contextlib.ExitStack()
        self._connections: list[LocalConnection] = []
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

    def start(self) -> LocalConnection:
        """Starts a worker and returns at once.

        Raises:
            WorkerError: the command cannot be started.
            TargetError: there is no room for the worker's files.
        """
        self._connections = [connection for connection in self._connections if not connection.closed]
        self._started += 1
        arguments = [part.replace("{archive}", self.path("worker.pyz")) for part in self._command]
        connection = LocalConnection(arguments, Path(self.path(f"stderr-{self._started}.txt")))
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


class LocalConnection:
    """A worker process that speaks JSON lines on its standard input and output.

    Args:
        arguments: the process's argument list.
        stderr_path: where its standard error is kept, for the tail that errors quote.
    """

    def __init__(self, arguments: Sequence[str], stderr_path: Path) -> None:
        self.closed = False
        self._stderr_path = stderr_path
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._sent = 0
        self._answered = 0
        self._ops: dict[int, str] = {}
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
        """The worker's process id."""
        return self._process.pid

    def post(self, op: str, **fields: Any) -> None:
        """Sends a request without waiting. Raises WorkerError if the worker is gone."""
        if self.closed:
            raise WorkerError(f"operation '{op}' was sent to a closed worker; start another")
        self._sent += 1
        self._ops[self._sent] = op
        line = json.dumps({"op": op, "id": self._sent, **fields}).encode() + b"\n"
        try:
            self._stdin.write(line)
            self._stdin.flush()
        except OSError as error:
            raise self._lost(op, f"no longer reads ({error.strerror})") from error

    def collect(self, timeout_s: float) -> dict[str, Any]:
        """Waits for the next answer.

        Raises:
            WorkerError: time-out, death or an answer that is none; the worker is closed then.
            OperationError: the worker refused, and lives.
        """
        self._answered += 1
        op = self._ops.pop(self._answered, "?")
        try:
            line = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            raise self._lost(op, f"did not answer within {timeout_s:g} s") from None
        answer = self._parse(op, line)
        if not answer["ok"]:
            raise OperationError(str(answer.get("error")), kind=str(answer.get("kind")))
        return answer

    def request(self, op: str, timeout_s: float, **fields: Any) -> dict[str, Any]:
        """Sends a request and waits for its answer."""
        self.post(op, **fields)
        return self.collect(timeout_s)

    def close(self) -> None:
        """Ends the process: by closing its input, then by force."""
        if self.closed:
            return
        self.closed = True
        with contextlib.suppress(OSError):
            self._stdin.close()
        try:
            self._process.wait(timeout=_EXIT_S if not self._ops else 0.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._receiver.join(timeout=_EXIT_S)
        self._stdout.close()

    def _parse(self, op: str, line: bytes) -> dict[str, Any]:
        if not line:
            raise self._lost(op, "ended")
        if not line.endswith(b"\n"):
            raise self._lost(op, f"ended in the middle of an answer ({_shown(line)})")
        try:
            answer = json.loads(line)
        except ValueError:
            raise self._lost(op, f"answered something that is not JSON ({_shown(line)})") from None
        if not isinstance(answer, dict) or "ok" not in answer or answer.get("id") not in {self._answered, None}:
            raise self._lost(op, f"answered out of turn ({_shown(line)})")
        return answer

    def _lost(self, op: str, what: str) -> WorkerError:
        """Closes the worker and words what happened, how it ended and what it last said."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=0.1)  # one that is dying gets to say how
        status = self._process.poll()
        self._process.kill()
        self.close()
        how = f"; {_ending(status)}" if status is not None else ""
        tail = self._stderr_path.read_bytes()[-_STDERR_TAIL_BYTES:].decode(errors="replace").strip()
        return WorkerError(f"worker {self.pid} {what} during '{op}'{how}; its last words: {tail or 'none'}")


def _receive(stdout: BinaryIO, lines: queue.SimpleQueue[bytes]) -> None:
    with contextlib.suppress(OSError, ValueError):
        for line in stdout:
            lines.put(line)
    lines.put(b"")


def _shown(line: bytes) -> str:
    text = line[:80].decode(errors="replace").strip()
    return f"{text!r}, {len(line)} bytes"


def _ending(status: int) -> str:
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"
