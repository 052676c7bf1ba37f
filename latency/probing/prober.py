"""Measures groups of choices on a target, the most telling first, until all are measured or the time is up."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hwprofiles import ProbedLayer
from latency.effort import Effort
from latency.errors import MeasurementError
from latency.measure import Meter
from latency.probing.bench import ChoiceRefused

if TYPE_CHECKING:
    from hwprofiles import HardwareProfile, Machine, ProbedChoice
    from latency.cache import MeasurementLog
    from latency.measurement import Measurement
    from latency.probing.bench import Bench, ProbeGroup

_WIDEST = 1e6  # TOML has no number for an interval without end; such a row is unreliable anyway

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeEffort:
    """How exactly each choice is measured, and in how many processes."""

    effort: Effort
    workers: int


# Whether a choice is faster at all: two rounds where one cannot tell to 2%.
THOROUGH = ProbeEffort(
    effort=Effort(target_half_width=0.02, seconds_per_process=0.1, max_passes=2, max_seconds=8.0), workers=3
)
QUICK = ProbeEffort(
    effort=Effort(target_half_width=0.10, seconds_per_process=0.03, max_passes=1, max_seconds=3.0), workers=2
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeStep:
    """One sign of life: ``done`` of ``total`` choices; ``row`` is what came of the last one, None before the first.

    ``remaining_s`` is estimated from the choices so far, and never more than what is left of the time that was given.
    """

    done: int
    total: int
    row: ProbedLayer | None
    remaining_s: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeOutcome:
    """What was measured: rows in the order of the choices, the target's runtime and machine, what was left out."""

    rows: tuple[ProbedLayer, ...]
    runtime: str
    machine: Machine
    left_out: int


class OpenMeter(Protocol):
    """What the prober needs of an open meter."""

    @property
    def runtime(self) -> str:
        """The target's runtime and version."""
        ...

    @property
    def machine(self) -> Machine:
        """What the target is."""
        ...

    def measure(self, model: bytes, *, session_entries: Mapping[str, str] | None = None) -> Measurement:
        """How long ONNX bytes take against the baseline."""
        ...


MeterMaker = Callable[["HardwareProfile", "Bench"], AbstractContextManager[OpenMeter]]


def probe(
    groups: Sequence[ProbeGroup],
    profile: HardwareProfile,
    *,
    log: MeasurementLog | None = None,
    effort: ProbeEffort = THOROUGH,
    time_s: float | None = None,
    listener: Callable[[ProbeStep], None] = lambda _: None,
    make_meter: MeterMaker | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> ProbeOutcome:
    """Measures every choice against its group's baseline.

    What cannot be built, and what the target's runtime refuses, is a row with the reason. What the log holds already
    is not measured again, so that an interrupted probe goes on where it was.

    Args:
        groups: the most telling first.
        profile: the target; a group's batch size stands for the profile's.
        log: where measurements go and are found again.
        effort: how exactly.
        time_s: after how long to begin no further choice; at least one is measured.
        listener: hears of every choice.
        make_meter: opens a meter on a profile and a bench; None for the real one.
        clock: seconds from any origin.

    Raises:
        ValueError: there are no groups.
        MeasurementError: the target measures nothing at all, not even a baseline.
        TargetError: the target cannot be reached or has no room.
    """
    if not groups:
        raise ValueError("probe needs at least one group of choices, got none")
    run = _Run(groups, profile, make_meter or _maker(log, effort), _Progress(groups, listener, time_s, clock))
    return run.all()


def _maker(log: MeasurementLog | None, effort: ProbeEffort) -> MeterMaker:
    def make(profile: HardwareProfile, bench: Bench) -> AbstractContextManager[OpenMeter]:
        return Meter(profile, bench.baseline, bench.feeds, effort=effort.effort, log=log, workers=effort.workers)

    return make


class _Progress:
    """Counts, tells the time, and says so."""

    def __init__(
        self,
        groups: Sequence[ProbeGroup],
        listener: Callable[[ProbeStep], None],
        time_s: float | None,
        clock: Callable[[], float],
    ) -> None:
        self._total = sum(len(group.choices) for group in groups)
        self._listener = listener
        self._time_s = time_s
        self._clock = clock
        self._start = clock()
        self._done = 0

    def begin(self) -> None:
        self._listener(ProbeStep(done=0, total=self._total, row=None, remaining_s=self._time_s))

    @property
    def time_is_up(self) -> bool:
        return self._done > 0 and self._time_s is not None and self._clock() - self._start >= self._time_s

    def tell(self, row: ProbedLayer) -> None:
        self._done += 1
        spent = self._clock() - self._start
        remaining = spent / self._done * (self._total - self._done)
        if self._time_s is not None:
            remaining = min(remaining, max(0.0, self._time_s - spent))
        self._listener(ProbeStep(done=self._done, total=self._total, row=row, remaining_s=remaining))


class _Run:
    """One walk over all groups."""

    def __init__(
        self, groups: Sequence[ProbeGroup], profile: HardwareProfile, make_meter: MeterMaker, progress: _Progress
    ) -> None:
        self._groups = groups
        self._profile = profile
        self._make_meter = make_meter
        self._progress = progress
        self._rows: list[ProbedLayer] = []
        self._met: tuple[str, Machine] | None = None
        self._failures: list[str] = []

    def all(self) -> ProbeOutcome:
        self._progress.begin()
        for group in self._groups:
            if self._progress.time_is_up:
                break
            try:
                bench = group.set_up()
            except ChoiceRefused as reason:
                self._refuse(group.choices, str(reason))
                continue
            self._measure_group(group, bench)
        if self._met is None:
            msg = self._failures[0] if self._failures else "none of the choices could be built"
            raise MeasurementError(msg)
        runtime, machine = self._met
        left_out = sum(len(group.choices) for group in self._groups) - len(self._rows)
        return ProbeOutcome(rows=tuple(self._rows), runtime=runtime, machine=machine, left_out=left_out)

    def _measure_group(self, group: ProbeGroup, bench: Bench) -> None:
        profile = self._profile.with_engine(batch_size=group.batch_size)
        opened = False
        try:
            with self._make_meter(profile, bench) as meter:
                opened = True
                self._met, self._failures = (meter.runtime, meter.machine), []
                for choice in group.choices:
                    if self._progress.time_is_up:
                        return
                    self._take(_measured(choice, bench, meter))
        except MeasurementError as error:
            if opened:
                raise
            # One baseline too large for the target says something of that layer; two in a row, of the target.
            self._failures.append(str(error))
            if self._met is None or len(self._failures) > 1:
                raise
            _log.warning("%s at batch %d: %s", group.shape.kind, group.batch_size, error)
            self._refuse(group.choices, str(error))

    def _refuse(self, choices: Sequence[ProbedChoice], reason: str) -> None:
        for choice in choices:
            self._take(refused(choice, reason))

    def _take(self, row: ProbedLayer) -> None:
        self._rows.append(row)
        self._progress.tell(row)


def _measured(choice: ProbedChoice, bench: Bench, meter: OpenMeter) -> ProbedLayer:
    try:
        built = bench.build(choice)
        measurement = meter.measure(built.onnx_bytes, session_entries=built.session_entries)
    except (ChoiceRefused, MeasurementError) as reason:
        return refused(choice, str(reason))
    return ProbedLayer(
        **choice.model_dump(),
        ratio=_short(measurement.ratio),
        low=_short(measurement.ratio_low),
        high=_short(min(measurement.ratio_high, _WIDEST)),
        grade=measurement.grade,
        fp32_ms=_short(measurement.baseline_ms / choice.chain),
        kernels=built.kernels,
        instead=built.instead or None,
    )


def _short(value: float) -> float:
    """Five digits: more than any interval is good for."""
    return float(f"{value:.5g}")


def refused(choice: ProbedChoice, reason: str) -> ProbedLayer:
    """The row of a choice that does not run, with the first line of the reason."""
    return ProbedLayer(**choice.model_dump(), refused=(reason.splitlines() or [""])[0].strip() or "no reason was given")
