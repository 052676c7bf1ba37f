"""Seconds of searching at a moment, with the pauses between sessions left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

Span = tuple[datetime, datetime]


@dataclass(frozen=True, kw_only=True)
class ActiveTime:
    """A clock that stands still while nobody searches.

    Attributes:
        begins: When it shows 0.
        pauses: Spans in which it stands still, apart from one another, in order.
    """

    begins: datetime
    pauses: tuple[Span, ...]

    @classmethod
    def of(cls, trials: Sequence[Span], session_starts: Sequence[datetime]) -> ActiveTime:
        """The clock of a run.

        A pause lasts from the end of the last trial before a session to the session's start. Where some trial is under
        way at that moment another worker was searching, and there is no pause.

        Args:
            trials: When each finished trial began and ended, at least one.
            session_starts: When sessions began.
        """
        begins = min([*session_starts, *(begin for begin, _ in trials)])
        pauses = []
        for start in sorted(session_starts):
            before = [end for begin, end in trials if begin < start]
            if before and max(before) < start:
                pauses.append((max(before), start))
        return cls(begins=begins, pauses=_apart(pauses))

    def seconds_at(self, moment: datetime) -> float:
        """What the clock shows at a moment at or after `begins`."""
        stood = sum((min(end, moment) - begin for begin, end in self.pauses if begin < moment), timedelta())
        return (moment - self.begins - stood).total_seconds()


def _apart(pauses: Sequence[Span]) -> tuple[Span, ...]:
    """Join pauses that begin at the same trial's end: a session that finished no trial ends none."""
    longest: dict[datetime, datetime] = {}
    for begin, end in pauses:
        longest[begin] = max(end, longest.get(begin, end))
    return tuple(sorted(longest.items()))
