"""Where a search's wall time goes."""

import time
from collections.abc import Callable, Mapping

INFERENCE_STAGES = ("accuracy inference", "latency inference")
"""Stages in which the network under test runs; everything else is our own overhead."""


class StageClock:
    """Adds up seconds by stage. Stages nest: inner seconds are not counted in the outer stage.

    Args:
        seconds: Seconds from earlier sessions of the same run.
        clock: Monotonic seconds.
    """

    def __init__(
        self, seconds: Mapping[str, float] | None = None, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._seconds = dict(seconds or {})
        self._clock = clock
        self._inner = [0.0]

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by stage so far."""
        return dict(self._seconds)

    def stage(self, name: str) -> "Stage":
        """Count the block's seconds as `name`."""
        return Stage(self, name)

    def begin(self) -> float:
        """Begin a stage inside those that have begun, and say when."""
        self._inner.append(0.0)
        return self._clock()

    def end(self, name: str, started: float) -> None:
        """End the innermost stage, which began then, as `name`."""
        elapsed = self._clock() - started
        self.add(name, elapsed - self._inner.pop())
        self._inner[-1] += elapsed

    def add(self, name: str, seconds: float) -> None:
        """Count `seconds` measured elsewhere as `name`."""
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def move(self, source: str, target: str, seconds: float) -> None:
        """Recount `seconds` of `source` as `target`: a part of a stage that only its callee could tell apart."""
        self.add(source, -seconds)
        self.add(target, seconds)


class Stage:
    """A block that is counted. Several stand around each batch of samples: a generator would cost three times this."""

    __slots__ = ("_name", "_stages", "_started")

    def __init__(self, stages: StageClock, name: str) -> None:
        self._stages, self._name = stages, name

    def __enter__(self) -> None:
        """Begin."""
        self._started = self._stages.begin()

    def __exit__(self, *_: object) -> None:
        """End, whatever happened."""
        self._stages.end(self._name, self._started)
