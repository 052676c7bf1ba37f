"""A worker process as a connection: requests and answers as JSON lines, and in words what went wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from latency.errors import OperationError, WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable

_EXIT_S = 2.0  # how long a worker may take to end before it is killed
_DYING_S = 0.1  # one that is dying gets to say how


class WorkerProcess(Protocol):
    """What a connection needs of a process, wherever that runs."""

    @property
    def name(self) -> str:
        """What errors call it."""
        ...

    def write(self, line: bytes) -> None:
        """Hands it a line. Raises OSError if it no longer reads."""
        ...

    def read(self, timeout_s: float) -> bytes:
        """Its next line; at its end what it left of one, and then nothing. Raises TimeoutError."""
        ...

    def ending(self, timeout_s: float) -> str | None:
        """How it ended, in words; None if it still runs after ``timeout_s``."""
        ...

    def last_words(self) -> str:
        """The end of what it wrote on standard error."""
        ...

    def close(self, timeout_s: float) -> None:
        """Ends it: by closing its input, and by force if it still runs after ``timeout_s``."""
        ...


class WorkerConnection:
    """A worker that speaks JSON lines on its standard input and output; a ``Connection``.

    Args:
        process: the worker.
    """

    def __init__(self, process: WorkerProcess) -> None:
        self.closed = False
        self._process = process
        self._sent = 0
        self._answered = 0
        self._ops: dict[int, str] = {}

    def post(self, op: str, **fields: Any) -> None:
        """Sends a request without waiting. Raises WorkerError if the worker is gone."""
        if self.closed:
            raise WorkerError(f"operation '{op}' was sent to a closed worker; start another")
        self._sent += 1
        self._ops[self._sent] = op
        line = json.dumps({"op": op, "id": self._sent, **fields}).encode() + b"\n"
        try:
            self._process.write(line)
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
            line = self._process.read(timeout_s)
        except TimeoutError:
            raise self._lost(op, f"did not answer within {timeout_s:g} s") from None
        answer = parse_answer(line, self._answered, lambda what: self._lost(op, what))
        if not answer["ok"]:
            raise OperationError(str(answer.get("error")), kind=str(answer.get("kind")))
        return answer

    def request(self, op: str, timeout_s: float, **fields: Any) -> dict[str, Any]:
        """Sends a request and waits for its answer."""
        self.post(op, **fields)
        return self.collect(timeout_s)

    def close(self) -> None:
        """Ends the process: by closing its input, then by force."""
        if not self.closed:
            self.closed = True
            self._process.close(0.0 if self._ops else _EXIT_S)

    def _lost(self, op: str, what: str) -> WorkerError:
        """Closes the worker and words what happened, how it ended and what it last said."""
        ending = self._process.ending(_DYING_S)
        self.closed = True
        self._process.close(0.0)
        how = f"; {ending}" if ending is not None else ""
        tail = self._process.last_words()
        return WorkerError(f"{self._process.name} {what} during '{op}'{how}; its last words: {tail or 'none'}")


def parse_answer(line: bytes, number: int, lost: Callable[[str], WorkerError]) -> dict[str, Any]:
    """The answer to request ``number`` that a line holds; raises what ``lost`` makes of the reason if it holds none."""
    if not line:
        raise lost("ended")
    if not line.endswith(b"\n"):
        raise lost(f"ended in the middle of an answer ({_shown(line)})")
    try:
        answer = json.loads(line)
    except ValueError:
        raise lost(f"answered something that is not JSON ({_shown(line)})") from None
    if not isinstance(answer, dict) or "ok" not in answer or answer.get("id") not in {number, None}:
        raise lost(f"answered out of turn ({_shown(line)})")
    return answer


def signal_words(number: int) -> str:
    """How errors put it that a signal ended a process."""
    return f"killed by signal {number}"


def _shown(line: bytes) -> str:
    text = line[:80].decode(errors="replace").strip()
    return f"{text!r}, {len(line)} bytes"
