"""What a candidate's rounds ask of workers, in which order."""

from __future__ import annotations

from typing import Any

import pytest

from latency.effort import Effort
from latency.errors import OperationError, WorkerError
from latency.loading import Loading
from latency.ring import Worker
from latency.rounds import Rounds


class ScriptedWorkerConnection:
    """Answers whatever it is asked, and remembers it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.unanswered = 0
        self.answers_with: Exception | None = None

    def post(self, op: str, **fields: Any) -> None:
        self.asked.append((op, fields.get("slot", fields.get("slots"))))
        self.unanswered += 1

    def collect(self, _timeout_s: float) -> dict[str, Any]:
        self.unanswered -= 1
        if self.answers_with is not None:
            raise self.answers_with
        rows = [[1_000_000, 1_000_000, 0]] * 4
        answer = {"samples": [rows, rows], "rounds": 2, "stays": [1, 1]}
        return {**answer, "untimed_ns": 0, "inference_ns": 0, "waited_ns": 250_000_000}

    def request(self, op: str, timeout_s: float, **fields: Any) -> dict[str, Any]:
        self.post(op, **fields)
        return self.collect(timeout_s)


class ScriptedRing:
    """Two ready workers."""

    def __init__(self) -> None:
        self.workers = tuple(Worker(ScriptedWorkerConnection(), ready=True) for _ in range(2))  # type: ignore[arg-type]

    def make_ready(self) -> None:
        """They are."""


def load(ring: ScriptedRing, *, anew: bool = True) -> Loading:
    return Loading(
        ring,  # type: ignore[arg-type]
        load_fields={"path": "candidate"},
        baseline_fields={"path": "baseline"} if anew else None,
        patience_s=1.0,
    )


@pytest.mark.parametrize("begun", [True, False])
@pytest.mark.parametrize("anew", [True, False])
def test_baseline_that_has_been_used_is_loaded_anew_first_in_every_other_worker(anew: bool, begun: bool) -> None:
    ring = ScriptedRing()
    effort = Effort(target_half_width=1.0, seconds_per_process=0.1, max_passes=1, max_seconds=1.0)

    def take() -> list[list[tuple[str, Any]]]:
        loading = load(ring, anew=anew)
        if begun:
            loading.begin()
            assert [worker.connection.unanswered > 0 for worker in ring.workers] == [True, True]  # type: ignore[attr-defined]
        Rounds(
            ring,  # type: ignore[arg-type]
            loading=loading,
            effort=effort,
            patience_s=1.0,
            time_is_up=lambda: False,
        ).take()
        loading.clear_away()
        asked = [list(worker.connection.asked) for worker in ring.workers]  # type: ignore[attr-defined]
        for worker in ring.workers:
            worker.connection.asked.clear()  # type: ignore[attr-defined]
        return asked

    both, alone = ["baseline", "candidate"], ["candidate"]
    timed = [("time_interleaved", both), ("unload", "candidate")]
    ahead = [("load", "baseline")] if anew else []
    assert take() == [
        [("load", "candidate"), ("warm_up", both), *timed],
        [("load", "candidate"), ("warm_up", both), *timed, *ahead],
    ]
    again = take()
    if anew:
        assert again[0] == [("load", "candidate"), ("load", "baseline"), ("warm_up", both), *timed]
        assert again[1] == [("load", "candidate"), ("warm_up", both), *timed, *ahead], "it had the baseline already"
    else:
        assert again == [[("load", "candidate"), ("warm_up", alone), *timed]] * 2
    assert [worker.connection.unanswered for worker in ring.workers] == [0, len(ahead)]  # type: ignore[attr-defined]


def test_what_others_had_the_machine_for_is_counted() -> None:
    ring = ScriptedRing()
    rounds = Rounds(
        ring,  # type: ignore[arg-type]
        loading=load(ring),
        effort=Effort(target_half_width=1.0, seconds_per_process=0.1, max_passes=1, max_seconds=1.0),
        patience_s=1.0,
        time_is_up=lambda: False,
    )
    rounds.take()
    assert rounds.waited_s == pytest.approx(2 * 2 * 0.25)  # two workers, before the warm-up and before the times


def test_what_began_to_load_and_is_not_measured_is_cleared_away_and_every_answer_taken() -> None:
    ring = ScriptedRing()
    loading = load(ring)
    loading.begin()
    loading.begin()  # asked once is enough
    loading.clear_away()
    for worker in ring.workers:
        connection = worker.connection
        assert connection.asked == [("load", "candidate"), ("unload", "candidate")]  # type: ignore[attr-defined]
        assert connection.unanswered == 0  # type: ignore[attr-defined]
        assert not worker.lost
    loading.clear_away()
    assert [len(worker.connection.asked) for worker in ring.workers] == [2, 2]  # type: ignore[attr-defined]


def test_who_is_not_ready_is_asked_when_loading_is_completed() -> None:
    ring = ScriptedRing()
    ring.workers[1].ready = False
    loading = load(ring)
    loading.begin()
    assert [len(worker.connection.asked) for worker in ring.workers] == [1, 0]  # type: ignore[attr-defined]
    ring.workers[1].ready = True
    assert loading.complete() is None
    assert [len(worker.connection.asked) for worker in ring.workers] == [1, 1]  # type: ignore[attr-defined]
    assert loading.loaded is ring.workers[0].connection


def test_a_worker_lost_on_the_way_is_said_on_completion_and_its_successor_loads() -> None:
    ring = ScriptedRing()
    loading = load(ring)
    loading.begin()
    ring.workers[0].connection.answers_with = WorkerError("gone")  # type: ignore[attr-defined]
    assert str(loading.complete()) == "gone"
    assert [worker.lost for worker in ring.workers] == [True, False]
    ring.workers[0].connection, ring.workers[0].lost = ScriptedWorkerConnection(), False  # type: ignore[assignment]
    assert loading.complete() is None
    assert ring.workers[0].connection.asked == [("load", "candidate")]  # type: ignore[attr-defined]


@pytest.mark.parametrize("measured", [True, False])
def test_a_worker_that_does_not_load_the_baseline_again_is_lost_and_its_successor_loads(measured: bool) -> None:
    ring = ScriptedRing()
    ring.workers[1].warm = True
    first, second = load(ring), load(ring)
    assert first.complete() is None
    ring.workers[1].warm = True  # as once it has timed both
    first.clear_away()
    assert ring.workers[1].reloads
    second.begin()
    ring.workers[1].connection.answers_with = OperationError("no room", kind="model_refused")  # type: ignore[attr-defined]
    if measured:
        assert str(second.complete()) == "a worker did not load the baseline anew"
    second.clear_away()
    assert [worker.lost for worker in ring.workers] == [False, True]
    ring.workers[1].connection, ring.workers[1].lost = ScriptedWorkerConnection(), False  # type: ignore[assignment]
    assert second.complete() is None
    assert ring.workers[1].connection.asked == [("load", "candidate")]  # type: ignore[attr-defined]


def test_a_candidate_that_is_refused_is_said_on_completion_and_costs_no_worker() -> None:
    ring = ScriptedRing()
    loading = load(ring)
    loading.begin()
    for worker in ring.workers:
        worker.connection.answers_with = OperationError("no such operator", kind="model_refused")  # type: ignore[attr-defined]
    with pytest.raises(OperationError, match="no such operator"):
        loading.complete()
    assert not any(worker.lost for worker in ring.workers)
