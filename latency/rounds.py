"""One candidate's way through the ring: loaded everywhere, then timed in one worker after another."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from latency.errors import MeasurementError, OperationError, WorkerError
from latency.loading import BASELINE, CANDIDATE
from latency.samples import ProcessSamples, Samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from latency.effort import Effort
    from latency.loading import Loading
    from latency.ring import Worker, WorkerRing
    from latency.transports import Connection

_WARM_UP_S = 0.05
_MIN_ROUNDS = 3  # of A-B-B-A in each process, so that a slow model has a dozen from four
_WORD_S = 5.0  # an idle worker answers at once
_MIN_PROCESSES = 2  # fewer have no interval
_MAX_LOSSES = 2  # workers that one candidate may cost before it is given up

_log = logging.getLogger(__name__)


class Rounds:
    """Takes the samples of one candidate and keeps count of what that took.

    Args:
        ring: the workers.
        loading: loads the candidate in them; it may have begun.
        effort: how long to time.
        patience_s: how long a request may take beyond the time it was given.
        time_is_up: whether the measurement has used its time.
    """

    def __init__(
        self,
        ring: WorkerRing,
        *,
        loading: Loading,
        effort: Effort,
        patience_s: float,
        time_is_up: Callable[[], bool],
    ) -> None:
        self._taken: dict[Connection, ProcessSamples] = {}
        self._stays: list[int] | None = None
        self.inference_s = 0.0
        self.waited_s = 0.0
        self.losses = 0
        self._ring = ring
        self._loading = loading
        self._effort = effort
        self._patience_s = patience_s
        self._time_is_up = time_is_up

    @property
    def processes(self) -> list[ProcessSamples]:
        """What each process has seen so far."""
        return list(self._taken.values())

    def take(self) -> None:
        """Times the candidate in every worker, strictly one after another; one that has done so before goes on.

        Raises:
            MeasurementError: the runtime refuses the candidate, or it cost too many workers.
        """
        try:
            self._load_everywhere()
            for worker in self._ring.workers:
                if self._time_is_up() and len(self._taken) >= _MIN_PROCESSES:
                    return
                samples = self._time_until_answered(worker)
                before = self._taken.get(worker.connection)
                self._taken[worker.connection] = samples if before is None else before.joined(samples)
        except OperationError as error:
            msg = f"the candidate cannot be measured: {error}"
            raise MeasurementError(msg) from error

    def forget(self) -> None:
        """Drops the samples so far: the machine was too crowded for them to say anything."""
        self._taken.clear()

    def _load_everywhere(self) -> None:
        """Loads the candidate where it is not loaded, in all those workers at once."""
        while True:
            try:
                self._ring.make_ready()
            except WorkerError as error:
                self._lose(error)
                continue
            loss = self._loading.complete()
            if loss is None:
                return
            self._lose(loss)

    def _time_until_answered(self, worker: Worker) -> ProcessSamples:
        while True:
            try:
                return self._time(worker)
            except WorkerError as error:
                worker.lost = True
                self._find_others_lost()
                self._lose(error)
                self._load_everywhere()

    def _time(self, worker: Worker) -> ProcessSamples:
        connection, slots = worker.connection, [BASELINE, CANDIDATE]
        warmed_ns = 0
        if connection not in self._taken:
            warmed_ns = self._warm_up(connection, slots[worker.warm :])
            worker.warm = True
        budget_s = self._effort.seconds_per_process
        limit_s = self._effort.max_seconds / len(self._ring.workers)
        answer = connection.request(
            "time_interleaved",
            self._patience_s + max(budget_s, limit_s),
            slots=slots,
            budget_s=budget_s,
            min_rounds=_MIN_ROUNDS,
            limit_s=limit_s,
            stays=self._stays,
        )
        self._stays = answer["stays"]
        baseline, candidate = (Samples.from_worker(rows) for rows in answer["samples"])
        timed_s = (sum(baseline.wall_ms) + sum(candidate.wall_ms)) / 1e3
        self.inference_s += timed_s + (warmed_ns + answer["untimed_ns"]) / 1e9
        self.waited_s += answer["waited_ns"] / 1e9
        return ProcessSamples(candidate=candidate, baseline=baseline, rounds=answer["rounds"])

    def _warm_up(self, connection: Connection, slots: list[str]) -> int:
        answer = connection.request("warm_up", self._patience_s + _WARM_UP_S, slots=slots, budget_s=_WARM_UP_S)
        self.waited_s += answer["waited_ns"] / 1e9
        return int(answer["inference_ns"])

    def _find_others_lost(self) -> None:
        """Asks the other workers for a word: a link or a board takes all of them at once, and that is one loss."""
        for worker in self._ring.workers:
            if worker.ready and not worker.lost:
                try:
                    worker.connection.request("state", _WORD_S)
                except (WorkerError, OperationError):
                    worker.lost = True

    def _lose(self, error: WorkerError) -> None:
        self.losses += 1
        _log.warning("a worker was lost: %s", error)
        if self.losses > _MAX_LOSSES:
            msg = f"the candidate was given up after {self.losses} lost workers; the last one: {error}"
            raise MeasurementError(msg) from error
