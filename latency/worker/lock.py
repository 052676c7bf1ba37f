"""A file that says which process lives: locked by it for as long as it does, however it ends."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

_STEP_S = 0.02


def hold(path: Path) -> TextIO:
    """Writes this process's id to a file and locks it. The file stays locked until it is closed or the process ends."""
    import fcntl

    file = path.open("a+")
    fcntl.flock(file, fcntl.LOCK_EX)
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def is_held(path: Path) -> bool:
    """Whether a process holds the file; False where there is none."""
    import fcntl

    try:
        with path.open("r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def end_holder(path: Path, patience_s: float) -> bool:
    """Kills the process that holds the file. Returns whether nobody holds it any more.

    Only a process that lives holds it, so that its id is never that of a later one.
    """
    deadline = time.monotonic() + patience_s
    while is_held(path):
        text = path.read_text()
        if text.isdigit():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(text), signal.SIGKILL)
        if time.monotonic() > deadline:
            return False
        time.sleep(_STEP_S)
    return True
