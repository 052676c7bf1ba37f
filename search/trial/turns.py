"""Hard work on this machine, in turn with whoever takes latencies there."""

from contextlib import AbstractContextManager

from latency.worker.turn import working
from search.notation import duration_text
from search.stages import StageClock

WAITING = "waiting for a turn"
"""The stage of the seconds in which another process of this machine takes times."""

_NOTABLE_S, _NOTABLE_SHARE = 10.0, 0.05
"""A search that is alone waits too, for its own workers that load: milliseconds a trial, which a night adds up."""


class WaitNotice:
    """Says once, in words, that others take times on this machine too: a search that stands still wants a reason.

    Args:
        stages: Where the seconds are counted.
    """

    def __init__(self, stages: StageClock) -> None:
        self._stages = stages
        self._is_said = False

    def take(self) -> str:
        """The words, the first time that they are due; else nothing."""
        seconds = self._stages.seconds
        waited_s = seconds.get(WAITING, 0.0)
        if self._is_said or waited_s < max(_NOTABLE_S, _NOTABLE_SHARE * sum(seconds.values())):
            return ""
        self._is_said = True
        return (
            f"waited {duration_text(waited_s)} so far for other paretune processes of this machine: latencies are "
            "taken in turns; timings.json adds it up"
        )


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
