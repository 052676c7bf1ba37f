"""The one point of a run that somebody names: by its number, or by the beginning of its digest."""

from collections.abc import Sequence

from search.errors import SearchError
from search.point import TrialPoint

_SHORTEST_PREFIX = 6


def find_confirmed(points: Sequence[TrialPoint], wanted: str) -> TrialPoint:
    """The confirmed point with the name, `12` or `12r`, or the beginning of the digest `wanted`.

    A number names a trial, with an r behind it what was recovered from that; what names no point is read as the
    beginning of a digest, if it is long enough that nobody can have meant a trial.

    Raises:
        SearchError: There is none, several are called or begin so, or it is not confirmed; the confirmed ones are
            named.
    """
    text = wanted.removeprefix("#")
    found, several = [point for point in points if _is_called(point, text)], "names several points"
    if not found and len(text) >= _SHORTEST_PREFIX:
        several = "begins several digests"
        found = [point for point in points if point.digest.startswith(text.lower())]
    confirmed = [point for point in points if point.confirmed]
    named = ", ".join(f"{point.name} ({point.digest[:8]})" for point in confirmed)
    choose = f"choose one of {named}" if confirmed else "none of this run is yet: run its search command again"
    if not found:
        raise SearchError(f"no point {wanted!r} in this run; of confirmed points, {choose}")
    if len({point.digest for point in found}) > 1:
        raise SearchError(f"{wanted!r} {several}; of confirmed points, {choose}")
    for point in found:
        if point.confirmed:
            return point
    first = found[0]
    what = f"{first.name} failed: {first.reason}" if first.state == "failed" else f"{first.name} is not confirmed"
    raise SearchError(f"{what}; only confirmed points can be exported, and {choose}")


def _is_called(point: TrialPoint, text: str) -> bool:
    number = text.removesuffix("r")
    is_recovered = number != text
    return number.isdecimal() and point.number == int(number) and point.is_trial is not is_recovered
