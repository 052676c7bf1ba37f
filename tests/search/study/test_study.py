"""The study's file: it stands for itself, and what is wrong with it is said."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

import search.study.storage
import search.study.study
from search.errors import RunFolderError
from search.study.study import flush_study, load_study, open_study


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "study.db"


def test_the_file_stands_for_itself_once_the_study_is_closed(path: Path) -> None:
    with open_study(path, "random", 0) as study:
        study.tell(study.ask(), (1.0, 2.0))
    assert [file.name for file in path.parent.iterdir()] == ["study.db"]
    with load_study(path) as study:
        assert [trial.state.name for trial in study.trials] == ["COMPLETE"]


def test_what_is_no_study_is_named(path: Path) -> None:
    with pytest.raises(RunFolderError, match="no study at"), load_study(path):
        pass
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(RunFolderError, match="is damaged: file is not a database"), load_study(path):
        pass
    path.write_bytes(b"")
    with pytest.raises(RunFolderError, match="is empty; run its search command again"), load_study(path):
        pass


def test_a_study_that_another_program_has_locked_is_one_line(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_study(path, "random", 0):
        pass
    monkeypatch.setattr(search.study.storage, "_LOCK_TIMEOUT_S", 0.05)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with (
            pytest.raises(RunFolderError, match=r"another program has locked study\.db; close it .* are safe"),
            open_study(path, "random", 0) as study,
        ):
            study.ask()


def test_what_is_written_ahead_can_be_put_on_the_disk_at_any_time(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    monkeypatch.setattr(
        search.study.study.os, "fsync", lambda number: flushed.append(str(Path(f"/proc/self/fd/{number}").readlink()))
    )
    flush_study(path)
    assert flushed == []
    with open_study(path, "random", 0) as study:
        study.ask()
        flush_study(path)
    assert flushed == [f"{path}-wal"]
