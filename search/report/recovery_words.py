"""What reports say of recovered candidates, in words."""

from __future__ import annotations

from search.account.selection import Selection
from search.point import TrialPoint


def recovery_text(point: TrialPoint) -> str:
    """Say what a point was before and how it was recovered: 'recovered from #12: ...'; '' where it was not."""
    return f"recovered from #{point.number}: {point.recovery}" if point.recovered_from else ""


def recovery_note(selection: Selection) -> str:
    """Say what recovery made of the front; '' where nothing was recovered."""
    if not selection.before:
        return ""
    count = sum(bool(point.recovered_from) for point in selection.front)
    gone = sum(all(point is not member for member in selection.front) for point in selection.before)
    return (
        f"{count} of the front {'was' if count == 1 else 'were'} recovered (#…r); before, it had "
        f"{len(selection.before)} points, of which {gone} now {'lies' if gone == 1 else 'lie'} behind."
    )
