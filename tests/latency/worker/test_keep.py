"""A keeper removes its folder when nobody claims it, and never one that another session has claimed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from latency.worker.keep import CLAIM

Keeper = subprocess.Popen[bytes]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "paretune-session-1"
    path.mkdir()
    (path / CLAIM).write_text("mine")
    return path


@pytest.fixture
def keep(folder: Path) -> Iterator[Callable[..., Keeper]]:
    """Starts a keeper of the folder, and waits until it says that it keeps it."""
    started: list[Keeper] = []

    def start(claim: str = "mine", grace_s: float = 0.2, silence_s: float = 60.0) -> Keeper:
        periods = [str(grace_s), str(silence_s)]
        command = [sys.executable, "-m", "latency.worker", "keep", str(folder), claim, *periods]
        keeper = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(keeper)
        assert ask(keeper, "hello")["python"]
        return keeper

    yield start
    for keeper in started:
        keeper.kill()
        with keeper:  # closes its pipes
            keeper.wait()


def ask(keeper: Keeper, op: str, **fields: str) -> dict[str, object]:
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    keeper.stdin.write(b"\n" + json.dumps({"op": op, "id": 7, **fields}).encode() + b"\n")
    keeper.stdin.flush()
    answer = json.loads(keeper.stdout.readline())
    assert answer["id"] == 7
    return dict(answer)


def test_end_of_input_removes_the_folder_after_a_while(folder: Path, keep: Callable[..., Keeper]) -> None:
    keeper = keep(grace_s=0.5)
    assert keeper.stdin is not None
    keeper.stdin.close()
    time.sleep(0.1)
    assert folder.exists(), "a link that is lost may come back"
    assert keeper.wait(30) == 0
    assert not folder.exists()


def test_folder_that_was_claimed_meanwhile_stays(folder: Path, keep: Callable[..., Keeper]) -> None:
    first = keep()
    (folder / CLAIM).write_text("theirs")
    assert first.stdin is not None
    first.stdin.close()
    assert first.wait(30) == 0
    second = keep("theirs")
    assert ask(second, "hello")["kept"] is True
    assert ask(second, "remove")["kept"] is False
    assert second.wait(30) == 0
    assert list(folder.parent.iterdir()) == []


def test_silence_is_an_end(folder: Path, keep: Callable[..., Keeper]) -> None:
    assert keep(silence_s=0.3).wait(30) == 0
    assert not folder.exists()


def test_signal_to_end_removes_the_folder_at_once(folder: Path, keep: Callable[..., Keeper]) -> None:
    keeper = keep(grace_s=600.0)
    keeper.send_signal(signal.SIGTERM)
    assert keeper.wait(30) == 0
    assert not folder.exists()


def test_keeper_of_a_folder_that_is_gone_says_so(folder: Path, keep: Callable[..., Keeper], tmp_path: Path) -> None:
    folder.rename(tmp_path / "elsewhere")
    keeper = keep()
    assert keeper.wait(30) == 0
    assert (tmp_path / "elsewhere").exists()


def test_words_that_are_no_command_are_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "latency.worker", "dance"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("The archive's commands")
    assert done.stderr.endswith("Got: dance\n")
