"""What has been taken so far of the policies that are tabulated: one JSON line each, so that a stop loses nothing."""

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.tabulated.readings import Score, Timing


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One policy in one pass.

    Attributes:
        position: The policy's in the enumeration of its space.
        digest: Of the candidate's bytes.
        taken_in: The number of the pass.
        timing: The candidate's; None where these bytes had been timed in the same pass.
        score: The candidate's; None where these bytes had been scored before.
        build_cpu_s: Processor time that building took.
    """

    position: int
    digest: str
    taken_in: int
    timing: Timing | None
    score: Score | None
    build_cpu_s: float


class WorkFile:
    """The entries of one table; several processes may write it at once.

    Args:
        path: The file; made with the first entry.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_to = 0

    def add(self, entry: Entry) -> None:
        """Keep `entry`."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a+b") as file:
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":  # a stop cut the last line off
                    file.write(b"\n")
            file.write(json.dumps(asdict(entry)).encode() + b"\n")

    def entries(self) -> Iterator[Entry]:
        """All that were kept, oldest first; a line that a stop cut off is none."""
        self._read_to = 0
        return self.fresh()

    def fresh(self) -> Iterator[Entry]:
        """Those that were kept since it was read last, by whatever process."""
        if not self._path.is_file():
            return
        with self._path.open("rb") as file:
            file.seek(self._read_to)
            lines = file.readlines()
        for line in lines:
            if not line.endswith(b"\n"):  # somebody is writing it
                return
            self._read_to += len(line)
            try:
                fields = json.loads(line)
            except json.JSONDecodeError:
                continue
            score, timing = fields.pop("score"), fields.pop("timing")
            yield Entry(
                score=None if score is None else Score(**score),
                timing=None if timing is None else Timing(**timing),
                **fields,
            )
