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
    """The entries of one table.

    Args:
        path: The file; made with the first entry.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

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
        if not self._path.is_file():
            return
        for line in self._path.read_text().splitlines():
            try:
                fields = json.loads(line)
            except json.JSONDecodeError:
                continue
            score = fields.pop("score")
            if score is not None:
                score = Score(**{**score, "prefix_divergences": tuple(score["prefix_divergences"])})
            timing = fields.pop("timing")
            yield Entry(score=score, timing=None if timing is None else Timing(**timing), **fields)
