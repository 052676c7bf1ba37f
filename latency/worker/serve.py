"""The worker's loop: one JSON object per line in, one per line out, until the input ends."""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latency.worker import ENGINES
from latency.worker.lock import hold
from latency.worker.operations import Operations

if TYPE_CHECKING:
    from typing import BinaryIO

_GRACE_S = 5.0  # how long a running operation may go on after the input has ended


def serve(requests: BinaryIO, channel: int, operations: Operations) -> None:
    """Answers requests in order until ``exit`` or the end of input.

    A thread of its own waits for lines, so that the end of input is seen even while an operation runs or hangs in
    native code: whoever started the worker is gone then, and the process ends within seconds.

    Args:
        requests: where requests come from.
        channel: the file descriptor that answers are written to.
        operations: what can be asked.
    """
    lines: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_receive, args=(requests, lines), daemon=True).start()
    while True:
        line = lines.get()
        if not line:
            return
        request, answer = _parse(line)
        if request.get("op") == "exit":
            _send(channel, {"id": request.get("id"), "ok": True})
            return
        _send(channel, {"id": request.get("id"), **(answer or operations.call(request))})


def main(lock: str | None = None) -> None:
    """Serves standard input. What else is printed, by native code too, goes to standard error.

    Args:
        lock: a file that says that this process lives; None for none.
    """
    held = hold(Path(lock)) if lock else None
    channel = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    _import_early()
    status = 0
    try:
        serve(sys.stdin.buffer, channel, Operations(ENGINES))
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stderr.flush()
    if held is not None:
        held.close()
    os._exit(status)  # the thread that waits on standard input must not hold the process up


def _receive(requests: BinaryIO, lines: queue.Queue[bytes]) -> None:
    for line in requests:
        lines.put(line)
    lines.put(b"")
    threading.Event().wait(_GRACE_S)
    os._exit(1)


def _parse(line: bytes) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The request, and the answer if it is none."""
    try:
        request = json.loads(line)
    except ValueError as error:
        return {}, {"ok": False, "error": f"not a JSON line: {error}", "kind": "protocol"}
    if not isinstance(request, dict):
        return {}, {"ok": False, "error": f"expected a JSON object, got {request!r}", "kind": "protocol"}
    return request, None


def _send(channel: int, answer: dict[str, Any]) -> None:
    data = json.dumps(answer, separators=(",", ":")).encode() + b"\n"
    while data:
        data = data[os.write(channel, data) :]


def _import_early() -> None:
    """Imports ONNX Runtime before the first request, so that starting overlaps with what the other side does.

    The other engines' runtimes are slower to import, and most workers do not need them; who does, says so first.
    """
    try:
        ENGINES["onnxruntime"].version()
    except Exception as error:
        sys.stderr.write(f"{error}\n")
