"""Counts the instructions of candidates beside those of a frozen baseline, on an emulated processor."""

from __future__ import annotations

import hashlib
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hwprofiles import EmulatedReach, ProfileError
from latency.baseline import Baseline
from latency.cost import Cost
from latency.emulation.counter import Counter
from latency.emulation.instruction_count import InstructionCount, ProcessCounts
from latency.emulation.root import find_root
from latency.errors import MeasurementError, OperationError, WorkerError
from latency.loading import BASELINE
from latency.ring import WorkerRing
from latency.target import machine_behind
from latency.transports import open_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from hwprofiles import HardwareProfile, Machine
    from latency.effort import Effort
    from latency.emulation.instruction_count import ClassCounts
    from latency.emulation.instruction_log import InstructionLog
    from latency.measurement import MeasurementKey
    from latency.transports import Connection, Transport

_CANDIDATE = "candidate"
_PROCESSES = 2
_ATTEMPTS = 2


class InstructionMeter:
    """Counts models on an emulated target, one at a time; a context manager that owns the workers.

    It is used like a ``latency.Meter``, but what it gives back are instruction counts.

    Args:
        profile: the emulated target.
        baseline: the frozen FP32 model's ONNX bytes.
        feeds: input name to array, first axis the profile's batch size; both models are run on them.
        baseline_session_entries: session entries that the baseline needs.
        log: where every count goes, and where equal ones are found again.
        transport: how workers are started; None for what the profile names.
        patience_s: how long an answer may take.
        clock: seconds from any origin, for ``cost``.
        now: the time of day.

    Raises:
        ValueError: feeds and batch size disagree.
        ProfileError: the profile is not of an emulated target, or its engine is none whose instructions are counted.
    """

    def __init__(
        self,
        profile: HardwareProfile,
        baseline: bytes,
        feeds: Mapping[str, NDArray[Any]],
        *,
        baseline_session_entries: Mapping[str, str] | None = None,
        log: InstructionLog | None = None,
        transport: Transport | None = None,
        patience_s: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._reach = _countable(profile)
        self.cost = Cost()
        self._profile = profile
        self._baseline = Baseline(profile, baseline, feeds, baseline_session_entries or {})
        self._log = log
        self._transport = transport
        self._patience_s = patience_s
        self._clock = clock
        self._now = now
        self._engine_version = ""
        self._emulator = ""
        self._root_digest = ""
        self._machine: Machine | None = None
        self._baselines: dict[Connection, tuple[ClassCounts, ...]] = {}
        self._open: tuple[Counter, Transport, WorkerRing, ExitStack] | None = None

    def __enter__(self) -> Self:
        """Starts the workers and counts the baseline.

        Raises:
            TargetError: the emulator or its root is missing; the error names the command that builds it.
            MeasurementError: the baseline cannot be counted.
        """
        start = self._clock()
        root = find_root(self._reach.root, self._reach.cpu)
        self._emulator, self._root_digest = root.emulator, root.digest
        with ExitStack() as stack:
            transport = stack.enter_context(self._transport or open_transport(self._reach))
            counter = Counter(transport, self._patience_s)
            try:
                ring = WorkerRing(
                    transport,
                    self._baseline.preparation(transport),
                    size=_PROCESSES,
                    timeout_s=self._patience_s,
                    on_answer=self._note_answer,
                )
                self._make_ready(counter, ring)
            except (WorkerError, OperationError) as error:
                msg = f"the baseline cannot be counted on '{self._profile.name}': {error}"
                raise MeasurementError(msg) from error
            self._open = (counter, transport, ring, stack.pop_all())
        self.cost.overhead_s += self._clock() - start
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            self._open[-1].close()
            self._open = None

    @property
    def runtime(self) -> str:
        """The runtime and all else that decides a count: versions of the emulator and of what is in its root."""
        return f"{self._engine_version}, emulated by {self._emulator}, root {self._root_digest}"

    @property
    def machine(self) -> Machine:
        """The emulated machine, once the meter is open; the same whatever machine emulates it."""
        if self._machine is None:
            raise RuntimeError("the meter is not open; use it in a with statement")
        return self._machine

    def expect(
        self, model: bytes, *, session_entries: Mapping[str, str] | None = None, digest: str | None = None
    ) -> None:
        """Nothing: an emulated processor is this machine's, and has no time to spare."""

    def measure(
        self,
        model: bytes,
        *,
        session_entries: Mapping[str, str] | None = None,
        digest: str | None = None,
        effort: Effort | None = None,
        fresh: bool = False,
    ) -> InstructionCount:
        """Counts ONNX bytes beside the baseline, or finds an equal count in the log.

        Args:
            model: the candidate; it takes the same inputs as the baseline.
            session_entries: session entries that the candidate needs.
            digest: SHA-256 of ``model`` in hexadecimal, where it is known already; None finds it out.
            effort: of no consequence: counts do not get more exact with more of them.
            fresh: count even if the log has it.

        Raises:
            MeasurementError: the runtime refuses the candidate, or workers died or hung over it. The meter can
                count the next one.
            TargetError: there is no room for the candidate; nor will there be for the next one.
        """
        del effort
        start = self._clock()
        entries = dict(session_entries or {})
        digest = digest or hashlib.sha256(model).hexdigest()
        key = self._baseline.key(digest, entries, hardware_id=self.machine.hardware_id, runtime=self.runtime)
        found = None if fresh or self._log is None else self._log.find(key)
        if found is not None:
            self.cost.served += 1
            self.cost.overhead_s += self._clock() - start
            return found
        count = self._count(model, entries, key, start)
        if self._log is not None:
            self._log.append(count)
        return count

    def _count(self, model: bytes, entries: dict[str, str], key: MeasurementKey, start: float) -> InstructionCount:
        _counter, transport, _ring, _stack = self._opened()
        path = transport.put(model, f"candidate-{key.model_digest[:16]}.onnx")
        before_s = self.cost.inference_s
        try:
            processes = self._try(self._baseline.load_fields(path, entries))
        finally:
            transport.remove(path)
            self.cost.overhead_s += self._clock() - start - (self.cost.inference_s - before_s)
        self.cost.measured += 1
        return InstructionCount(
            key=key,
            profile=self._profile.name,
            cpu=self._reach.cpu,
            runtime=self._engine_version,
            emulator=self._emulator,
            processes=processes,
            taken_at=self._now().isoformat(timespec="seconds"),
        )

    def _try(self, load_fields: dict[str, Any]) -> tuple[ProcessCounts, ...]:
        """Counts the candidate in every process; once more, in new processes, when one dies over it."""
        counter, _transport, ring, _stack = self._opened()
        where = f"on '{self._profile.name}'"
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._make_ready(counter, ring)
                return self._count_in_all(load_fields)
            except OperationError as error:
                ring.replace_all()  # the other workers have answers outstanding
                msg = f"the model cannot be counted {where}: {error}"
                raise MeasurementError(msg) from error
            except WorkerError as error:
                self.cost.workers_lost += 1
                ring.replace_all()
                if attempt == _ATTEMPTS:
                    msg = f"the model cannot be counted {where}: workers died over it {_ATTEMPTS} times: {error}"
                    raise MeasurementError(msg) from error
        raise AssertionError("the last attempt returns or raises")

    def _make_ready(self, counter: Counter, ring: WorkerRing) -> None:
        """Waits for the workers, and counts the baseline in those that are new."""
        ring.make_ready()
        known = self._baselines
        present = [worker.connection for worker in ring.workers]
        fresh = [connection for connection in present if connection not in known]
        counted = counter.count(fresh, BASELINE) if fresh else []
        self._baselines = {connection: known[connection] for connection in present if connection in known}
        self._baselines.update(zip(fresh, counted, strict=True))

    def _count_in_all(self, load_fields: dict[str, Any]) -> tuple[ProcessCounts, ...]:
        counter, _transport, _ring, _stack = self._opened()
        connections = list(self._baselines)
        for connection in connections:
            connection.post("load", slot=_CANDIDATE, **load_fields)
        for connection in connections:
            connection.collect(self._patience_s)
        start = self._clock()
        counted = counter.count(connections, _CANDIDATE)
        self.cost.inference_s += self._clock() - start
        for connection in connections:
            connection.request("unload", self._patience_s, slot=_CANDIDATE)
        return tuple(
            ProcessCounts(candidate=counts, baseline=self._baselines[connection])
            for connection, counts in zip(connections, counted, strict=True)
        )

    def _opened(self) -> tuple[Counter, Transport, WorkerRing, ExitStack]:
        if self._open is None:
            raise RuntimeError("the meter is not open; use it in a with statement")
        return self._open

    def _note_answer(self, op: str, answer: Mapping[str, Any]) -> None:
        if op == "hello":
            self._engine_version = str(answer["runtime"])
        elif op == "machine" and self._machine is None:
            self._machine = machine_behind(self._reach, answer)


def _countable(profile: HardwareProfile) -> EmulatedReach:
    """The profile's reach. One thread of ONNX Runtime's CPU provider is what can be counted and repeated."""
    reach, engine = profile.reach, profile.engine
    if not isinstance(reach, EmulatedReach):
        msg = f"profile '{profile.name}' has transport = '{reach.transport}'; instructions are counted on 'emulated'"
        raise ProfileError(msg)
    if engine.name != "onnxruntime":
        msg = f"profile '{profile.name}' is emulated: its engine must be 'onnxruntime', got '{engine.name}'"
        raise ProfileError(msg)
    if engine.threads != 1:
        msg = f"profile '{profile.name}' is emulated: 1 thread is counted, got threads = {engine.threads}"
        raise ProfileError(msg)
    return reach
