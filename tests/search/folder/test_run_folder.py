"""Files are written whole or not at all, by one owner, and belong to one run."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest

from search.errors import RunFolderError
from search.folder.disk_errors import disk_errors
from search.folder.run_folder import RunFolder

CONFIG: dict[str, Any] = {
    "started_at": "2026-01-02T03:04:05+00:00",
    "workload": {
        "name": "mine", "digest": "d", "metric": "top1", "samples_search": 1, "samples_confirmation": 1,
    },
    "target": {"name": "cpu", "profile": {"threads": 1}},
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def test_a_file_is_replaced_whole_or_stays(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write(folder.config_path, "old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RunFolderError, match="No space left on device; free some space"):
            folder.write(folder.config_path, "new")
    assert folder.config_path.read_text() == "old"
    assert list(folder.path.iterdir()) == [folder.config_path]
    folder.write(folder.config_path, b"new")
    assert folder.config_path.read_bytes() == b"new"


def test_a_run_keeps_when_it_began(folder: RunFolder) -> None:
    folder.adopt(CONFIG)
    folder.study_path.touch()
    folder.adopt({**CONFIG, "started_at": "2027-01-01T00:00:00+00:00"})
    assert folder.read_config()["started_at"] == CONFIG["started_at"]


@pytest.mark.parametrize(
    ("section", "table", "said"),
    [
        ("workload", {**CONFIG["workload"], "digest": "e"}, "another workload: 'mine' has changed since"),
        ("workload", {**CONFIG["workload"], "digest": "e", "name": "yours"}, "was 'mine', is 'yours'"),
        ("target", {"name": "cpu", "profile": {"threads": 2}}, "another target: 'cpu' has changed since"),
    ],
)
def test_a_folder_with_trials_of_another_run_is_left_alone(
    folder: RunFolder, section: str, table: dict[str, Any], said: str
) -> None:
    folder.adopt(CONFIG)
    folder.study_path.touch()
    before = folder.config_path.read_bytes()
    with pytest.raises(RunFolderError, match=said):
        folder.adopt({**CONFIG, section: table})
    assert folder.config_path.read_bytes() == before


def test_a_run_without_a_trial_is_begun_anew(folder: RunFolder) -> None:
    folder.adopt(CONFIG)
    folder.write(folder.network_path, "the old network")
    folder.write(folder.calibration_path, "of the old network")
    folder.adopt({**CONFIG, "workload": {**CONFIG["workload"], "digest": "e"}})
    assert folder.read_config()["workload"]["digest"] == "e"
    assert not folder.network_path.exists()
    assert not folder.calibration_path.exists()


def test_a_study_without_its_configuration_is_nobodys(folder: RunFolder) -> None:
    folder.path.mkdir()
    folder.study_path.touch()
    with pytest.raises(RunFolderError, match=r"holds a study but no run\.toml"):
        folder.adopt(CONFIG)


def test_a_folder_has_one_owner_at_a_time(folder: RunFolder) -> None:
    second = RunFolder(folder.path).locked()
    with folder.locked(), pytest.raises(RunFolderError, match="another search is working"):
        second.__enter__()
    with folder.locked():
        pass


def test_the_owner_clears_away_what_a_killed_one_left_half_written_and_nothing_else(folder: RunFolder) -> None:
    for name in (".run.toml.abc.partial", "candidates/.d1.abc.partial/model.onnx"):
        (folder.path / name).parent.mkdir(parents=True, exist_ok=True)
        (folder.path / name).touch()
    (folder.path / ".bashrc").touch()
    (folder.path / "notes.partial").touch()
    with folder.locked():
        names = {path.name for path in folder.path.rglob("*")}
    assert names == {".lock", ".bashrc", "notes.partial", "candidates"}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_put_into_words(tmp_path: Path, number: int) -> None:
    with pytest.raises(RunFolderError, match="finished trials are safe"), disk_errors(tmp_path):
        raise OSError(number, "no")


def test_a_full_disk_is_recognized_behind_other_errors(tmp_path: Path) -> None:
    sqlite = ValueError("(sqlite3.OperationalError) disk I/O error")
    storage = TypeError("while writing")
    storage.__cause__ = KeyError()
    storage.__cause__.__cause__ = sqlite
    with pytest.raises(RunFolderError, match="database or disk is full"), disk_errors(tmp_path):
        raise storage


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("database is locked", r"another program has locked study\.db; close it"),
        ("attempt to write a readonly database", r"study\.db may not be written; check the permissions"),
        ("unable to open database file", r"study\.db may not be written; check the permissions"),
    ],
)
def test_what_else_keeps_a_study_from_being_written_is_put_into_words(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RunFolderError, match=said), disk_errors(tmp_path), disk_errors(tmp_path / "inner"):
        raise ValueError from KeyError(text)


def test_sessions_are_listed_and_survive_a_resume(folder: RunFolder) -> None:
    folder.adopt(CONFIG)
    folder.begin_session({"started_at": "2026-01-02", "sampler": "tpe", "seed": 0, "trials": 4})
    folder.study_path.touch()
    folder.adopt(CONFIG)
    folder.begin_session({"started_at": "2026-01-03", "sampler": "gp", "seed": 1, "time_s": 9.0})
    assert [session["sampler"] for session in folder.read_config()["sessions"]] == ["tpe", "gp"]


def test_whether_a_search_works_in_it_can_be_told(folder: RunFolder) -> None:
    assert not folder.is_owned
    with folder.locked():
        assert RunFolder(folder.path).is_owned
    assert not folder.is_owned


def test_a_folder_that_cannot_be_locked_is_one_line(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(RunFolderError, match=r"cannot lock .*: No locks available; use an --out on a disk of this"):
        folder.locked().__enter__()


@pytest.mark.parametrize("error", [OSError(errno.EACCES, "no"), KeyError("x"), RunFolderError("other")])
def test_other_errors_pass(tmp_path: Path, error: Exception) -> None:
    with pytest.raises(type(error)) as caught, disk_errors(tmp_path):
        raise error
    assert caught.value is error
