"""An append-only file of values, one JSON line each, in which the latest of a key is found again."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO, Generic, TypeVar

from latency.errors import MeasurementFormatError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Key = TypeVar("Key")


class KeyedLog(Generic[Key]):
    """One value per line. A line is on the disk before ``append`` returns; one process writes at a time.

    A last line without its end is what a killed process leaves: it is not read, and cut off before the next append.
    The values stay on the disk; only their places are kept in memory.

    Args:
        path: the file; it is made by the first append.
        key_of: the key of a line, or None for a line that is kept but never found; raises ValueError, KeyError or
            TypeError for what is no value.

    Raises:
        MeasurementFormatError: a line in it is no value, or one of a newer format.
    """

    def __init__(self, path: Path, key_of: Callable[[str], Key | None]) -> None:
        self._path = path
        self._key_of = key_of
        self._places: dict[Key, int] = {}
        self._end = 0
        if path.exists():
            with path.open("rb") as file:
                self._index(file)

    def __len__(self) -> int:
        """How many different keys can be found."""
        return len(self._places)

    def __contains__(self, key: Key) -> bool:
        """Whether it can be found."""
        return key in self._places

    def find_line(self, key: Key) -> str | None:
        """The latest line with this key, or None."""
        place = self._places.get(key)
        if place is None:
            return None
        with self._path.open("rb") as file:
            file.seek(place)
            return file.readline().decode()

    def append_line(self, line: str, key: Key | None) -> None:
        """Writes one value to the disk; with None for its key it is never found again."""
        data = line.encode() + b"\n"
        with self._path.open("r+b" if self._path.exists() else "w+b") as file:
            file.truncate(self._end)
            file.seek(self._end)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if key is not None:
            self._places[key] = self._end
        self._end += len(data)

    def _index(self, file: BinaryIO) -> None:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                key = self._key_of(line.decode())
            except (KeyError, TypeError, ValueError) as error:
                msg = f"{self._path}, line {number}: {error}"
                raise MeasurementFormatError(msg) from error
            if key is not None:
                self._places[key] = self._end
            self._end += len(line)
