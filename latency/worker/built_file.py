"""A file that holds what a builder made of a model: made once, and the same for all workers that share the file."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

try:
    import fcntl
except ImportError:  # not on Windows: workers there may build twice, and the last one's file stays
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def read_or_build(path: str | None, key: str, build: Callable[[], bytes]) -> bytes:
    """The file's contents if it was made under ``key``; else what ``build`` makes, which is written there.

    One process builds, others that ask meanwhile wait for it and read. A file of another key is replaced: it was
    made of another model that lay in the same place.

    Args:
        path: the file; None builds without one.
        key: what the contents depend on, in one line.
        build: makes the contents.
    """
    if path is None:
        return build()
    header = f"{key}\n".encode()
    with locked(path):
        try:
            found = Path(path).read_bytes()
        except FileNotFoundError:
            found = b""
        if found.startswith(header):
            return found[len(header) :]
        data = build()
        write_whole(path, header + data)
        return data


@contextlib.contextmanager
def locked(path: str) -> Iterator[None]:
    """Keeps other processes out of the block that name the same path. The system unlocks what a dead process held."""
    with Path(f"{path}.building").open("wb") as lock:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_whole(path: str, data: bytes) -> None:
    """Writes a file that others see whole or not at all."""
    target = Path(path)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
