"""A few warm workers that each hold the baseline, and how they are replaced."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latency.errors import OperationError, WorkerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from latency.transports import Connection, Transport

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Worker:
    """One place in the ring.

    ``asked`` once it was sent what prepares it, ``ready`` once its process has said hello and loaded the baseline,
    ``warm`` once it has timed it. ``reloads`` while it loads the baseline anew and nobody has taken the answer.
    """

    connection: Connection
    asked: bool = False
    ready: bool = False
    warm: bool = False
    reloads: bool = False
    lost: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One request that prepares a worker."""

    op: str
    fields: dict[str, object]


class WorkerRing:
    """Keeps ``size`` workers.

    A replacement starts and prepares itself at once and in the background; it is waited for before times are taken.
    Idle workers block on their input and take no processor time.

    Args:
        transport: what starts workers.
        preparation: the requests that make a started worker ready.
        size: how many workers.
        timeout_s: how long one request of the preparation may take.
        on_answer: gets each answer to the preparation, with its request's operation.
    """

    def __init__(
        self,
        transport: Transport,
        preparation: Sequence[Request],
        *,
        size: int,
        timeout_s: float,
        on_answer: Callable[[str, dict[str, object]], None],
    ) -> None:
        self._transport = transport
        self._preparation = tuple(preparation)
        self._timeout_s = timeout_s
        self._on_answer = on_answer
        self._next = 0
        self._workers = [Worker(transport.start()) for _ in range(size)]

    @property
    def workers(self) -> tuple[Worker, ...]:
        """The workers, ready or not."""
        return tuple(self._workers)

    def replace(self, worker: Worker) -> None:
        """Ends a worker and starts another in its place, without waiting for it.

        One that cannot be started is marked lost, and tried again when it is needed.
        """
        try:
            self._restart(worker)
            self._post(worker)
        except WorkerError as error:
            worker.lost = True
            _log.warning("a worker was not replaced: %s", error)

    def replace_next(self) -> None:
        """Replaces the worker whose turn it is, the one that has lived longest."""
        self.replace(self._workers[self._next])
        self._next = (self._next + 1) % len(self._workers)

    def replace_all(self) -> None:
        """Replaces every worker that has been used; a fresh one stays."""
        for worker in self._workers:
            if worker.ready or worker.lost:
                self.replace(worker)

    def make_ready(self) -> None:
        """Waits until every worker is ready; lost ones are replaced first.

        Raises:
            WorkerError: one died, hung or cannot be started; it is marked lost, and the next call replaces it.
            OperationError: the preparation was refused.
        """
        for worker in self._workers:
            if worker.lost:
                self._restart(worker)
        waiting = [worker for worker in self._workers if not worker.ready]
        problems: list[Exception] = []
        posted = [worker for worker in waiting if worker.asked or self._attempt(worker, self._post, problems)]
        for worker in posted:
            self._attempt(worker, self._collect, problems)
        if problems:
            raise problems[0]

    def _restart(self, worker: Worker) -> None:
        worker.connection.close()
        worker.asked, worker.ready, worker.warm, worker.reloads, worker.lost = False, False, False, False, True
        worker.connection = self._transport.start()
        worker.lost = False

    def _attempt(self, worker: Worker, step: Callable[[Worker], None], problems: list[Exception]) -> bool:
        try:
            step(worker)
        except (WorkerError, OperationError) as error:
            worker.lost = True  # after a refusal answers are outstanding: only a new process is sure to be in step
            problems.append(error)
            return False
        return True

    def _post(self, worker: Worker) -> None:
        for request in self._preparation:
            worker.connection.post(request.op, **request.fields)
        worker.asked = True

    def _collect(self, worker: Worker) -> None:
        for request in self._preparation:
            self._on_answer(request.op, worker.connection.collect(self._timeout_s))
        worker.ready = True
