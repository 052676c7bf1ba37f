"""Hard work on this machine, in turn with whoever takes latencies there."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from latency.worker.turn import working
from search.stages import StageClock

WAITING = "waiting for a turn"
"""The stage of the seconds in which another process of this machine takes times."""


@contextmanager
def in_turn(stages: StageClock, stage: str) -> Iterator[None]:
    """The block works hard and counts as `stage`: nobody takes times meanwhile. Keep it short."""
    with ExitStack() as stack:
        with stages.stage(WAITING):
            stack.enter_context(working())
        with stages.stage(stage):
            yield
