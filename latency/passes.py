"""Passes through the ring until a ratio is known well enough, and what earlier candidates say of how well it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latency.grading import baseline_level_ms, judge
from latency.statistics import SpreadPool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from latency.effort import Effort
    from latency.grading import Verdict
    from latency.ring import WorkerRing
    from latency.rounds import Rounds
    from latency.samples import Clock, ProcessSamples
    from latency.statistics import SpreadPrior

_CLOCKS: tuple[Clock, ...] = ("wall", "cpu")


class Passes:
    """Decides how many passes a candidate takes; remembers what candidates have shown of workers and machine.

    Args:
        threads: threads within an inference.
        clock: seconds from any origin.
    """

    def __init__(self, *, threads: int, clock: Callable[[], float]) -> None:
        self._threads = threads
        self._clock = clock
        self._spread: dict[Clock, SpreadPool] = {which: SpreadPool() for which in _CLOCKS}
        self._best_baseline_ms: float | None = None

    def priors(self) -> dict[Clock, SpreadPrior]:
        """For each clock, what the candidates so far say of the spread between processes."""
        return {which: pool.prior() for which, pool in self._spread.items()}

    def take(self, rounds: Rounds, ring: WorkerRing, effort: Effort, *, started_s: float) -> Verdict:
        """Takes passes until the ratio is known well enough or the effort is spent.

        Args:
            rounds: takes the samples.
            ring: the workers; where processes are wanting and not samples, others take their places.
            effort: the stop rule.
            started_s: when the measurement began, on this clock.

        Raises:
            MeasurementError: the runtime refuses the candidate, or it cost too many workers.
        """
        number = 1
        while True:
            pass_started_s = self._clock() - rounds.waited_s  # while others measure no effort of ours is spent
            rounds.take()
            verdict = self._judge(rounds.processes)
            known = verdict.grade != "unreliable" and verdict.estimate.half_width <= effort.target_half_width
            finished_s = self._clock() - rounds.waited_s
            would_finish_s = finished_s + (finished_s - pass_started_s)
            if known or number == effort.max_passes or would_finish_s - started_s > effort.max_seconds:
                return verdict
            if verdict.crowded and self._threads > 1:
                rounds.forget()
            if verdict.estimate.wants_processes and number > 1:
                ring.replace_all()
            number += 1

    def learn(self, processes: Sequence[ProcessSamples], verdict: Verdict) -> None:
        """Remember what a candidate's samples say; those of an unreliable one say nothing of the spread."""
        level_ms = baseline_level_ms(processes)
        self._best_baseline_ms = min(level_ms, self._best_baseline_ms or level_ms)
        if verdict.grade != "unreliable":
            self._spread[verdict.clock].add(verdict.estimate)

    def _judge(self, processes: Sequence[ProcessSamples]) -> Verdict:
        return judge(processes, threads=self._threads, priors=self.priors(), best_baseline_ms=self._best_baseline_ms)
