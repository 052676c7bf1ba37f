"""The real worker with one fault.

Arguments: the archive, the fault, a file without which it behaves, and over SSH the file that it locks.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

archive, fault, armed, *lock = sys.argv[1:]
sys.path.insert(0, archive)

from latency.worker import operations, serve  # noqa: E402
from latency.worker.onnxruntime_engine import OnnxRuntimeEngine  # noqa: E402

real_interleave, real_load, real_send = operations.interleave, OnnxRuntimeEngine.load, serve._send


def interleave(*arguments):
    if not Path(armed).exists():
        return real_interleave(*arguments)
    if fault == "dies_once":
        Path(armed).unlink()
    if fault in {"dies", "dies_once"}:
        sys.stderr.write("about to die\n")
        sys.stderr.flush()
        os.kill(os.getpid(), 11)
    if fault == "hangs":
        time.sleep(600)
    return real_interleave(*arguments)


def load(self, model_bytes, settings):
    if fault == "prints":
        sys.stdout.write("a stray line\n")
        os.write(1, b"a native stray line\n")
    return real_load(self, model_bytes, settings)


def send(channel, answer):
    if fault == "half_line" and Path(armed).exists():
        os.write(channel, b'{"id": 1, "ok": tr')
        os._exit(3)
    if fault == "garbage" and Path(armed).exists():
        os.write(channel, b"Segmentation what?\n")
    if fault == "out_of_turn" and Path(armed).exists():
        answer = {**answer, "id": 99}
    real_send(channel, answer)


operations.interleave, OnnxRuntimeEngine.load, serve._send = interleave, load, send
serve.main(*lock)
