"""What a verification found: one check after another, and whether a promise is broken."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["kept", "broken", "undecided", "noted"]

FORMAT_VERSION = 1
"""Of the JSON report."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What it is about, in a word or two.
        status: `kept`; `broken`, for which the verification fails; `undecided` where the promise lies within the
            interval of what was found, so that nobody can say it is broken; or `noted`, which nobody promised.
        promised: In words; empty where nothing was.
        found: In words.
        reason: Why it is not simply kept; empty where it is.
        seconds: How long it took.
    """

    name: str
    status: Status
    promised: str = ""
    found: str = ""
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """All checks of one bundle.

    Attributes:
        bundle: Its path, as it was given.
        name: What its network is called; empty where its manifest could not be read.
        checks: In the order in which they were made.
        figures: What was measured, as numbers, for the JSON report.
        strict: Whether what is undecided counts as broken.
    """

    bundle: str
    name: str
    checks: tuple[Check, ...]
    figures: Mapping[str, Any]
    strict: bool = False

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks for which the verification fails."""
        failing = ("broken", "undecided") if self.strict else ("broken",)
        return tuple(check for check in self.checks if check.status in failing)

    @property
    def is_kept(self) -> bool:
        """Whether no promise is broken."""
        return not self.failed


def judge_at_most(promised: float, low: float, value: float, high: float) -> tuple[Status, str]:
    """Whether a figure is at most what was promised, as far as its interval lets anybody say.

    Args:
        promised: The most that it may be.
        low: The low end of its 95% interval.
        value: The figure.
        high: The high end.

    Returns:
        The status and, where it is not `kept`, the reason.
    """
    if low > promised:
        return "broken", f"even the low end of the interval, {low:.4g}, is above {promised:.4g}"
    if value > promised:
        return "undecided", f"{value:.4g} is above {promised:.4g}, but the interval goes down to {low:.4g}"
    return "kept", "" if high <= promised else f"the interval goes up to {high:.4g}"
