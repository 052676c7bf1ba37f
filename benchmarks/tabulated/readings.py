"""What is taken of each tabulated policy: the candidate that a search would build, its accuracy, and its latency.

Latency is taken so that a crowded machine does not spoil it: the calling thread's processor time in sessions of one
thread, FP32 and candidate in turns (A-B-B-A), each loaded anew, and of each turn the fastest inference. Processor time
itself has levels where others share a core's units or its power (measured: for seconds or minutes the same inference
takes half as long again, and 8-bit ones more than that), so what FP32 took meanwhile is kept beside each ratio. What
two sessions of the same bytes differ by shows when a policy is taken again in another pass, which is another process.
"""

import gc
import statistics
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.subjects import BATCH_SIZE, Subject
from compress.candidate import Candidate
from compress.runtime import open_session
from search.trial.timed_input import timed_feeds
from workloads import evaluate, session_predictor

_TURN = 3
"""Inferences in a row of one session."""

_ROUNDS = 12
_WARM_UPS = 5


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How fast a candidate is.

    Attributes:
        ratio: Latency over FP32's.
        fp32_ms: What FP32 took meanwhile: which of its speeds the processor had.
    """

    ratio: float
    fp32_ms: float


@dataclass(frozen=True, kw_only=True)
class Score:
    """How well a candidate answers.

    Attributes:
        metric: Mean score over the search's samples.
        divergence: From FP32's outputs, mean over the same.
        cpu_s: Processor time that scoring took.
    """

    metric: float
    divergence: float
    cpu_s: float


class Readings:
    """Takes the figures of one network's candidates.

    Args:
        subject: The network.
    """

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._feeds = timed_feeds(subject.workload, subject.profile.engine.batch_size)
        predict = session_predictor(open_session(subject.network.onnx_bytes))
        workload = subject.workload
        self.fp32 = evaluate(predict, workload.search_part, workload.metric, batch_size=BATCH_SIZE)

    def score(self, candidate: Candidate) -> Score:
        """Its accuracy on the search's samples."""
        started_s = time.thread_time()
        workload = self._subject.workload
        predict = session_predictor(open_session(candidate.onnx_bytes, session_entries=candidate.session_entries))
        found = evaluate(
            predict, workload.search_part, workload.metric, batch_size=BATCH_SIZE, reference=self.fp32
        ).accuracy
        assert found.divergence is not None
        return Score(
            metric=found.value,
            divergence=float(found.divergence.mean()),
            cpu_s=time.thread_time() - started_s,
        )

    def time(self, candidate: Candidate) -> Timing:
        """Its latency over FP32's."""
        sessions = [
            open_session(self._subject.network.onnx_bytes),
            open_session(candidate.onnx_bytes, session_entries=candidate.session_entries),
        ]
        collects = gc.isenabled()
        gc.disable()
        try:
            for session in sessions:
                self._fastest_ns(session, _WARM_UPS)
            return self._time_rounds(*sessions)
        finally:
            if collects:
                gc.enable()

    def _time_rounds(self, fp32: Any, candidate: Any) -> Timing:
        taken: list[tuple[int, int]] = []
        for _ in range(_ROUNDS):
            first, one, other, last = (
                self._fastest_ns(session, _TURN) for session in (fp32, candidate, candidate, fp32)
            )
            taken.append((first + last, one + other))
        return Timing(
            ratio=statistics.median(ours / theirs for theirs, ours in taken),
            fp32_ms=statistics.median(theirs for theirs, _ in taken) / 2e6,
        )

    def _fastest_ns(self, session: Any, count: int) -> int:
        """The least processor time of so many inferences."""
        taken = []
        for _ in range(count):
            started_ns = time.thread_time_ns()
            session.run(None, self._feeds)
            taken.append(time.thread_time_ns() - started_ns)
        return min(taken)
