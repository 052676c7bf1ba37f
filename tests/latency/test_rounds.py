"""What a candidate's rounds ask of workers, in which order."""

from __future__ import annotations

from typing import Any

import pytest

from latency.effort import Effort
from latency.ring import Worker
from latency.rounds import Rounds


class ScriptedWorkerConnection:
    """Answers whatever it is asked, and remembers it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []

    def post(self, op: str, **fields: Any) -> None:
        self.asked.append((op, fields.get("slot", fields.get("slots"))))

    def collect(self, _timeout_s: float) -> dict[str, Any]:
        rows = [[1_000_000, 1_000_000, 0]] * 4
        return {"samples": [rows, rows], "rounds": 2, "stays": [1, 1], "untimed_ns": 0, "inference_ns": 0}

    def request(self, op: str, timeout_s: float, **fields: Any) -> dict[str, Any]:
        self.post(op, **fields)
        return self.collect(timeout_s)


class ScriptedRing:
    """Two ready workers."""

    def __init__(self) -> None:
        self.workers = tuple(Worker(ScriptedWorkerConnection(), ready=True) for _ in range(2))  # type: ignore[arg-type]

    def make_ready(self) -> None:
        """They are."""


@pytest.mark.parametrize("anew", [True, False])
def test_baseline_that_has_been_used_is_loaded_anew_first_in_every_other_worker(anew: bool) -> None:
    ring = ScriptedRing()
    effort = Effort(target_half_width=1.0, seconds_per_process=0.1, max_passes=1, max_seconds=1.0)

    def take() -> list[list[tuple[str, Any]]]:
        rounds = Rounds(
            ring,  # type: ignore[arg-type]
            load_fields={"path": "candidate"},
            baseline_fields={"path": "baseline"} if anew else None,
            effort=effort,
            patience_s=1.0,
            time_is_up=lambda: False,
        )
        rounds.take()
        rounds.clear_away()
        asked = [list(worker.connection.asked) for worker in ring.workers]  # type: ignore[attr-defined]
        for worker in ring.workers:
            worker.connection.asked.clear()  # type: ignore[attr-defined]
        return asked

    both, alone = ["baseline", "candidate"], ["candidate"]
    timed = [("time_interleaved", both), ("unload", "candidate")]
    assert take() == [[("load", "candidate"), ("warm_up", both), *timed]] * 2
    again = take()
    if anew:
        assert again[0] == [("load", "candidate"), ("load", "baseline"), ("warm_up", both), *timed]
        assert again[1] == [("load", "baseline"), ("load", "candidate"), ("warm_up", both), *timed]
    else:
        assert again == [[("load", "candidate"), ("warm_up", alone), *timed]] * 2
