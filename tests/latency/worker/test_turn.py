"""On one machine latencies are taken one at a time, and while nobody works hard."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from latency.worker import turn
from latency.worker.operations import Operations
from latency.worker.turn import measuring, working

Block = Callable[[], "AbstractContextManager[None]"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The locks of a machine of the test's own; each block opens them anew, as another process would."""
    monkeypatch.setattr(turn, "FOLDER", tmp_path)
    return


class Visitor(threading.Thread):
    """Goes into a block and stays there until it is let out."""

    def __init__(self, block: Block) -> None:
        super().__init__(daemon=True)
        self._block = block
        self.inside, self._leave = threading.Event(), threading.Event()
        self.start()

    def run(self) -> None:
        with self._block() as self.turn:
            self.inside.set()
            self._leave.wait(60)

    def comes_in(self, within_s: float) -> bool:
        return self.inside.wait(within_s)

    def let_out(self) -> None:
        self._leave.set()
        self.join(60)


@pytest.mark.parametrize(("first", "second"), [(measuring, measuring), (measuring, working), (working, measuring)])
def test_who_measures_is_alone(first: Block, second: Block) -> None:
    one = Visitor(first)
    assert one.comes_in(30)
    other = Visitor(second)
    assert not other.comes_in(0.2)
    one.let_out()
    assert other.comes_in(30)
    other.let_out()
    assert one.turn.waited_ns < 2e8 <= other.turn.waited_ns


def test_many_may_work() -> None:
    workers = [Visitor(working) for _ in range(3)]
    assert all(worker.comes_in(30) for worker in workers)
    for worker in workers:
        worker.let_out()


def test_whoever_wants_to_measure_comes_before_new_work() -> None:
    old = Visitor(working)
    assert old.comes_in(30)
    measurer = Visitor(measuring)
    time.sleep(0.1)
    new = Visitor(working)
    assert not new.comes_in(0.2)
    old.let_out()
    assert measurer.comes_in(30)
    assert not new.inside.is_set()
    measurer.let_out()
    assert new.comes_in(30)
    new.let_out()


def test_nobody_waits_forever_for_one_who_was_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = Visitor(measuring)
    assert stopped.comes_in(30)
    monkeypatch.setattr(turn, "PATIENCE_S", 0.1)
    for block in (measuring, working):
        with block():
            pass
    stopped.let_out()


def test_without_a_folder_for_the_locks_nothing_is_held_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "FOLDER", tmp_path / "none")
    with measuring(), working():
        pass


def test_another_users_file_is_enough_and_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / turn.GATE).touch(0o444)
    (tmp_path / turn.ROOM).symlink_to(tmp_path / "elsewhere")
    with measuring():
        pass
    assert not (tmp_path / "elsewhere").exists()


class LoadedEngine:
    """Says when it is loaded."""

    loaded = threading.Event()

    def load(self, *_: object) -> None:
        self.loaded.set()

    def bind(self, *_: object) -> None:
        """Nothing is run."""

    def close(self) -> None:
        """Nothing is held."""


def test_a_model_is_not_loaded_while_times_are_taken(tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    model.write_bytes(b"")
    operations = Operations({"made": LoadedEngine})  # type: ignore[dict-item]  # what loading needs of one
    LoadedEngine.loaded.clear()
    measurer = Visitor(measuring)
    assert measurer.comes_in(30)
    loader = threading.Thread(target=operations.load, args=("candidate", "made", str(model), {}), daemon=True)
    loader.start()
    assert not LoadedEngine.loaded.wait(0.2)
    measurer.let_out()
    assert LoadedEngine.loaded.wait(30)
    loader.join(30)
