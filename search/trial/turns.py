"""Hard work on this machine, in turn with whoever takes latencies there."""

from contextlib import AbstractContextManager

from latency.worker.turn import working
from search.stages import StageClock

WAITING = "waiting for a turn"
"""The stage of the seconds in which another process of this machine takes times."""


def in_turn(stages: StageClock, stage: str) -> AbstractContextManager[None]:
    """The block works hard and counts as `stage`: nobody takes times meanwhile. Keep it short."""
    return _InTurn(stages, stage)


class _InTurn:
    """Entered and left around every batch of samples, so it says itself what a stack of contexts would say."""

    __slots__ = ("_stage", "_turn", "_waiting")

    def __init__(self, stages: StageClock, stage: str) -> None:
        self._turn = working()
        self._waiting, self._stage = stages.stage(WAITING), stages.stage(stage)

    def __enter__(self) -> None:
        with self._waiting:
            self._turn.__enter__()
        self._stage.__enter__()

    def __exit__(self, *error: object) -> None:
        self._stage.__exit__()
        self._turn.__exit__()
