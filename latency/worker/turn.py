"""Whose turn it is on this machine: latencies are taken one at a time, and while nobody of ours works hard.

Two locks of the whole machine (files in `/tmp`, whatever `TMPDIR` says) make it so among all processes that use this
module: whoever takes times holds `ROOM` alone, whoever works holds it together with others. Both pass through `GATE`
first, where whoever wants to take times waits for the workers inside and lets no new ones in.

It is a courtesy and not what makes a figure right: every measurement is graded by what else really ran. So nobody
waits forever, nor fails where the files cannot be had: a process that was stopped in its turn holds up the others for
`PATIENCE_S` at most.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

FOLDER = Path("/tmp")  # noqa: S108 - the one folder that all users of a machine share
GATE = "paretune-gate.lock"
ROOM = "paretune-room.lock"
PATIENCE_S = 20.0

# Somebody else at the gate is gone in microseconds, somebody who takes times in tenths of a second.
_FIRST_LOOK_S, _LOOK_S = 0.0001, 0.002
_MODE = 0o644  # a lock needs no more than reading


class Turn:
    """A block of one kind: entered once it is its turn, and over when it is left.

    A run goes in and out thousands of times an hour, between inferences of a millisecond: it is written to cost
    microseconds. The files are opened anew each time: kept ones would be others' no longer once ``/tmp`` was swept.
    """

    __slots__ = ("_alone", "_room", "waited_ns")

    def __init__(self, *, alone: bool) -> None:
        self._alone = alone
        self._room: int | None = None
        self.waited_ns = 0
        """How long it took to get in, the last time."""

    def __enter__(self) -> Self:
        """Waits for the turn, ``PATIENCE_S`` at most."""
        started_ns = time.monotonic_ns()
        self._wait()
        self.waited_ns = time.monotonic_ns() - started_ns
        return self

    def _wait(self) -> None:
        try:
            import fcntl
        except ImportError:  # not on this system
            return
        gate = _open(GATE)
        if gate is None:
            return
        try:
            self._room = _open(ROOM)
            if self._room is not None:
                deadline = time.monotonic() + PATIENCE_S
                if _lock(gate, fcntl.LOCK_EX, deadline):
                    _lock(self._room, fcntl.LOCK_EX if self._alone else fcntl.LOCK_SH, deadline)
        except BaseException:
            self.__exit__()
            raise
        finally:
            os.close(gate)  # and so whoever waits there comes next

    def __exit__(self, *_: object) -> None:
        """Ends the turn."""
        room, self._room = self._room, None
        if room is not None:
            os.close(room)


def measuring() -> Turn:
    """The block takes times: nobody else's block, of either kind, runs meanwhile."""
    return Turn(alone=True)


def working() -> Turn:
    """The block works hard: nobody takes times meanwhile. Keep it short, and take no times in it."""
    return Turn(alone=False)


def _lock(descriptor: int, kind: int, deadline: float) -> bool:
    """Locks a file, unless it takes too long."""
    import fcntl

    pause_s = _FIRST_LOOK_S
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LOOK_S)
        else:
            return True


def _open(name: str) -> int | None:
    """A file that any user can lock; None where it cannot be had."""
    path = f"{FOLDER}/{name}"
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        return os.open(path, flags)
    except OSError:
        with contextlib.suppress(OSError):
            return os.open(path, flags | os.O_CREAT, _MODE)
    return None
