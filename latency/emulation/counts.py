"""What the plugin writes: the instructions executed so far, each time the worker sets a mark."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from latency.emulation.instruction_count import CLASSES, ClassCounts
from latency.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Sequence


def counts_name(pid: int) -> str:
    """The name of the file that the process ``pid`` is counted in."""
    return f"counts-{pid}.jsonl"


def between_marks(text: str, marks: Sequence[int]) -> ClassCounts:
    """The instructions executed between two marks.

    Args:
        text: one JSON object per line, with ``mark`` and, by class, the instructions since the process began. A mark's
            number may come again after many others; the latest counts.
        marks: the numbers of the first and of the second mark.

    Raises:
        WorkerError: a mark is missing or a line is damaged: the plugin did not run, or the disk is full.
    """
    at: dict[int, dict[str, int]] = {}
    for line in text.splitlines():
        try:
            values = json.loads(line)
            at[int(values.pop("mark"))] = {name: int(values[name]) for name in CLASSES}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            msg = f"the emulator's plugin wrote {line[:80]!r}, which is no count ({error}); is the disk full?"
            raise WorkerError(msg) from error
    first, second = marks
    missing = [mark for mark in (first, second) if mark not in at]
    if missing:
        msg = (
            f"the emulator's plugin counted nothing at mark {missing[0]} of {len(at)}; it did not see the worker's mark"
        )
        raise WorkerError(msg)
    return ClassCounts(**{name: at[second][name] - at[first][name] for name in CLASSES})
