"""Hard work waits for its turn, and the wait is a stage of its own."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

import latency.worker.turn
from latency.worker.turn import measuring
from search.stages import StageClock
from search.trial.turns import WAITING, WaitNotice, in_turn


def test_the_wait_for_whoever_takes_times_is_no_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency.worker.turn, "FOLDER", tmp_path)
    began, order, stages = threading.Event(), [], StageClock()

    def take_times() -> None:
        with measuring():
            began.set()
            time.sleep(0.3)
            order.append("times")

    other = threading.Thread(target=take_times)
    other.start()
    began.wait()
    with in_turn(stages, "building"):
        order.append("work")
    other.join()
    assert order == ["times", "work"]
    assert stages.seconds[WAITING] > stages.seconds["building"]


def test_a_long_wait_is_said_once() -> None:
    stages = StageClock()
    notice = WaitNotice(stages)
    assert notice.take() == ""
    stages.add(WAITING, 9.0)
    assert notice.take() == ""
    stages.add("latency inference", 10_000.0)
    stages.add(WAITING, 63.0)
    assert notice.take() == "", "a night alone adds up to as much"
    stages.add(WAITING, 600.0)
    assert notice.take().startswith("waited 11 min 12 s so far for other paretune processes of this machine")
    assert notice.take() == ""


def test_work_that_fails_is_counted_and_ends_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency.worker.turn, "FOLDER", tmp_path)
    stages = StageClock()
    with pytest.raises(ValueError, match="no such layer"), in_turn(stages, "building"):
        raise ValueError("no such layer")
    assert set(stages.seconds) == {WAITING, "building"}
    with measuring():  # nobody works any more, or this would take its patience
        pass
