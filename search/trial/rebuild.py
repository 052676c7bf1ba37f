"""A measured point's candidate, built again from its policy."""

from collections.abc import Callable

from compress.candidate import Candidate
from compress.policy import Policy
from search.errors import SearchError
from search.point import TrialPoint


def rebuild(point: TrialPoint, policy: Policy, build: Callable[[Policy], Candidate]) -> Candidate:
    """The candidate that `point` was measured as: the same policy gives the same bytes.

    Args:
        point: What was measured.
        policy: What it was built from.
        build: Makes a candidate of a policy.

    Raises:
        SearchError: The bytes are others than those that were measured.
    """
    candidate = build(policy)
    if candidate.digest != point.digest:
        raise SearchError(
            f"rebuilding {point.name} gave other bytes ({candidate.digest[:8]}) than were measured "
            f"({point.digest[:8]}); a library has changed since: use the versions in environment.json"
        )
    return candidate
