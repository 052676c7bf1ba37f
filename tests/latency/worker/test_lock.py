"""A held file tells who lives, whoever asks, and that process can be ended by it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from latency.worker.lock import end_holder, hold, is_held

HOLDER = """
import sys, time
from pathlib import Path
from latency.worker.lock import hold
held = hold(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def test_file_is_held_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_held(path), "there is none"
    held = hold(path)
    assert is_held(path)
    assert path.read_text() == str(os.getpid())
    held.close()
    assert not is_held(path)


def test_holder_is_killed_and_a_former_one_is_left_in_peace(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    assert is_held(path)
    assert end_holder(path, 10.0)
    assert holder.wait() == -9
    holder.stdout.close()
    path.write_text(str(os.getpid()))  # an id that has been given to another process since
    assert end_holder(path, 0.0)
