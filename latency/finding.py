"""One thing that was looked at on a target, and what is to be done about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Status = Literal["ok", "warning", "failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """``name`` in a word or two, ``seen`` in a clause; ``remedy`` says what to do, and is empty where all is well."""

    name: str
    status: Status
    seen: str
    remedy: str = ""

    def __post_init__(self) -> None:
        if self.status not in get_args(Status):
            msg = f"status must be one of {', '.join(get_args(Status))}, got {self.status!r}"
            raise ValueError(msg)
        if bool(self.remedy) == (self.status == "ok"):
            msg = (
                f"a remedy goes with a warning or a failure, got {self.remedy!r} with '{self.status}' for '{self.name}'"
            )
            raise ValueError(msg)
