"""The one mistake a user can make here, and how it is put into words."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, get_args

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
    path, table = _follow(model, [str(part) for part in problem["loc"]])
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        return f"key '{key}': unknown; {suggestion(path[-1], table.model_fields if table else ())}"
    if problem["type"] == "missing":
        return f"key '{key}': missing; add it"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"].startswith("union_tag"):
        key = f"{key}.{problem['ctx']['discriminator'].strip(chr(39))}"
        message = f"input should be one of {problem['ctx'].get('expected_tags', 'those known')}"
        return f"key '{key}': {message}, got {problem['ctx'].get('tag')!r}; correct the value"
    message = message[:1].lower() + message[1:]
    return f"key '{key}': {message}, got {problem['input']!r}; correct the value"


def _follow(model: type[BaseModel], location: list[str]) -> tuple[list[str], type[BaseModel] | None]:
    """A problem's place as keys of the file, and the table that its last key stands in.

    Where one of several tables can stand, pydantic's place names which; that is no key.
    """
    table: type[BaseModel] | None = model
    path: list[str] = []
    remaining = list(location)
    while remaining:
        part = remaining.pop(0)
        path.append(part)
        if not remaining:
            break
        if part.isdigit():  # which of several tables of one kind
            continue
        field = table.model_fields.get(part) if table else None
        kinds = _tables_of(field.annotation) if field else []
        tagged = {kind.model_fields["transport"].default: kind for kind in kinds if "transport" in kind.model_fields}
        only = kinds[0] if len(kinds) == 1 else None
        table = tagged[remaining.pop(0)] if remaining[0] in tagged else only
    return path, table


def _tables_of(annotation: object) -> list[type[BaseModel]]:
    from pydantic import BaseModel

    choices = get_args(annotation) or (annotation,)
    return [kind for kind in choices if isinstance(kind, type) and issubclass(kind, BaseModel)]
