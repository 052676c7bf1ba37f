"""One process on the other machine: lines in, lines out, and how it ended."""

from __future__ import annotations

import asyncio
import errno
import queue
import shlex
import signal
import threading
from typing import TYPE_CHECKING

import asyncssh

from latency.transports.connection import signal_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from latency.transports.ssh.event_loop import LoopThread

_STDERR_TAIL_BYTES = 2000
_REAPED_S = 2.0  # from a process's death until the server has told of it
_SHELL_SIGNALS = 128  # a shell reports signal 9 of its last command as status 137


class SshProcess:
    """A process behind a channel, as ``WorkerConnection`` needs it.

    Args:
        name: what errors call it.
        channel: where its input goes.
        session: what has come from it.
        loop: where the channel lives.
        kill: ends it by force, on that machine.
    """

    def __init__(
        self,
        name: str,
        channel: asyncssh.SSHClientChannel[bytes],
        session: Session,
        loop: LoopThread,
        kill: Callable[[], None],
    ) -> None:
        self.name = name
        self._channel = channel
        self._session = session
        self._loop = loop
        self._kill = kill

    @property
    def ended(self) -> bool:
        """Whether it ended, or cannot be heard of any more."""
        return self._session.ended.is_set()

    def write(self, line: bytes) -> None:
        """Hands a line to the loop that sends it. Raises OSError if the process is known to have ended."""
        if self.ended:
            raise OSError(errno.EPIPE, "its channel is closed")
        self._loop.call(self._write, line)

    def read(self, timeout_s: float) -> bytes:
        """The next line of its output; at the end what is left of one, and then nothing. Raises TimeoutError."""
        try:
            return self._session.lines.get(timeout=timeout_s)
        except queue.Empty:
            raise TimeoutError from None

    def ending(self, timeout_s: float) -> str | None:
        """How it ended; None if it still runs after ``timeout_s``."""
        return self._session.ending if self._session.ended.wait(timeout_s) else None

    def last_words(self) -> str:
        """The end of its standard error."""
        return bytes(self._session.stderr).decode(errors="replace").strip()

    def close(self, timeout_s: float) -> None:
        """Ends it: by closing its input, and by force if it still runs after ``timeout_s``."""
        self._loop.call(self._write_eof)
        if self._session.ended.wait(timeout_s):
            return
        self._kill()
        if not self._session.ended.wait(_REAPED_S):
            self._loop.call(self._channel.abort)

    def _write(self, line: bytes) -> None:
        if not self._channel.is_closing():
            self._channel.write(line)

    def _write_eof(self) -> None:
        if not self._channel.is_closing():
            self._channel.write_eof()


class Session(asyncssh.SSHClientSession[bytes]):
    """Gathers what comes from a process. The loop's thread fills it, another reads.

    ``lines`` gets each line of the output; at the end what is left of one, and then an empty one. ``stderr`` holds
    the last of the standard error, ``ending`` how it ended once ``ended`` is set.
    """

    def __init__(self) -> None:
        self.lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.stderr = bytearray()
        self.ended = threading.Event()
        self.ending = "its channel was closed without a word"
        self._told = False
        self._parts: list[bytes] = []

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Cuts the output into lines, whatever pieces it comes in."""
        if datatype == asyncssh.EXTENDED_DATA_STDERR:
            self.stderr += data
            del self.stderr[:-_STDERR_TAIL_BYTES]
            return
        *lines, rest = data.split(b"\n")
        for line in lines:
            self.lines.put(b"".join([*self._parts, line, b"\n"]))
            self._parts = []
        if rest:
            self._parts.append(rest)

    def exit_status_received(self, status: int) -> None:
        """Keeps the status."""
        number = status - _SHELL_SIGNALS
        by_signal = number in {known.value for known in signal.Signals}
        self._tell(signal_words(number) if by_signal else f"exit status {status}")

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        """Keeps the signal; servers name those that the standard knows without ``SIG``."""
        self._tell(_signal_words(signal))

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come: the channel is closed, or the link is gone."""
        if exc is not None and not self._told:
            self._tell(f"the link to it was lost ({exc})")
        if self._parts:
            self.lines.put(b"".join(self._parts))
        self.lines.put(b"")
        self.ended.set()

    def _tell(self, ending: str) -> None:
        self._told = True
        self.ending = ending


async def execute(
    connection: asyncssh.SSHClientConnection, words: Sequence[str], timeout_s: float
) -> tuple[asyncssh.SSHClientChannel[bytes], Session]:
    """Starts a command. SSH knows only strings, which a shell takes apart there; each word reaches it quoted.

    Raises:
        TimeoutError: nothing was heard of it in time.
        asyncssh.Error: the server refuses, or the link is gone.
    """
    async with asyncio.timeout(timeout_s):
        channel, session = await connection.create_session(Session, shlex.join(words), encoding=None)
    assert isinstance(session, Session)  # noqa: S101 - for mypy: it is what the factory made
    return channel, session


def _signal_words(name: str) -> str:
    known = signal.Signals.__members__.get(f"SIG{name.removeprefix('SIG')}")
    return signal_words(known.value) if known is not None else f"killed by signal {name}"
