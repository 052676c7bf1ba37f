"""Counts the instructions of candidates beside those of a frozen baseline, on an emulated processor."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hwprofiles import EmulatedReach, ProfileError
from latency.baseline import Baseline
from latency.emulation.counts import between_marks, counts_name
from latency.emulation.instruction_count import CountedInferences, InstructionCount
from latency.emulation.root import find_root
from latency.errors import MeasurementError, OperationError, WorkerError
from latency.measure import Cost
from latency.ring import Request, WorkerRing
from latency.rounds import BASELINE
from latency.target import machine_behind
from latency.transports import open_transport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from hwprofiles import HardwareProfile, Machine
    from latency.effort import Effort
    from latency.emulation.instruction_log import InstructionLog
    from latency.measurement import MeasurementKey
    from latency.transports import Transport

    _Both = tuple[tuple[CountedInferences, ...], tuple[CountedInferences, ...]]

_CANDIDATE = "candidate"
_PROCESSES = 2
_ATTEMPTS = 2
# Two repeats in each of two processes show what little there is of a spread; a small network runs several times
# between two marks, so that what Python does around an inference averages out.
_COUNTING = {"repeats": 2, "at_most": 8, "budget_s": 0.5}


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
        self._baselines: dict[int, tuple[CountedInferences, ...]] = {}
        self._open: tuple[Transport, WorkerRing, ExitStack] | None = None

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
            counting = Request(op="count_marked", fields={"slot": BASELINE, **_COUNTING})
            try:
                ring = WorkerRing(
                    transport,
                    [*self._baseline.preparation(transport), counting],
                    size=_PROCESSES,
                    timeout_s=self._patience_s,
                    on_answer=lambda op, answer: self._note_answer(transport, op, answer),
                )
                ring.make_ready()
            except (WorkerError, OperationError) as error:
                msg = f"the baseline cannot be counted on '{self._profile.name}': {error}"
                raise MeasurementError(msg) from error
            self._open = (transport, ring, stack.pop_all())
        self.cost.overhead_s += self._clock() - start
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            self._open[2].close()
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

    def measure(
        self,
        model: bytes,
        *,
        session_entries: Mapping[str, str] | None = None,
        effort: Effort | None = None,
        fresh: bool = False,
    ) -> InstructionCount:
        """Counts ONNX bytes beside the baseline, or finds an equal count in the log.

        Args:
            model: the candidate; it takes the same inputs as the baseline.
            session_entries: session entries that the candidate needs.
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
        key = self._baseline.key(model, entries, hardware_id=self.machine.hardware_id, runtime=self.runtime)
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
        transport, _ring, _stack = self._opened()
        path = transport.put(model, f"candidate-{key.model_digest[:16]}.onnx")
        before_s = self.cost.inference_s
        try:
            candidate, baseline = self._try(self._baseline.load_fields(path, entries))
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
            candidate=candidate,
            baseline=baseline,
            taken_at=self._now().isoformat(timespec="seconds"),
        )

    def _try(self, load_fields: dict[str, Any]) -> _Both:
        """Counts the candidate in every process; once more, in new processes, when one dies over it."""
        _transport, ring, _stack = self._opened()
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                ring.make_ready()
                return self._count_in_all(load_fields)
            except OperationError as error:
                ring.replace_all()  # answers to requests behind the refused one are outstanding
                msg = f"the model cannot be counted on '{self._profile.name}': {error}"
                raise MeasurementError(msg) from error
            except WorkerError as error:
                self.cost.workers_lost += 1
                ring.replace_all()
                if attempt == _ATTEMPTS:
                    msg = f"the model cannot be counted on '{self._profile.name}': workers died over it twice: {error}"
                    raise MeasurementError(msg) from error
        raise AssertionError("the last attempt returns or raises")

    def _count_in_all(self, load_fields: dict[str, Any]) -> _Both:
        transport, ring, _stack = self._opened()
        connections = [worker.connection for worker in ring.workers]
        for connection in connections:
            connection.post("load", slot=_CANDIDATE, **load_fields)
        for connection in connections:
            connection.collect(self._patience_s)
        start = self._clock()
        for connection in connections:
            connection.post("count_marked", slot=_CANDIDATE, **_COUNTING)
        counted = [_read(transport, connection.collect(self._patience_s)) for connection in connections]
        self.cost.inference_s += self._clock() - start
        for connection in connections:
            connection.request("unload", self._patience_s, slot=_CANDIDATE)
        baselines = [self._baselines[pid] for pid, _ in counted]
        return sum((each for _, each in counted), ()), sum(baselines, ())

    def _opened(self) -> tuple[Transport, WorkerRing, ExitStack]:
        if self._open is None:
            raise RuntimeError("the meter is not open; use it in a with statement")
        return self._open

    def _note_answer(self, transport: Transport, op: str, answer: Mapping[str, Any]) -> None:
        if op == "hello":
            self._engine_version = str(answer["runtime"])
        elif op == "machine" and self._machine is None:
            self._machine = machine_behind(self._reach, answer)
        elif op == "count_marked":
            pid, counted = _read(transport, answer)
            self._baselines[pid] = counted


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


def _read(transport: Transport, answer: Mapping[str, Any]) -> tuple[int, tuple[CountedInferences, ...]]:
    """The process, and what the emulator counted of it between each two marks of the answer."""
    pid = int(answer["pid"])
    try:
        text = transport.get(transport.path(counts_name(pid))).decode()
    except OSError as error:
        msg = f"the emulator wrote no counts for process {pid} ({error.strerror}); its plugin did not run"
        raise WorkerError(msg) from error
    marks, inferences = answer["marks"], int(answer["inferences"])
    return pid, tuple(
        CountedInferences(inferences=inferences, instructions=between_marks(text, pair)) for pair in pairwise(marks)
    )
