"""One candidate in the workers of a ring: sent for, loaded in all of them at once, and cleared away."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from latency.errors import OperationError, WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from latency.ring import Worker, WorkerRing
    from latency.transports import Connection

BASELINE = "baseline"
CANDIDATE = "candidate"

_log = logging.getLogger(__name__)


class Loading:
    """Loads a candidate, and where that is wanted the baseline anew beside it.

    Args:
        ring: the workers.
        load_fields: the fields of the candidate's ``load`` request, but for the slot.
        baseline_fields: those of the baseline, where it is loaded anew beside each candidate; None leaves it as it is.
        patience_s: how long a worker may take to load a model.
    """

    def __init__(
        self,
        ring: WorkerRing,
        *,
        load_fields: Mapping[str, Any],
        baseline_fields: Mapping[str, Any] | None = None,
        patience_s: float,
    ) -> None:
        self._ring = ring
        self._load_fields = dict(load_fields)
        self._baseline_fields = baseline_fields
        self._patience_s = patience_s
        self._asked: dict[Connection, list[str]] = {}
        self._loaded: list[Connection] = []

    @property
    def loaded(self) -> Connection | None:
        """A worker that holds the candidate, if one lives."""
        living = [worker.connection for worker in self._living()]
        return next((connection for connection in living if connection in self._loaded), None)

    def begin(self) -> None:
        """Asks the workers to load, and waits for nothing.

        Those that are not ready yet are asked when loading is completed, and who is lost meanwhile is found out then.
        """
        self._ask(self._living())

    def complete(self) -> WorkerError | None:
        """Waits until the candidate is loaded everywhere; how a worker was lost over it, if one was.

        All workers must be ready. One candidate that kills the runtime kills every worker at once: that is one loss.

        Raises:
            OperationError: the runtime refuses the candidate.
        """
        missing = [worker for worker in self._ring.workers if worker.connection not in self._loaded]
        losses = self._ask(missing)
        refusals: list[OperationError] = []
        for worker in missing:
            if not self._takes_reload(worker):
                losses.append(WorkerError("a worker did not load the baseline anew"))
                continue
            for slot in self._asked.pop(worker.connection, []):
                try:
                    worker.connection.collect(self._patience_s)
                except OperationError as error:
                    refusals.append(error)
                except WorkerError as error:
                    worker.lost = True
                    losses.append(error)
                    break
                else:
                    if slot == CANDIDATE:
                        self._loaded.append(worker.connection)
        if refusals:
            raise refusals[0]
        return losses[0] if losses else None

    def clear_away(self) -> None:
        """Unloads the candidate from the workers that live, in all of them at once.

        Those that load the baseline first are asked for it at once: they do so while the caller does other things.
        """
        holding = [w for w in self._living() if w.connection in self._loaded or w.connection in self._asked]
        asked = [w for w in holding if _keeps(w, lambda connection: connection.post("unload", slot=CANDIDATE))]
        for worker in asked:
            if not self._takes_reload(worker):
                continue
            for _ in self._asked.pop(worker.connection, []):
                _keeps(worker, lambda connection: connection.collect(self._patience_s), refusal_is_loss=False)
            if not worker.lost:
                _keeps(worker, lambda connection: connection.collect(self._patience_s))
        fields = self._baseline_fields
        for worker in self._ring.workers[1::2]:
            if fields is not None and worker.warm and worker in asked and not worker.lost:
                worker.warm = False
                worker.reloads = _keeps(worker, lambda connection: connection.post("load", slot=BASELINE, **fields))

    def _takes_reload(self, worker: Worker) -> bool:
        """Takes the answer of a worker that loads the baseline anew; whether the worker is there after it."""
        reloads, worker.reloads = worker.reloads, False
        return not reloads or _keeps(worker, lambda connection: connection.collect(self._patience_s))

    def _living(self) -> list[Worker]:
        return [worker for worker in self._ring.workers if worker.ready and not worker.lost]

    def _ask(self, workers: list[Worker]) -> list[WorkerError]:
        """Asks those that were not asked yet; how some were lost."""
        losses: list[WorkerError] = []
        baseline_first = self._ring.workers[1::2]
        for worker in workers:
            if worker.connection in self._asked or worker.lost:
                continue
            slots = self._slots_to_load(worker, baseline_first=worker in baseline_first)
            try:
                for slot in slots:
                    fields = self._load_fields if slot == CANDIDATE else self._baseline_fields or {}
                    worker.connection.post("load", slot=slot, **fields)
                self._asked[worker.connection] = slots
            except WorkerError as error:
                worker.lost = True
                losses.append(error)
        return losses

    def _slots_to_load(self, worker: Worker, *, baseline_first: bool) -> list[str]:
        """The candidate's, and the baseline's where that has been used: the two are then of one age.

        A session that has run for a while is slower than a fresh one (0.4% to 1% after ten candidates, on a host that
        watches its guests' memory). Every other worker loads the baseline first: which of two sessions of one model was
        made first shows too (0.8% ± 0.2% in one order and nothing in the other, over eight processes on a busy host).
        """
        if self._baseline_fields is None or not worker.warm:
            return [CANDIDATE]
        worker.warm = False
        return [BASELINE, CANDIDATE] if baseline_first else [CANDIDATE, BASELINE]


def _keeps(worker: Worker, step: Callable[[Connection], object], *, refusal_is_loss: bool = True) -> bool:
    """Whether the worker is there after a step."""
    try:
        step(worker.connection)
    except OperationError as error:
        worker.lost = refusal_is_loss
        if refusal_is_loss:
            _log.warning("a worker was lost while the candidate was cleared away: %s", error)
    except WorkerError as error:
        worker.lost = True
        _log.warning("a worker was lost while the candidate was cleared away: %s", error)
    return not worker.lost
