"""The loop answers every line, whatever it holds, and ends with its input."""

from __future__ import annotations

import io
import json
import os

import pytest

from latency.worker import ENGINES
from latency.worker.operations import Operations
from latency.worker.serve import serve


def answers(lines: list[bytes]) -> list[dict[str, object]]:
    """What ``serve`` answers; the last line ends it."""
    reader, writer = os.pipe()
    serve(io.BytesIO(b"\n".join([*lines, b'{"op":"exit","id":99}', b""])), writer, Operations(ENGINES))
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        return [json.loads(line) for line in file]


@pytest.fixture(autouse=True)
def _no_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latency.worker.serve._GRACE_S", 1e6)  # the receiving thread ends the process otherwise


def test_answers_carry_the_requests_number() -> None:
    hello, last = answers([b'{"op":"hello","id":7,"engine":"onnxruntime"}'])
    assert (hello["id"], hello["ok"], hello["pid"]) == (7, True, os.getpid())
    assert last == {"id": 99, "ok": True}


@pytest.mark.parametrize(("line", "words"), [(b"{", "not a JSON line"), (b"[1]", "expected a JSON object, got [1]")])
def test_line_that_is_no_request_is_answered(line: bytes, words: str) -> None:
    answer = answers([line])[0]
    assert (answer["ok"], answer["kind"], answer["id"]) == (False, "protocol", None)
    assert words in str(answer["error"])


def test_unknown_operation_lists_the_known() -> None:
    answer = answers([b'{"op":"fly","id":1}'])[0]
    assert "unknown operation 'fly'; known: hello, machine, state" in str(answer["error"])


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot pin a process")
def test_core_that_is_not_there_is_named(tmp_path: object) -> None:
    request = {
        "op": "load",
        "id": 1,
        "slot": "a",
        "engine": "onnxruntime",
        "path": "x",
        "settings": {"affinity": [100_000]},
    }
    answer = answers([json.dumps(request).encode()])[0]
    assert answer["kind"] == "affinity"
    assert "cores [100000]" in str(answer["error"])
    assert "usable cores" in str(answer["error"])
