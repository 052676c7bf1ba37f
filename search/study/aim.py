"""What the main search of a run wants, told to its other workers through the study."""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import optuna

AIM = "aim"
"""User attribute of the study: `{"format_version": 1, "trials": ..., "until": ..., "is_over": ...}`."""

FORMAT_VERSION = 1

_ASK_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Aim:
    """When a run's search is over.

    Attributes:
        trials: Finished trials wanted, those of all workers together; None for no such limit.
        until: When the report should stand; None for no such limit.
        is_over: Whether the main search has stopped searching: it confirms, or has done so.
    """

    trials: int | None
    until: dt.datetime | None
    is_over: bool = False

    @classmethod
    def read(cls, study: "optuna.Study") -> Self | None:
        """The aim of a study; None where nobody has told any."""
        found = study.user_attrs.get(AIM)
        if found is None:
            return None
        until = found.get("until")
        return cls(
            trials=found.get("trials"),
            until=None if until is None else dt.datetime.fromisoformat(until),
            is_over=bool(found.get("is_over")),
        )

    def tell(self, study: "optuna.Study") -> None:
        """Write it into the study."""
        until = None if self.until is None else self.until.isoformat(timespec="seconds")
        document: dict[str, Any] = {"trials": self.trials, "until": until, "is_over": self.is_over}
        study.set_user_attr(AIM, {"format_version": FORMAT_VERSION, **document})


def watch_aim(study: "optuna.Study", clock: Callable[[], float]) -> Callable[[], bool]:
    """A question that costs nothing to ask often: whether the main search has stopped searching."""
    asked_s, is_over = -_ASK_S, False

    def ask() -> bool:
        nonlocal asked_s, is_over
        if not is_over and clock() - asked_s >= _ASK_S:
            asked_s = clock()
            aim = Aim.read(study)
            is_over = aim is not None and aim.is_over
        return is_over

    return ask
