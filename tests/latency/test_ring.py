"""The ring keeps its workers: replaced in turn, lost ones restarted when they are needed."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import pytest

from latency.errors import OperationError, WorkerError
from latency.ring import Request, WorkerRing


class ScriptedConnection:
    """Answers every request, unless ``failure`` is set."""

    def __init__(self, number: int) -> None:
        self.number, self.closed, self.failure = number, False, None
        self.posted: list[str] = []

    failure: Exception | None

    def post(self, op: str, **_fields: Any) -> None:
        self.posted.append(op)

    def collect(self, timeout_s: float) -> dict[str, Any]:
        assert timeout_s == 5.0
        if self.failure:
            raise self.failure
        return {"ok": True, "number": self.number}

    def request(self, op: str, timeout_s: float, **fields: Any) -> dict[str, Any]:
        self.post(op, **fields)
        return self.collect(timeout_s)

    def close(self) -> None:
        self.closed = True


class ScriptedTransport:
    """Starts scripted connections, unless ``failure`` is set."""

    def __init__(self) -> None:
        self.started: list[ScriptedConnection] = []
        self.failure: WorkerError | None = None

    def start(self) -> ScriptedConnection:
        if self.failure:
            raise self.failure
        self.started.append(ScriptedConnection(len(self.started)))
        return self.started[-1]

    # A ring starts workers and nothing else: were it to move files, its tests would fail here.
    def put(self, data: bytes, name: str) -> str:
        raise NotImplementedError

    def get(self, path: str) -> bytes:
        raise NotImplementedError

    def path(self, name: str) -> str:
        raise NotImplementedError

    def remove(self, path: str) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


@pytest.fixture
def transport() -> ScriptedTransport:
    return ScriptedTransport()


@pytest.fixture
def ring(transport: ScriptedTransport) -> WorkerRing:
    preparation = [Request(op="hello", fields={}), Request(op="load", fields={})]
    return WorkerRing(transport, preparation, size=3, timeout_s=5.0, on_answer=lambda _op, _answer: None)


def numbers(ring: WorkerRing) -> list[int]:
    return [worker.connection.number for worker in ring.workers]  # type: ignore[attr-defined]


def test_workers_are_prepared_once(ring: WorkerRing, transport: ScriptedTransport) -> None:
    ring.make_ready()
    ring.make_ready()
    assert [connection.posted for connection in transport.started] == [["hello", "load"]] * 3


def test_a_replacement_prepares_itself_before_it_is_needed_and_once(
    ring: WorkerRing, transport: ScriptedTransport
) -> None:
    ring.make_ready()
    ring.replace_next()
    assert transport.started[3].posted == ["hello", "load"]
    assert not ring.workers[0].ready
    ring.make_ready()
    assert transport.started[3].posted == ["hello", "load"]
    assert ring.workers[0].ready


def test_a_replacement_that_dies_before_it_is_asked_is_replaced_when_needed(
    ring: WorkerRing, transport: ScriptedTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    ring.make_ready()

    def die(self: ScriptedConnection, op: str, **_fields: Any) -> None:
        raise WorkerError(f"gone before {op}")

    with monkeypatch.context() as patched:
        patched.setattr(ScriptedConnection, "post", die)
        ring.replace_next()
    assert ring.workers[0].lost
    ring.make_ready()
    assert numbers(ring) == [4, 1, 2]
    assert ring.workers[0].ready


def test_longest_lived_is_replaced_next(ring: WorkerRing, transport: ScriptedTransport) -> None:
    for expected in ([3, 1, 2], [3, 4, 2], [3, 4, 5], [6, 4, 5]):
        ring.replace_next()
        assert numbers(ring) == expected
    assert [connection.closed for connection in transport.started[:4]] == [True] * 4


def test_replacing_all_leaves_those_that_nobody_used(ring: WorkerRing) -> None:
    ring.make_ready()
    ring.replace_next()
    ring.replace_all()
    assert numbers(ring) == [3, 4, 5]


@pytest.mark.parametrize("failure", [WorkerError("gone"), OperationError("refused", kind="x")])
def test_one_that_fails_is_lost_and_restarted_by_the_next_call(
    ring: WorkerRing, transport: ScriptedTransport, failure: Exception
) -> None:
    transport.started[1].failure = failure
    with pytest.raises(type(failure)):
        ring.make_ready()
    assert [(worker.ready, worker.lost) for worker in ring.workers] == [(True, False), (False, True), (True, False)]
    ring.make_ready()
    assert numbers(ring) == [0, 3, 2]


def test_one_that_cannot_be_started_is_tried_again_when_needed(ring: WorkerRing, transport: ScriptedTransport) -> None:
    ring.make_ready()
    transport.failure = WorkerError("no memory")
    ring.replace_next()
    with pytest.raises(WorkerError, match="no memory"):
        ring.make_ready()
    transport.failure = None
    ring.make_ready()
    assert numbers(ring) == [3, 1, 2]
