"""Programs of the system that building a root needs, and their failures in words."""

from __future__ import annotations

import re
import subprocess

from latency.errors import TargetError


def run_program(command: list[str], what: str, remedy: str) -> str:
    """Runs a program and returns what it printed.

    Raises:
        TargetError: it cannot be started or fails; the error says ``what`` failed, how, and the ``remedy``.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
    except OSError as error:
        msg = f"{what}: {command[0]} cannot be started ({error.strerror}); install it"
        raise TargetError(msg) from error
    if done.returncode != 0:
        said = [line for line in (done.stderr + done.stdout).splitlines() if line.strip()]
        errors = [line for line in said if re.match(r"(E|ERROR|error)[: ]", line)] or said[-3:]
        msg = f"{what} failed (exit status {done.returncode}): {' | '.join(errors[:3]) or 'it said nothing'}; {remedy}"
        raise TargetError(msg)
    return done.stdout
