"""What is taken of each tabulated policy: the candidate that a search would build, its accuracy, and its latency.

Latency is taken as on a crowded machine: the calling thread's processor time in sessions of one thread, FP32 and
candidate in turns (A-B-B-A), each loaded anew, the median over rounds. What two sessions of the same bytes differ by
shows when a policy is taken again in another pass, which is another process.
"""

import gc
import statistics
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.subjects import BATCH_SIZE, Subject
from compress.runtime import open_session
from compress.stitch import Candidate
from search.timed_input import timed_feeds
from workloads import evaluate, session_predictor

PREFIXES = (16, 32, 64, 128)
"""Numbers of samples on which a sweep over single layers might look."""

ROUNDS = 10
_BLOCK_S = 8e-4
_WARM_UPS = 5


@dataclass(frozen=True, kw_only=True)
class Score:
    """How well a candidate answers.

    Attributes:
        metric: Mean score over the search's samples.
        divergence: From FP32's outputs, mean over the same.
        prefix_divergences: The same over the first samples only, as many as `PREFIXES` says.
        cpu_s: Processor time that scoring took.
    """

    metric: float
    divergence: float
    prefix_divergences: tuple[float, ...]
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
            prefix_divergences=tuple(float(found.divergence[:count].mean()) for count in PREFIXES),
            cpu_s=time.thread_time() - started_s,
        )

    def ratio(self, candidate: Candidate) -> float:
        """Its latency over FP32's."""
        sessions = [
            open_session(self._subject.network.onnx_bytes),
            open_session(candidate.onnx_bytes, session_entries=candidate.session_entries),
        ]
        collects = gc.isenabled()
        gc.disable()
        try:
            for session in sessions:
                self._block_s(session, _WARM_UPS)
            counts = [max(1, round(_BLOCK_S * _WARM_UPS / self._block_s(session, _WARM_UPS))) for session in sessions]
            ratios = []
            for _ in range(ROUNDS):
                first, one, other, last = (
                    self._block_s(sessions[which], counts[which]) / counts[which] for which in (0, 1, 1, 0)
                )
                ratios.append((one + other) / (first + last))
        finally:
            if collects:
                gc.enable()
        return statistics.median(ratios)

    def _block_s(self, session: Any, count: int) -> float:
        """Seconds of processor time that so many inferences take together."""
        started_ns = time.thread_time_ns()
        for _ in range(count):
            session.run(None, self._feeds)
        return 1e-9 * (time.thread_time_ns() - started_ns)
