"""What the plugin writes: the instructions executed so far, each time the worker sets a mark."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import TYPE_CHECKING

from latency.emulation.instruction_count import CLASSES, ClassCounts
from latency.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Sequence


def counts_name(pid: int) -> str:
    """The name of the file that the process ``pid`` is counted in."""
    return f"counts-{pid}.jsonl"


def between_marks(text: str, marks: Sequence[int]) -> tuple[ClassCounts, ...]:
    """The instructions executed between each mark and the next, of those that were set last.

    Args:
        text: one JSON object per line, with ``mark`` and, by class, the instructions since the process began.
        marks: the numbers of the last marks, in order.

    Raises:
        WorkerError: marks are missing or a line is damaged: the plugin did not run, or the disk is full.
    """
    lines = text.splitlines()[-len(marks) :]
    found = [_parse(line) for line in lines]
    numbers = [number for number, _ in found]
    if numbers != list(marks):
        msg = (
            f"the emulator's plugin counted at the marks {numbers}, the worker had set {list(marks)}; is the disk full?"
        )
        raise WorkerError(msg)
    return tuple(
        ClassCounts(**{name: after[name] - before[name] for name in CLASSES})
        for (_, before), (_, after) in pairwise(found)
    )


def _parse(line: str) -> tuple[int, dict[str, int]]:
    try:
        values = json.loads(line)
        return int(values["mark"]), {name: int(values[name]) for name in CLASSES}
    except (KeyError, TypeError, ValueError) as error:
        msg = f"the emulator's plugin wrote {line[:80]!r}, which is no count ({error}); is the disk full?"
        raise WorkerError(msg) from error
