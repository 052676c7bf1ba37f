"""The append-only file of every measurement ever taken, which is also the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latency.keyed_log import KeyedLog
from latency.measurement import Measurement, MeasurementKey, read_values

if TYPE_CHECKING:
    from pathlib import Path

_UNRELIABLE = "unreliable"


class MeasurementLog(KeyedLog[MeasurementKey]):
    """One measurement per line (``KeyedLog``).

    Args:
        path: the file; it is made by the first append.

    Raises:
        MeasurementFormatError: a line in it is no measurement, or one of a newer format.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, _key_of)

    def find(self, key: MeasurementKey) -> Measurement | None:
        """The latest measurement with this key that is not ``unreliable``, or None."""
        line = self.find_line(key)
        return None if line is None else Measurement.from_json(line)

    def append(self, measurement: Measurement) -> None:
        """Writes one measurement to the disk."""
        self.append_line(measurement.to_json(), None if measurement.grade == _UNRELIABLE else measurement.key)


def _key_of(line: str) -> MeasurementKey | None:
    values = read_values(line)
    return None if values["grade"] == _UNRELIABLE else MeasurementKey.from_dict(values["key"])
