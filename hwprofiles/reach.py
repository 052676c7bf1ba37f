"""How the measuring worker is started on a target."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, field_validator

from hwprofiles.errors import ProfileError, first_problem
from hwprofiles.part import Part

Word = Annotated[str, Field(min_length=1)]

_HOST = re.compile(
    r"(?:(?P<user>[^@\s]+)@)?(?:\[(?P<six>[0-9a-fA-F:]+(?:%[\w.-]+)?)\]|(?P<host>[^:@\s\[\]]+))(?::(?P<port>\d+))?"
)


class LocalReach(Part):
    """A process on this machine."""

    transport: Literal["local"] = "local"


class SshReach(Part):
    """A process on another machine, over SSH with key authentication and a known host key.

    ``identity_files`` are the keys to try and no others; without any, those of ``~/.ssh`` and of a running agent.
    ``known_hosts`` defaults to ``~/.ssh/known_hosts``. ``python_command`` starts Python there, word by word; no shell
    sees it unquoted. ``folder`` is where the one private directory of a session is made.
    """

    transport: Literal["ssh"] = "ssh"
    host: Word
    port: Annotated[int, Field(ge=1, le=65535)] = 22
    user: Word | None = None
    identity_files: tuple[Word, ...] = ()
    known_hosts: Word | None = None
    python_command: tuple[Word, ...] = ("python3",)
    folder: Word = "/tmp"  # noqa: S108 - on the target, in a directory of its own with mode 0700
    connect_timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 20.0

    @field_validator("host", "user")
    @classmethod
    def _is_no_option(cls, word: str | None) -> str | None:
        """Neither a blank nor a leading dash: such a name is a mistake, or an attack on a command line."""
        if word is not None and (word.startswith("-") or any(character.isspace() for character in word)):
            msg = "a host or user name has no blanks and does not begin with a dash"
            raise ValueError(msg)
        return word

    @field_validator("python_command")
    @classmethod
    def _names_a_program(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        if not words or any("\0" in word for word in words):
            msg = 'list the program and its arguments, without null characters, such as ["python3"]'
            raise ValueError(msg)
        return words

    def at(self, destination: str) -> Self:
        """The same way in, at ``[USER@]HOST[:PORT]``; an IPv6 address stands in brackets.

        Raises:
            ProfileError: it is no such thing.
        """
        found = _HOST.fullmatch(destination)
        port = int(found["port"]) if found and found["port"] else self.port
        if not found or not 1 <= port <= 65535:
            msg = f"--host takes [USER@]HOST[:PORT], got {destination!r}"
            raise ProfileError(msg)
        changes = {"host": found["host"] or found["six"], "port": port, "user": found["user"] or self.user}
        try:
            return type(self).model_validate({**self.model_dump(), **changes})
        except ValidationError as error:
            msg = f"--host {destination!r}: {first_problem(error, type(self))}"
            raise ProfileError(msg) from error


class EmulatedReach(Part):
    """A process of another architecture, run instruction by instruction by qemu on this machine.

    What it costs is counted in instructions; its time says nothing. ``root`` is the folder that
    ``paretune profile prepare`` has filled; None for the user's cache.
    """

    transport: Literal["emulated"] = "emulated"
    cpu: Literal["cortex-a53", "cortex-a72", "cortex-a76", "neoverse-n1", "max"] = "cortex-a76"
    root: Word | None = None


Reach = Annotated[LocalReach | SshReach | EmulatedReach, Field(discriminator="transport")]
