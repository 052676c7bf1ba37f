"""Finished weights as files: the level of the store that all trials and workers of a run share."""

import contextlib
import hashlib
import json
import logging
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.whole_file import PARTIAL_SUFFIX, whole_file

Key = tuple[str | int | float | None, ...] | str
Arrays = tuple[NDArray[Any], ...]

# Raise it whenever the same key may mean other arrays than before, or the files look different.
FORMAT_VERSION = 2
DEFAULT_DISK_LIMIT_BYTES = 4 * 2**30

# All arrays of an entry lie in one member of the archive, one behind the other: a member each takes longer to open and
# to check than to read.
_HEADER, _DATA = "header", "data"
_OURS = re.compile(r"[0-9a-f]{64}\.npz|\.[0-9a-f]{64}\.npz\..*\.partial")
# Listing a folder of thousands takes longer than writing a file. Of the room that was there when it was last listed, a
# writer fills this share before it looks again; and when nothing is left, this share of the limit is made free at once.
_SHARE_BETWEEN_LOOKS = 1 / 16
# A writer needs seconds. A partial file this old has lost its writer.
_PARTIAL_LIFETIME_S = 3600.0
_log = logging.getLogger(__name__)


def canonical(key: Key) -> str:
    """The key as text: different keys differ in it, also where Python calls them equal (1, 1.0 and True).

    Raises:
        TypeError: A part of the key is of another type, whose text might be another in the next process.
    """
    for part in (key,) if isinstance(key, str) else key:
        if part is not None and type(part) not in (str, int, float):
            raise TypeError(f"a key is made of str, int, float and None, got {part!r} of type {type(part).__name__}")
    return json.dumps([FORMAT_VERSION, key])


class VariantFiles:
    """A folder with one NumPy archive per key, bounded in size, for any number of processes at once.

    Files are written whole or not at all, and their contents are checked when they are read: what is torn, or not
    ours, counts as missing and is written again. A disk that cannot be written to is reported once, in the log, and
    then only read.

    Args:
        folder: Where the files lie; made when the first is written.
        limit_bytes: Most bytes of finished files; those read longest ago go first. Where several processes write at
            once each may exceed it by a sixteenth of the room that it last found.
    """

    def __init__(self, folder: Path, limit_bytes: int = DEFAULT_DISK_LIMIT_BYTES) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._writable = True
        self._free_bytes = 0.0  # that may be written before the next look at the folder

    def read(self, key: str) -> Arrays | None:
        """The arrays under a canonical key; None where there are none that can be read."""
        path = self._path(key)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                stored_key, kinds = json.loads(archive[_HEADER].item())
                if stored_key != key:
                    return None
                arrays = _unpacked(archive[_DATA], kinds)
        except FileNotFoundError:
            return None
        except Exception as error:  # a damaged archive makes its parsers raise anything, tokenize.TokenError included
            _log.info("stored weights in %s cannot be read and are made anew: %s", path, error)
            return None
        # Read just now: the last to go. It may have gone meanwhile, or lie where we may not write.
        with contextlib.suppress(OSError):
            os.utime(path)
        return arrays

    def write(self, key: str, arrays: Arrays) -> None:
        """Store the arrays under a canonical key, and drop what is over the limit."""
        if not self._writable or sum(array.nbytes for array in arrays) > self._limit_bytes:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._free_bytes -= self._write(self._path(key), json.dumps([key, _kinds(arrays)]), arrays)
            if self._free_bytes < 0.0:
                self._free_bytes = _SHARE_BETWEEN_LOOKS * self._evict()
        except OSError as error:
            self._writable = False
            _log.warning(
                "finished weights are kept in memory only from now on, since %s cannot be written to: %s",
                self._folder,
                error,
            )

    def _path(self, key: str) -> Path:
        return self._folder / f"{hashlib.sha256(key.encode()).hexdigest()}.npz"

    def _write(self, path: Path, header: str, arrays: Arrays) -> int:
        """Write a file, and say how many bytes it has."""
        data = np.frombuffer(b"".join(array.tobytes() for array in arrays), np.uint8)
        with whole_file(path, durable=False) as file:
            np.savez(file, allow_pickle=False, **{_HEADER: np.array(header.encode()), _DATA: data})
            return file.tell()

    def _evict(self) -> int:
        """Remove what was read longest ago where the limit is passed, and what writers that died have left.

        Returns:
            Bytes that may still be written.
        """
        finished = sorted(self._files(".npz"), key=lambda entry: entry[1].st_mtime_ns)
        total = sum(status.st_size for _, status in finished)
        if total > self._limit_bytes:
            aim = round(self._limit_bytes * (1.0 - _SHARE_BETWEEN_LOOKS))
            for path, status in finished[:-1]:
                if total <= aim:
                    break
                path.unlink(missing_ok=True)
                total -= status.st_size
        if total > self._limit_bytes:
            finished[-1][0].unlink(missing_ok=True)
            total = 0
        now = finished[-1][1].st_mtime if finished else 0.0
        for path, status in self._files(PARTIAL_SUFFIX):
            if now - status.st_mtime > _PARTIAL_LIFETIME_S:
                path.unlink(missing_ok=True)
        return self._limit_bytes - total

    def _files(self, suffix: str) -> Iterator[tuple[Path, os.stat_result]]:
        """Our files of that kind; others may take them away while we look."""
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.endswith(suffix) and _OURS.fullmatch(entry.name):
                    with contextlib.suppress(FileNotFoundError):
                        yield Path(entry.path), entry.stat()


def _kinds(arrays: Arrays) -> list[tuple[str, tuple[int, ...]]]:
    """Type and shape of each."""
    return [(array.dtype.str, array.shape) for array in arrays]


def _unpacked(data: NDArray[np.uint8], kinds: list[tuple[str, list[int]]]) -> Arrays:
    """The arrays of those types and shapes that lie in `data` one behind the other.

    Raises:
        ValueError: It has another length than they need.
    """
    arrays, start = [], 0
    for name, shape in kinds:
        dtype = np.dtype(name)
        stop = start + dtype.itemsize * math.prod(shape)
        arrays.append(data[start:stop].view(dtype).reshape(shape))
        start = stop
    if start != len(data):
        raise ValueError(f"{start} bytes were announced, got {len(data)}")
    return tuple(arrays)
