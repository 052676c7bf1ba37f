"""What is taken of each tabulated policy: the candidate that a search would build, its accuracy, and its latency.

Latency is taken so that a crowded machine does not spoil it: the calling thread's processor time in sessions of one
thread, FP32 and candidate in turns (A-B-B-A), each loaded anew. Processor time itself has levels where others share a
core's units and caches (measured: from one moment to the next the same inference takes twice as long); only rounds in
which FP32 was as fast as it ever is count, and in each the fastest inference of either. What two sessions of the same
bytes differ by shows when a policy is taken again in another pass, which is another process.
"""

import gc
import math
import statistics
import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from benchmarks.subjects import BATCH_SIZE, Subject
from compress.runtime import open_session
from compress.stitch import Candidate
from search.trial.timed_input import timed_feeds
from workloads import evaluate, session_predictor

_TURN = 3
"""Inferences in a row of one session."""

ROUNDS = 8
"""Undisturbed rounds that a reading takes."""

_MOST_ROUNDS = 48
_UNDISTURBED = 1.04
"""Up to this much more than in the fastest twentieth of rounds may FP32 take in one where nobody was in the way."""

_WARM_UPS = 5
_KEPT = 4000


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How fast a candidate is.

    Attributes:
        ratio: Latency over FP32's.
        undisturbed: Rounds that count; where they are fewer than wanted, the machine was never free for long.
    """

    ratio: float
    undisturbed: int


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
        self._fp32_ns: deque[int] = deque(maxlen=_KEPT)
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
        level_ns = sorted(self._fp32_ns)[len(self._fp32_ns) // 20] if self._fp32_ns else math.inf
        calm: list[tuple[int, int]] = []
        others: list[tuple[int, int]] = []
        while len(calm) < ROUNDS and len(calm) + len(others) < _MOST_ROUNDS:
            first, one, other, last = (
                self._fastest_ns(session, _TURN) for session in (fp32, candidate, candidate, fp32)
            )
            taken_ns = min(first, last), min(one, other)
            (calm if taken_ns[0] <= _UNDISTURBED * level_ns else others).append(taken_ns)
            self._fp32_ns.append(taken_ns[0])
        # Where too few rounds were calm the best of the others help out, and the spread between passes tells.
        chosen = (calm + sorted(others))[:ROUNDS]
        return Timing(ratio=statistics.median(ours / theirs for theirs, ours in chosen), undisturbed=len(calm))

    def _fastest_ns(self, session: Any, count: int) -> int:
        """The least processor time of so many inferences."""
        taken = []
        for _ in range(count):
            started_ns = time.thread_time_ns()
            session.run(None, self._feeds)
            taken.append(time.thread_time_ns() - started_ns)
        return min(taken)
