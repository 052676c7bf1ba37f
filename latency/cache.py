"""The append-only file of every measurement ever taken, which is also the cache."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO

from latency.errors import MeasurementFormatError
from latency.measurement import Measurement, MeasurementKey, read_values

if TYPE_CHECKING:
    from pathlib import Path

_UNRELIABLE = "unreliable"


class MeasurementLog:
    """One measurement per line. A line is on the disk before ``append`` returns; one process writes at a time.

    A last line without its end is what a killed process leaves: it is not read, and cut off before the next append.
    Raw samples stay on the disk; only their places are kept in memory.

    Args:
        path: the file; it is made by the first append.

    Raises:
        MeasurementFormatError: a line in it is no measurement, or one of a newer format.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[MeasurementKey, int] = {}
        self._end = 0
        if path.exists():
            with path.open("rb") as file:
                self._index(file)

    def __len__(self) -> int:
        """How many different keys can be found."""
        return len(self._places)

    def find(self, key: MeasurementKey) -> Measurement | None:
        """The latest measurement with this key that is not ``unreliable``, or None."""
        place = self._places.get(key)
        if place is None:
            return None
        with self._path.open("rb") as file:
            file.seek(place)
            return Measurement.from_json(file.readline().decode())

    def append(self, measurement: Measurement) -> None:
        """Writes one measurement to the disk."""
        line = measurement.to_json().encode() + b"\n"
        with self._path.open("r+b" if self._path.exists() else "w+b") as file:
            file.truncate(self._end)
            file.seek(self._end)
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        if measurement.grade != _UNRELIABLE:
            self._places[measurement.key] = self._end
        self._end += len(line)

    def _index(self, file: BinaryIO) -> None:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                values = read_values(line.decode())
                if values["grade"] != _UNRELIABLE:
                    self._places[MeasurementKey.from_dict(values["key"])] = self._end
            except (KeyError, TypeError, ValueError) as error:
                msg = f"{self._path}, line {number}: {error}"
                raise MeasurementFormatError(msg) from error
            self._end += len(line)
