"""What a search tells whoever watches it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One sign of life.

    Attributes:
        stage: `export`, `calibration`, `baseline`, `layer times`, `sweep`, `search`, `recovery`,
            `confirmation` or `report`.
        done: Steps done in this stage.
        total: Steps in this stage; None where a deadline ends it.
        front_size: Points on the front so far.
        best_speedup: Largest speedup close to FP32's metric; None before there is one.
        close: What counts as close, in words.
        remaining_s: Seconds left until the front is confirmed, estimated; None before that can be told.
        detail: What the step is at, where that changes from step to step.
        note: What happened, for a log line; empty for a plain tick.
    """

    stage: str
    done: int
    total: int | None
    front_size: int = 0
    best_speedup: float | None = None
    close: str = "1 point"
    remaining_s: float | None = None
    detail: str = ""
    note: str = ""


Listener = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Listen to nothing."""
