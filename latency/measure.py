"""Measures candidates against a frozen baseline: warm workers, interleaving, rounds until it is known well enough."""

from __future__ import annotations

import hashlib
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from latency.baseline import Baseline
from latency.built_engines import BuiltEngines
from latency.cost import Cost
from latency.effort import SEARCH, Effort
from latency.errors import MeasurementError, OperationError, WorkerError
from latency.measurement import Measurement
from latency.passes import Passes
from latency.ring import WorkerRing
from latency.rounds import Rounds
from latency.sending import Sending
from latency.target import machine_behind
from latency.transports import open_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from hwprofiles import HardwareProfile, Machine
    from latency.cache import MeasurementLog
    from latency.measurement import MeasurementKey
    from latency.ring import Request
    from latency.transports import Transport

_BUILD_S = 600.0  # an engine's build times many kernels
_START_S = 60.0  # a small board imports its runtime slowly
_RENEW_AFTER = 4  # candidates; a process start costs as much as half a measurement


class Meter:
    """Measures models on one target, one at a time; a context manager that owns the workers.

    Args:
        profile: the target. Its engine settings are applied as they are.
        baseline: the frozen FP32 model's ONNX bytes.
        feeds: input name to array, first axis the profile's batch size; both models are timed on them.
        baseline_session_entries: session entries that the baseline needs.
        baseline_digest: SHA-256 of the baseline's bytes in hexadecimal, where it is known already; None finds it out.
        effort: how exact, unless ``measure`` says otherwise.
        built: the folder where engines that the runtime builds of candidates are kept, so that a candidate measured
            again is the same engine; None keeps none.
        log: where every measurement goes, and where equal ones are found again.
        transport: how workers are started; None for what the profile names.
        machine: what the target is; None asks its workers.
        workers: how many processes see each candidate in a round.
        patience_s: how long a worker may take beyond the time it was given before it counts as hung.
        clock: seconds from any origin.
        now: the time of day.

    Raises:
        ValueError: feeds and batch size disagree, or there are too few workers.
    """

    def __init__(
        self,
        profile: HardwareProfile,
        baseline: bytes,
        feeds: Mapping[str, NDArray[Any]],
        *,
        baseline_session_entries: Mapping[str, str] | None = None,
        baseline_digest: str | None = None,
        effort: Effort = SEARCH,
        log: MeasurementLog | None = None,
        built: Path | None = None,
        transport: Transport | None = None,
        machine: Machine | None = None,
        workers: int = 4,
        patience_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if workers < 2:
            msg = f"workers must be at least 2 for an interval over processes, got {workers}"
            raise ValueError(msg)
        self.cost = Cost()
        self._profile = profile
        self._baseline = Baseline(profile, baseline, feeds, baseline_session_entries or {}, digest=baseline_digest)
        self._effort = effort
        self._log = log
        self._engines = BuiltEngines(profile, built)
        self._timing_cache: str | None = None
        self._transport = transport
        self._machine = machine
        self._size = workers
        self._patience_s = max(patience_s, _BUILD_S) if profile.engine.builds else patience_s
        self._clock = clock
        self._now = now
        self._runtime = ""
        self._passes = Passes(threads=profile.engine.threads, clock=clock)
        self._since_renewal = 0
        self._open: tuple[WorkerRing, Sending, ExitStack] | None = None

    def __enter__(self) -> Self:
        start = self._clock()
        with ExitStack() as stack:
            transport = stack.enter_context(self._transport or open_transport(self._profile.reach))
            self._timing_cache = self._engines.open(transport)
            preparation = self._baseline.preparation(transport, self._timing_cache)
            try:
                ring = self._start_ring(transport, preparation)
                ring.make_ready()
            except (WorkerError, OperationError) as error:
                msg = f"the baseline cannot be measured on '{self._profile.name}': {error}"
                raise MeasurementError(msg) from error
            stack.callback(self._engines.close, transport, self._timing_cache)
            sending = Sending(
                transport,
                ring,
                baseline=self._baseline,
                engines=self._engines,
                baseline_anew=not self._profile.engine.runs_on_gpu,
                patience_s=self._patience_s,
            )
            self._open = (ring, sending, stack.pop_all())
        self.cost.overhead_s += self._clock() - start
        return self

    def _start_ring(self, transport: Transport, preparation: Sequence[Request]) -> WorkerRing:
        return WorkerRing(
            transport,
            preparation,
            size=self._size,
            timeout_s=max(self._patience_s, _START_S),
            on_answer=self._note_answer,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            self._open[2].close()
            self._open = None

    @property
    def runtime(self) -> str:
        """The target's runtime and version, once the meter is open."""
        return self._runtime

    @property
    def machine(self) -> Machine:
        """What the target is, once the meter is open."""
        if self._machine is None:
            raise RuntimeError("the meter is not open; use it in a with statement")
        return self._machine

    def expect(
        self, model: bytes, *, session_entries: Mapping[str, str] | None = None, digest: str | None = None
    ) -> None:
        """Lets the workers load what will probably be measured next, while the caller does something else.

        Nothing is waited for, and what goes wrong is said by ``measure``. Another model than the one expected may be
        measured all the same. Where files travel, or engines are built, it would cost more than it saves if nothing is
        measured after all, and nothing is done.

        Args:
            model: the candidate, as it will be given to ``measure``.
            session_entries: session entries that it needs, likewise.
            digest: SHA-256 of ``model`` in hexadecimal, where it is known already; None finds it out.

        Raises:
            TargetError: this machine has no room for the candidate.
        """
        start = self._clock()
        _ring, sending = self._opened()
        if self._profile.reach.transport == "local" and not self._profile.engine.builds:
            entries = dict(session_entries or {})
            key = self._key(model, entries, digest)
            if self._log is None or key not in self._log:
                sending.expect(key, model, entries)
        self.cost.overhead_s += self._clock() - start

    def _key(self, model: bytes, entries: Mapping[str, str], digest: str | None) -> MeasurementKey:
        digest = digest or hashlib.sha256(model).hexdigest()
        return self._baseline.key(digest, entries, hardware_id=self.machine.hardware_id, runtime=self._runtime)

    def measure(
        self,
        model: bytes,
        *,
        session_entries: Mapping[str, str] | None = None,
        digest: str | None = None,
        effort: Effort | None = None,
        fresh: bool = False,
    ) -> Measurement:
        """Measures ONNX bytes against the baseline, or finds an equal measurement in the log.

        Args:
            model: the candidate; it takes the same inputs as the baseline.
            session_entries: session entries that the candidate needs.
            digest: SHA-256 of ``model`` in hexadecimal, where it is known already; None finds it out.
            effort: None for the meter's.
            fresh: measure even if the log has one.

        Raises:
            MeasurementError: the runtime refuses the candidate, or workers died or hung over it. The meter can
                measure the next one.
            TargetError: the target has no room for the candidate; nor will it have for the next one.
        """
        start = self._clock()
        entries = dict(session_entries or {})
        self._opened()
        key = self._key(model, entries, digest)
        found = None if fresh or self._log is None else self._log.find(key)
        if found is not None:
            self.cost.served += 1
            self.cost.overhead_s += self._clock() - start
            return found
        measurement = self._measure(model, entries, key, effort or self._effort, start)
        if self._log is not None:
            self._log.append(measurement)
        return measurement

    def renew(self) -> None:
        """Replaces the workers that have been used, in the background: what is measured next, fresh processes see."""
        ring, _sending = self._opened()
        ring.replace_all()

    def _measure(
        self, model: bytes, entries: dict[str, str], key: MeasurementKey, effort: Effort, start: float
    ) -> Measurement:
        ring, sending = self._opened()
        sent = sending.take(key, model, entries)
        rounds = Rounds(
            ring,
            loading=sent.loading,
            effort=effort,
            patience_s=self._patience_s,
            time_is_up=lambda: self._clock() - start - rounds.waited_s > effort.max_seconds,
        )
        priors = self._passes.priors()
        try:
            verdict = self._passes.take(rounds, ring, effort, started_s=start)
            sending.keep(sent)
        finally:
            sending.clear_away(sent)
            self._renew(ring)
            self._account(rounds, start)
        self._passes.learn(rounds.processes, verdict)
        self.cost.measured += 1
        return Measurement(
            key=key,
            profile=self._profile.name,
            processes=tuple(rounds.processes),
            grade=verdict.grade,
            reason=verdict.reason,
            remedy=verdict.remedy,
            clock=verdict.clock,
            spread_prior=priors[verdict.clock],
            inference_s=round(rounds.inference_s, 6),
            overhead_s=round(self._clock() - start - rounds.inference_s, 6),
            taken_at=self._now().isoformat(timespec="seconds"),
        )

    def _renew(self, ring: WorkerRing) -> None:
        """Replaces the oldest worker after every few candidates, so that none measures many."""
        self._since_renewal += 1
        if self._since_renewal == _RENEW_AFTER:
            self._since_renewal = 0
            ring.replace_next()

    def _account(self, rounds: Rounds, start: float) -> None:
        self.cost.inference_s += rounds.inference_s
        self.cost.overhead_s += self._clock() - start - rounds.inference_s
        self.cost.waited_s += rounds.waited_s
        self.cost.workers_lost += rounds.losses

    def _opened(self) -> tuple[WorkerRing, Sending]:
        if self._open is None:
            raise RuntimeError("the meter is not open; use it in a with statement")
        return self._open[:2]

    def _note_answer(self, op: str, answer: Mapping[str, object]) -> None:
        if op == "hello":
            self._runtime = str(answer["runtime"])
        elif op == "machine" and self._machine is None:
            self._machine = machine_behind(self._profile.reach, answer)
