"""The commands that reports tell people to type."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from search.notation import DIGEST_SHOWN
from search.point import TrialPoint

POINT_DIGITS = 12
"""Of a digest in a command: enough to tell a million candidates apart."""


def export_command(run: Path | str, point: TrialPoint) -> list[str]:
    """The arguments that export a point; `shlex.join` makes a line of them.

    A digest and not the trial's number, so that the command means the same candidate whatever happens to the run.
    """
    bundle = f"bundle-{point.digest[:DIGEST_SHOWN]}"
    return ["paretune", "export", str(run), "--point", point.digest[:POINT_DIGITS], "--out", bundle]


def select_command(run: Path | str, arguments: Sequence[str]) -> list[str]:
    """The arguments that choose a point of a run by budgets."""
    return ["paretune", "select", str(run), *arguments]
