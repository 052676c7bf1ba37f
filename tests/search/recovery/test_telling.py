"""A recovery is told of as a whole, on the terminal and in a file for whoever looks at the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from compress.recovery.lineage import TrainingProgress
from search.errors import RunFolderError
from search.folder.run_folder import RunFolder
from search.progress import Progress
from search.recovery.state import RecoveryState, StateFile, read_state
from search.recovery.telling import Telling, said_of_rest

from .points import point

STATE = RecoveryState(
    candidate="#12", done=1, candidates=5, step=3, steps=12, epoch=1, epochs=3, loss=0.21, score=0.9312,
    remaining_s=42.0,
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def test_steps_of_a_training_are_steps_of_all_of_them(folder: RunFolder) -> None:
    told: list[Progress] = []
    telling = Telling(folder=folder, listener=told.append, candidates=2, metric="top1", clock=lambda: 100.0)
    with telling, folder.locked():
        telling.begin(point(7, 0.1, 0.2), until_s=1000.0, typical_s=30.0)
        telling.listen(training(step=3))
        assert read_state(folder) == RecoveryState(
            candidate="#7", done=0, candidates=2, step=3, steps=12, epoch=1, epochs=3, loss=0.21, score=None,
            remaining_s=39.0,
        )  # fmt: skip
        telling.end("#7r: won", left=1)
        telling.begin(point(8, 0.1, 0.2), until_s=105.0, typical_s=30.0)
        telling.listen(training(step=6))
    assert [(step.done, step.total) for step in told[1:]] == [(3, 24), (12, 24), (12, 24), (18, 24)]
    assert told[1].remaining_s == 9.0 + 30.0, "this training, and the candidate after it"
    assert told[4].remaining_s == 5.0, "no later than all should be done"
    assert (told[1].detail, told[2].note) == ("#7 (1 of 2), epoch 1/3, loss 0.21", "#7r: won")
    assert not folder.recovery_progress_path.exists(), "nothing is going on any more"


def training(step: int) -> TrainingProgress:
    return TrainingProgress(epoch=1, epochs=3, step=step, steps=12, loss=0.21, score=None, seconds_left=9.0)


def test_a_line_says_what_it_is_at_with_loss_and_metric() -> None:
    assert STATE.detail("top1") == "#12 (2 of 5), epoch 1/3, loss 0.21, top1 0.9312"


def test_the_file_is_written_now_and_then_and_read_while_somebody_works(folder: RunFolder) -> None:
    now = [0.0]
    file = StateFile(folder, clock=lambda: now[0])
    file.keep(STATE)
    now[0] = 0.5
    file.keep(RecoveryState(**{**vars(STATE), "step": 4}))
    assert read_state(folder) is None, "what a killed process has left"
    with folder.locked():
        assert read_state(folder) == STATE
        now[0] = 60.0
        file.keep(RecoveryState(**{**vars(STATE), "step": 5}))
        found = read_state(folder)
        assert found is not None
        assert found.step == 5
        folder.write(folder.recovery_progress_path, json.dumps({"format_version": 1, "state": {"step": 1}}))
        with pytest.raises(RunFolderError, match=r"recovering\.json' is damaged: TypeError"):
            read_state(folder)
    file.remove()
    file.remove()


def test_what_the_time_did_not_suffice_for_is_named() -> None:
    rest = [point(number, 0.1, 0.1) for number in range(10)]
    assert said_of_rest(rest[:2]).startswith("no time is left to recover #0, #1; the same command goes on with them")
    assert "#7 and 2 more" in said_of_rest(rest)
