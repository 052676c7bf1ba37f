"""What a session is asked to recover."""

from dataclasses import dataclass, replace
from typing import Any

from compress.errors import CompressionError
from compress.recovery.settings import RecoverySettings
from search.errors import SearchError

OFF, FRONT, SEARCH = "off", "front", "search"
CHOICES = (OFF, FRONT, SEARCH)
"""`front` trains the front's points and what lies close behind it, after the search; `search` trains every candidate
that promises something, shortly, before it gets its values, and after the search the front as `front` does."""
DEFAULT_EPOCHS = 3
DEFAULT_SEARCH_EPOCHS = 1
DEFAULT_SECONDS = 1800.0
DEFAULT_DEVICE = "cpu"
SHARE = 1 / 3
"""Of a session's time, unless told otherwise; `DEFAULT_SECONDS` where the session has no end."""


@dataclass(frozen=True, kw_only=True)
class RecoveryPlan:
    """How candidates are recovered.

    Attributes:
        epochs: Passes over the data after the search, in each round of a candidate's.
        search_epochs: Passes over the data for each candidate in the search; None where none is trained there.
        time_s: Seconds for all that comes after the search, confirmation included; None for a share of the session's.
        seed: Of the training.
        device: Where training computes: `cpu`, `cuda`, or `cuda:1` for the second card.

    Raises:
        SearchError: A value is out of range.
    """

    epochs: int = DEFAULT_EPOCHS
    search_epochs: int | None = None
    time_s: float | None = None
    seed: int = 0
    device: str = DEFAULT_DEVICE

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise SearchError(f"recover_epochs must be at least 1, got {self.epochs}")
        if self.search_epochs is not None and self.search_epochs < 1:
            raise SearchError(f"recover_search_epochs must be at least 1, got {self.search_epochs}")
        if self.time_s is not None and not self.time_s > 0:
            raise SearchError(f"recover_time_s must be above 0 seconds, got {self.time_s}")
        try:
            RecoverySettings(device=self.device)
        except CompressionError as error:  # "device must be ..."
            raise SearchError(f"recover_{error}") from error

    def require_device(self) -> None:
        """Make sure that torch has the device before anything else is done.

        Raises:
            CompressionError: It does not.
        """
        if self.device != DEFAULT_DEVICE:
            from compress.recovery.device import find_device  # torch takes seconds

            find_device(self.device)

    def to_config(self) -> dict[str, Any]:
        """As the run's configuration has it."""
        asked: dict[str, Any] = {"recover": FRONT, "recover_epochs": self.epochs, "recover_seed": self.seed}
        if self.search_epochs is not None:
            asked |= {"recover": SEARCH, "recover_search_epochs": self.search_epochs}
        if self.device != DEFAULT_DEVICE:
            asked["recover_device"] = self.device
        return asked if self.time_s is None else {**asked, "recover_time_s": self.time_s}

    def seconds_of(self, session_s: float | None) -> float:
        """Seconds for the recovery in a session that lasts `session_s`, or has no end.

        Raises:
            SearchError: The session would have no time left to search.
        """
        if session_s is not None and self.time_s is not None and self.time_s >= session_s:
            raise SearchError(
                f"recover_time_s must leave time to search: got {self.time_s:g} of {session_s:g} seconds; give less "
                "of it, or more time"
            )
        if self.time_s is not None:
            return self.time_s
        return DEFAULT_SECONDS if session_s is None else SHARE * session_s


def plan_of(
    recover: str,
    epochs: int,
    time_s: float | None,
    seed: int,
    *,
    search_epochs: int = DEFAULT_SEARCH_EPOCHS,
    device: str = DEFAULT_DEVICE,
) -> RecoveryPlan | None:
    """The plan that a caller's words make; None for no recovery.

    Raises:
        SearchError: A value is out of range.
    """
    if recover not in CHOICES:
        raise SearchError(f"recover takes one of {', '.join(CHOICES)}, got {recover!r}")
    shortly = RecoveryPlan(epochs=epochs, search_epochs=search_epochs, time_s=time_s, seed=seed, device=device)
    plan = shortly if recover == SEARCH else replace(shortly, search_epochs=None)
    return None if recover == OFF else plan
