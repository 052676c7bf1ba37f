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
    from collections.abc import Iterator

FOLDER = Path("/tmp")  # noqa: S108 - the one folder that all users of a machine share
GATE = "paretune-gate.lock"
ROOM = "paretune-room.lock"
PATIENCE_S = 20.0

_LOOK_S = 0.002
_MODE = 0o644  # a lock needs no more than reading


@contextlib.contextmanager
def measuring() -> Iterator[None]:
    """The block takes times: nobody else's block, of either kind, runs meanwhile."""
    with _inside(alone=True):
        yield


@contextlib.contextmanager
def working() -> Iterator[None]:
    """The block works hard: nobody takes times meanwhile. Keep it short, and take no times in it."""
    with _inside(alone=False):
        yield


@contextlib.contextmanager
def _inside(*, alone: bool) -> Iterator[None]:
    try:
        import fcntl
    except ImportError:  # not on this system
        yield
        return
    gate, room = _open(GATE), _open(ROOM)
    try:
        if gate is not None and room is not None:
            deadline = time.monotonic() + PATIENCE_S
            if _lock(gate, fcntl.LOCK_EX, deadline):
                _lock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH, deadline)
                fcntl.flock(gate, fcntl.LOCK_UN)
        yield
    finally:
        for descriptor in (room, gate):
            if descriptor is not None:
                os.close(descriptor)


def _lock(descriptor: int, kind: int, deadline: float) -> bool:
    """Locks a file, unless it takes too long."""
    import fcntl

    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except OSError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_LOOK_S)
        else:
            return True


def _open(name: str) -> int | None:
    """A file that any user can lock; None where it cannot be had."""
    path = FOLDER / name
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
    with contextlib.suppress(OSError):
        return os.open(path, flags)
    with contextlib.suppress(OSError):
        return os.open(path, flags | os.O_CREAT, _MODE)
    return None
