"""Workers that start before it is known what they will time."""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING

from latency.errors import TargetError, WorkerError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from latency.transports import Connection, Transport


class HeadStart:
    """A transport some of whose workers start at once: they import their runtime while their caller does other things.

    Whoever makes it owns it and enters it, in a with statement. It may be entered again inside, as a ``Meter`` does
    with the transport that it is given; what is left first ends the workers, and leaving again is harmless.

    Args:
        transport: what starts the workers.
        workers: how many start when it is entered. The first calls of ``start`` hand them out, later ones start more.
    """

    def __init__(self, transport: Transport, *, workers: int) -> None:
        self._transport = transport
        self._size = workers
        self._waiting: deque[Connection] = deque()
        self._is_open = False

    def __enter__(self) -> Self:
        """Opens the transport and starts the workers. What fails here fails again, with its reason, where it counts."""
        if self._is_open:
            return self
        with contextlib.suppress(TargetError, WorkerError):
            self._open()
            self._waiting.extend(self._transport.start() for _ in range(self._size))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.clear()
        if self._is_open:
            self._is_open = False
            self._transport.__exit__(kind, error, trace)

    def start(self) -> Connection:
        """A worker that is on its way already, or one that starts now; see ``Transport.start``."""
        self._open()
        return self._waiting.popleft() if self._waiting else self._transport.start()

    def put(self, data: bytes, name: str) -> str:
        """See ``Transport.put``."""
        self._open()
        return self._transport.put(data, name)

    def get(self, path: str) -> bytes:
        """See ``Transport.get``."""
        return self._transport.get(path)

    def path(self, name: str) -> str:
        """See ``Transport.path``."""
        self._open()
        return self._transport.path(name)

    def remove(self, path: str) -> None:
        """See ``Transport.remove``."""
        self._transport.remove(path)

    def _open(self) -> None:
        if not self._is_open:
            self._transport.__enter__()
            self._is_open = True
