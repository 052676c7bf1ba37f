"""Workers' files disappear with their owner, also where the owner is killed: then the next one clears away."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from latency.errors import TargetError
from latency.transports.scratch import PREFIX, scratch_folder

OWNER = """
import sys, time
from latency.transports.local import LocalTransport
with LocalTransport() as transport:
    print(transport.path(""), flush=True)
    time.sleep(600)
"""


@pytest.fixture
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary folder, for this process and for those it starts."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def owner(parent: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has a folder of its own."""
    process = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


def names(parent: Path) -> set[str]:
    return {path.name for path in parent.iterdir()}


def test_what_a_killed_process_left_is_removed_by_the_next(parent: Path, owner: subprocess.Popen[str]) -> None:
    (left,) = names(parent)
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert names(parent) == {left}, "a killed process clears nothing away"
    with scratch_folder() as folder:
        assert names(parent) == {folder.name}
    assert names(parent) == set()


def test_what_a_living_process_uses_stays(parent: Path, owner: subprocess.Popen[str]) -> None:
    (used,) = names(parent)
    with scratch_folder() as folder, scratch_folder() as second:
        assert names(parent) == {used, folder.name, second.name}
    assert names(parent) == {used}


def test_what_is_not_ours_stays(parent: Path) -> None:
    (parent / f"{PREFIX}mine").mkdir()
    (parent / f"{PREFIX}mine" / "notes.txt").touch()
    (parent / "elsewhere").mkdir()
    (parent / "elsewhere" / "owner.lock").touch()
    (parent / f"{PREFIX}link").symlink_to(parent / "elsewhere", target_is_directory=True)
    before = sorted(parent.rglob("*"))
    with scratch_folder():
        pass
    assert sorted(parent.rglob("*")) == before


def test_a_system_without_a_temporary_folder_is_one_line(parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    with pytest.raises(TargetError, match=r"no temporary folder for the workers: No usable .* set TMPDIR"):
        scratch_folder().__enter__()
