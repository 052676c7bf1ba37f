"""What is built once is built once, whoever asks, and never taken for something else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from latency.worker.built_file import read_or_build, write_whole

BUILDER = """
import sys, time
from latency.worker.built_file import read_or_build

def build():
    with open(sys.argv[2], "a") as log:
        log.write("built\\n")
    time.sleep(0.3)
    return str(time.time_ns()).encode()

print(read_or_build(sys.argv[1], "key", build).decode())
"""


def test_what_was_built_is_read(tmp_path: Path) -> None:
    path = str(tmp_path / "engine")
    assert read_or_build(path, "a", lambda: b"one\ntwo") == b"one\ntwo"
    assert read_or_build(path, "a", lambda: b"never") == b"one\ntwo"


def test_another_key_builds_anew(tmp_path: Path) -> None:
    """The file may lie where an earlier model's did."""
    path = str(tmp_path / "engine")
    read_or_build(path, "a", lambda: b"of a")
    assert read_or_build(path, "ab", lambda: b"of ab") == b"of ab"
    assert read_or_build(path, "ab", lambda: b"never") == b"of ab"


def test_without_a_file_each_builds() -> None:
    built = iter([b"1", b"2"])
    assert [read_or_build(None, "a", lambda: next(built)) for _ in range(2)] == [b"1", b"2"]


def test_failed_build_leaves_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    path = str(tmp_path / "engine")

    def fail() -> bytes:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        read_or_build(path, "a", fail)
    assert not Path(path).exists()
    assert read_or_build(path, "a", lambda: b"now") == b"now"


@pytest.mark.skipif(sys.platform == "win32", reason="this system has no advisory locks, so two may build")
def test_processes_that_ask_together_get_the_same(tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", BUILDER, str(tmp_path / "engine"), str(tmp_path / "log")]
    root = Path(__file__).parents[3]
    processes = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(3)]
    answers = {process.communicate(timeout=60)[0] for process in processes}
    assert len(answers) == 1
    assert answers != {""}
    assert (tmp_path / "log").read_text() == "built\n"


def test_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    path.write_bytes(b"before")
    write_whole(str(path), b"after")
    assert path.read_bytes() == b"after"
    assert [entry.name for entry in tmp_path.iterdir()] == ["cache"]
    with pytest.raises(TypeError):
        write_whole(str(path), "not bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"after"
    assert [entry.name for entry in tmp_path.iterdir()] == ["cache"]
