"""The one mistake a user can make here, and how it is put into words."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import BaseModel, ValidationError


class ProfileError(ValueError):
    """A hardware profile that cannot be found, read or believed."""


def suggestion(name: str, known: Iterable[str]) -> str:
    """``did you mean 'x'? Known: x, y`` for a ``name`` that is none of ``known``."""
    names = sorted(known)
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    return f"{hint}Known: {', '.join(names) or 'none'}"


def first_problem(error: ValidationError, model: type[BaseModel]) -> str:
    """One of pydantic's problems as one line: the key, what is wrong, the value, and what to do.

    Unknown keys come before missing ones, since a misspelt key is both.
    """
    problem = min(error.errors(include_url=False), key=lambda problem: problem["type"] != "extra_forbidden")
    path = [str(part) for part in problem["loc"]]
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        return f"key '{key}': unknown; {suggestion(path[-1], _keys_beside(model, path))}"
    if problem["type"] == "missing":
        return f"key '{key}': missing; add it"
    message = problem["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return f"key '{key}': {message}, got {problem['input']!r}; correct the value"


def _keys_beside(model: type[BaseModel], path: list[str]) -> list[str]:
    """The keys that would have been known where ``path`` ends."""
    table = model
    for part in path[:-1]:
        field = table.model_fields.get(part)
        if field is None or not isinstance(field.annotation, type):
            return []
        table = field.annotation
    return list(table.model_fields)
