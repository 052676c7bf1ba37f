"""Seconds are kept while a session runs, so that a killed one's count too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from search.errors import RunFolderError
from search.folder.run_folder import RunFolder
from search.folder.timings import Timings, read_seconds
from search.stages import StageClock


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def test_they_are_written_now_and_then_and_added_up_over_sessions(folder: RunFolder) -> None:
    for session in (0.0, 12.0):
        clock, stages = Clock(), StageClock()
        timings = Timings(folder, stages, clock=clock)
        stages.add("scoring", 2.0)
        clock.now = 3.0
        timings.tick()
        assert read_seconds(folder) == ({} if not session else {"scoring": 2.0, "other": 10.0})
        clock.now = 12.0
        timings.tick()  # and killed here
    assert read_seconds(folder) == {"scoring": 4.0, "other": 20.0}


def test_what_trials_take_is_told_apart_from_what_comes_once(folder: RunFolder) -> None:
    clock, stages = Clock(), StageClock()
    timings = Timings(folder, stages, clock=clock)
    stages.add("export", 30.0)
    clock.now = 30.0
    for finished in range(1, 31):
        stages.add("scoring", 1.0)
        clock.now += 1.5
        timings.tick(finished)
    stages.add("report", 7.0)
    clock.now += 7.0
    timings.tick()
    timings.keep()
    first, last = json.loads(folder.timings_path.read_text())["steady"]
    assert (first["trials"], last["trials"]) == (20, 30)
    took = {name: last["seconds"][name] - first["seconds"][name] for name in last["seconds"]}
    assert took == {"export": 0.0, "scoring": 10.0, "other": 5.0}
    assert read_seconds(folder)["report"] == 7.0


def test_a_short_session_says_nothing_of_the_steady_state(folder: RunFolder) -> None:
    timings = Timings(folder, StageClock(), clock=Clock())
    for finished in (18, 19, 20):
        timings.tick(finished)
    timings.keep()
    assert "steady" not in json.loads(folder.timings_path.read_text())


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"format_version": 2, "seconds": {}}, "has format_version 2, this paretune reads up to 1"),
        ({"seconds": {}}, "is damaged: it lacks format_version"),
        ({"format_version": 1, "seconds": [1]}, "is damaged: its seconds are no numbers by stage"),
        ({"format_version": 1, "seconds": {"a": "b"}}, "is damaged: its seconds are no numbers by stage"),
    ],
)
def test_what_cannot_be_read_is_named(folder: RunFolder, document: object, said: str) -> None:
    folder.write(folder.timings_path, json.dumps(document))
    with pytest.raises(RunFolderError, match=said):
        read_seconds(folder)
