"""The append-only file of every instruction count ever taken, which is also the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latency.emulation.instruction_count import InstructionCount, read_values
from latency.keyed_log import KeyedLog
from latency.measurement import MeasurementKey

if TYPE_CHECKING:
    from pathlib import Path


class InstructionLog(KeyedLog[MeasurementKey]):
    """One instruction count per line (``KeyedLog``); a file of its own, apart from the measurements of time.

    Args:
        path: the file; it is made by the first append.

    Raises:
        MeasurementFormatError: a line in it is no instruction count, or one of a newer format.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, lambda line: MeasurementKey.from_dict(read_values(line)["key"]))

    def find(self, key: MeasurementKey) -> InstructionCount | None:
        """The latest instruction count with this key, or None."""
        line = self.find_line(key)
        return None if line is None else InstructionCount.from_json(line)

    def append(self, count: InstructionCount) -> None:
        """Writes one instruction count to the disk."""
        self.append_line(count.to_json(), count.key)
