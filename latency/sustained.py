"""Minute 30 instead of minute 1: how much slower a target becomes that is kept busy."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from latency.baseline import Baseline
from latency.errors import MeasurementError, OperationError, WorkerError
from latency.loading import BASELINE
from latency.ring import WorkerRing
from latency.samples import Clock, Samples
from latency.student_t import t_quantile
from latency.transports import open_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from hwprofiles import HardwareProfile
    from latency.transports import Connection, Transport

_CHUNK_S = 5.0  # between two looks at the target; also how long Ctrl-C may wait for a board
_WARM_UP_S = 0.1  # caches; a processor needs minutes to get hot
_LEVEL_S = 0.4  # how long each process times the model, at the beginning and at the end
_MIN_ROUNDS = 3
_PATIENCE_S = 120.0
_CONFIDENCE = 0.95
_CROWDED_MEDIAN = 1.05  # median wall time over median processor time: others had the processor


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """What was seen of the target in passing. ``temperature_c`` is the hottest sensor's, None where there is none."""

    elapsed_s: float
    median_ms: float
    temperature_c: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Ends:
    """One process's samples of the model before the load and right after it."""

    before: Samples
    after: Samples


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How a target changed while it was kept busy.

    Attributes:
        processes: raw samples; each process is its own pair.
        course: what was seen meanwhile, in order.
        inferences: how many the load took.
        duration_s: how long the load was kept up.
        threads: threads within an inference.
        temperature_before_c: of the hottest sensor; None where there is none.
        temperature_after_c: the same at the end.
    """

    processes: tuple[Ends, ...]
    course: tuple[Moment, ...]
    inferences: int
    duration_s: float
    threads: int
    temperature_before_c: float | None
    temperature_after_c: float | None

    def __post_init__(self) -> None:
        if len(self.processes) < 2:
            msg = f"a drift needs at least 2 processes for an interval over them, got {len(self.processes)}"
            raise ValueError(msg)

    @cached_property
    def clock(self) -> Clock:
        """Wall time; processor time where other work had the processor and one thread makes it count."""
        import numpy as np

        known = [samples for ends in self.processes for samples in (ends.before, ends.after)]
        if self.threads > 1 or any(samples.cpu_ms is None for samples in known):
            return "wall"
        stolen = [np.median(each.wall_ms) / max(float(np.median(each.milliseconds("cpu"))), 1e-6) for each in known]
        return "cpu" if max(stolen) > _CROWDED_MEDIAN else "wall"

    @property
    def before_ms(self) -> float:
        """The model's median before the load, over all processes."""
        return self._median_ms("before")

    @property
    def after_ms(self) -> float:
        """The model's median right after the load, over all processes."""
        return self._median_ms("after")

    @property
    def ratio(self) -> float:
        """After over before: the geometric mean of the processes' own ratios of medians."""
        return self._interval[0]

    @property
    def ratio_low(self) -> float:
        """The lower end of the ratio's 95% interval over processes."""
        return self._interval[1]

    @property
    def ratio_high(self) -> float:
        """The upper end of the ratio's 95% interval over processes."""
        return self._interval[2]

    @cached_property
    def _interval(self) -> tuple[float, float, float]:
        """A t-interval of the mean log ratio."""
        import numpy as np

        logs = np.array(
            [math.log(_median(ends.after, self.clock) / _median(ends.before, self.clock)) for ends in self.processes]
        )
        mean = float(logs.mean())
        half = t_quantile(len(logs) - 1, (1 + _CONFIDENCE) / 2) * float(logs.std(ddof=1)) / math.sqrt(len(logs))
        return math.exp(mean), math.exp(mean - half), math.exp(mean + half)

    def _median_ms(self, end: str) -> float:
        import numpy as np

        return float(
            np.median(np.concatenate([getattr(ends, end).milliseconds(self.clock) for ends in self.processes]))
        )


def measure_drift(
    profile: HardwareProfile,
    model: bytes,
    feeds: Mapping[str, NDArray[Any]],
    *,
    duration_s: float,
    session_entries: Mapping[str, str] | None = None,
    transport: Transport | None = None,
    processes: int = 4,
    chunk_s: float = _CHUNK_S,
    on_moment: Callable[[Moment], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Drift:
    """Times the model in several processes, keeps the target busy with it, and times it again in the same ones.

    Args:
        profile: the target.
        model: ONNX bytes.
        feeds: input name to array, first axis the profile's batch size.
        duration_s: how long the load lasts.
        session_entries: session entries that the model needs.
        transport: how workers are started; None for what the profile names.
        processes: how many processes time the model; one of them is the load.
        chunk_s: between two looks at the target.
        on_moment: gets each of them.
        clock: seconds from any origin.

    Raises:
        TargetError: the target cannot be reached, or has no room.
        MeasurementError: a worker died, hung or refused the model.
        ValueError: feeds and batch size disagree.
    """
    baseline = Baseline(profile, model, feeds, session_entries or {})
    with ExitStack() as stack:
        opened = stack.enter_context(transport or open_transport(profile.reach))
        try:
            ring = WorkerRing(
                opened,
                baseline.preparation(opened),
                size=processes,
                timeout_s=_PATIENCE_S,
                on_answer=lambda _op, _answer: None,
            )
            ring.make_ready()
            connections = [worker.connection for worker in ring.workers]
            return _measure(profile, connections, duration_s, chunk_s, on_moment or (lambda _moment: None), clock)
        except (WorkerError, OperationError) as error:
            msg = f"the load on '{profile.name}' was cut off: {error}"
            raise MeasurementError(msg) from error


def _measure(
    profile: HardwareProfile,
    connections: Sequence[Connection],
    duration_s: float,
    chunk_s: float,
    on_moment: Callable[[Moment], None],
    clock: Callable[[], float],
) -> Drift:
    loaded = connections[-1]
    temperature_before = _temperature_c(loaded)
    before = [_level(connection) for connection in connections]
    start, inferences, course = clock(), 0, []
    while (elapsed := clock() - start) < duration_s:
        seconds = min(chunk_s, duration_s - elapsed)
        answer = loaded.request("busy", _PATIENCE_S + seconds, slot=BASELINE, seconds=seconds)
        inferences += int(answer["inferences"])
        moment = Moment(
            elapsed_s=clock() - start, median_ms=answer["median_ns"] / 1e6, temperature_c=_temperature_c(loaded)
        )
        course.append(moment)
        on_moment(moment)
    elapsed = clock() - start
    # The one that was busy comes first, and the others follow at once: nothing has time to cool down.
    after = [_level(connection) for connection in reversed(connections)][::-1]
    return Drift(
        processes=tuple(Ends(before=one, after=other) for one, other in zip(before, after, strict=True)),
        course=tuple(course),
        inferences=inferences,
        duration_s=elapsed,
        threads=profile.engine.threads,
        temperature_before_c=temperature_before,
        temperature_after_c=_temperature_c(loaded),
    )


def _level(connection: Connection) -> Samples:
    """The model's own times in one process, a moment after it was last run there."""
    connection.request("warm_up", _PATIENCE_S, slots=[BASELINE], budget_s=_WARM_UP_S)
    answer = connection.request(
        "time_interleaved",
        _PATIENCE_S,
        slots=[BASELINE, BASELINE],
        budget_s=_LEVEL_S,
        min_rounds=_MIN_ROUNDS,
        limit_s=10 * _LEVEL_S,
    )
    return Samples.from_worker([row for rows in answer["samples"] for row in rows])


def _temperature_c(connection: Connection) -> float | None:
    readings = connection.request("state", _PATIENCE_S)["temperatures_c"]
    return max(readings.values(), default=None)


def _median(samples: Samples, clock: Clock) -> float:
    import numpy as np

    return float(np.median(samples.milliseconds(clock)))
