"""What reports say of recovered candidates, in words."""

from __future__ import annotations

from search.account.selection import Selection
from search.facts import ReportFacts
from search.point import TrialPoint


def recovery_text(point: TrialPoint) -> str:
    """Say when or from what a point was recovered, and how: 'recovered from #12: ...'; '' where it was not."""
    if not point.recovered_from:
        return ""
    when = "in the search" if point.is_trial else f"recovered from #{point.number}"
    return f"{when}: {point.recovery}"


def recovery_note(selection: Selection, facts: ReportFacts) -> str:
    """Say what recovery made of the front; '' where nothing was recovered."""
    return " ".join(part for part in (_said_of_search(facts), _said_of_rest(selection, facts)) if part)


def _said_of_search(facts: ReportFacts) -> str:
    """Which kind of candidates the search's own figures are of, where that is not what their policies give."""
    if facts.search_epochs is None:
        return ""
    epochs = "1 epoch" if facts.search_epochs == 1 else f"{facts.search_epochs} epochs"
    return (
        f"Candidates were trained in the search, for {epochs} each, before they got their figures; what had nothing to "
        "win back is as it was."
    )


def _said_of_rest(selection: Selection, facts: ReportFacts) -> str:
    count = sum(not point.is_trial for point in selection.front)
    if not selection.before or (facts.search_epochs is not None and not count):
        return ""
    gone = sum(all(point is not member for member in selection.front) for point in selection.before)
    how = "recovered" if facts.search_epochs is None else "trained on after it"
    return (
        f"{count} of the front {'was' if count == 1 else 'were'} {how} (#…r); before, it had "
        f"{len(selection.before)} points, of which {gone} now {'lies' if gone == 1 else 'lie'} behind."
    )
