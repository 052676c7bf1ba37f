"""Where a run's study lies: a database's URL and the study's name in it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from search.errors import StorageError
from search.folder.run_folder import RunFolder

if TYPE_CHECKING:
    from sqlalchemy import URL

FILE_STUDY = "paretune"
"""The study's name in a SQLite file, which holds one run."""

SECTION = "storage"
"""The table of `run.toml` that says where the study lies, where that is not the folder's own file."""

_EXAMPLES = "sqlite:///study.db or postgresql://user@host/database"
# SQLAlchemy names dialects and drivers; people name databases.
_DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
_SECRETS = ("password", "passwd", "sslpassword")
_ID_LENGTH = 8


@dataclass(frozen=True, kw_only=True)
class StudyAddress:
    """Where a study lies.

    Attributes:
        url: SQLAlchemy's URL of the database, with its password where it came with one.
        name: The study's name in it.
    """

    url: "URL"
    name: str

    @classmethod
    def in_file(cls, path: Path) -> Self:
        """The study in a SQLite file of its own."""
        from sqlalchemy import URL

        return cls(url=URL.create("sqlite", database=str(path.resolve())), name=FILE_STUDY)

    @classmethod
    def parse(cls, url: str, name: str) -> Self:
        """The study called `name` in the database at `url`, as Optuna and SQLAlchemy spell it.

        `postgresql://` takes psycopg, and what a folder's name `sqlite:///` is relative to is the current one.

        Raises:
            StorageError: It is no URL of a database.
        """
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError

        try:
            found = make_url(url)
        except (ArgumentError, ValueError) as error:
            raise StorageError(f"--storage takes a database's URL such as {_EXAMPLES}, got {url!r}") from error
        if found.drivername.partition("+")[0] == "sqlite":
            if not found.database or found.database == ":memory:":
                raise StorageError(f"--storage takes a file that lasts, such as {_EXAMPLES}; got {url!r}")
            found = found.set(database=str(Path(found.database).expanduser().resolve()))
        return cls(url=found.set(drivername=_DRIVERS.get(found.drivername, found.drivername)), name=name)

    @property
    def file(self) -> Path | None:
        """The SQLite file; None where a server keeps the study."""
        return Path(self.url.database or "") if self.url.get_backend_name() == "sqlite" else None

    @property
    def shown(self) -> str:
        """Its URL without any password: for files, messages and other eyes."""
        plain = self.url._replace(password=None).difference_update_query(_SECRETS)  # `set` keeps what is None
        return plain.render_as_string(hide_password=False)

    def __str__(self) -> str:
        return repr(str(self.file)) if self.file is not None else f"{self.name!r} at {self.shown}"

    def to_config(self) -> dict[str, str]:
        """As a table of `run.toml`, without any password."""
        return {"url": self.shown, "study": self.name}


def address_of(folder: RunFolder) -> StudyAddress:
    """Where the study of the run in `folder` lies, as its `run.toml` says.

    Raises:
        RunFolderError: There is no run, or its configuration is damaged.
    """
    table = folder.read_config().get(SECTION)
    return (
        StudyAddress.in_file(folder.study_path) if table is None else StudyAddress.parse(table["url"], table["study"])
    )


def choose_address(
    folder: RunFolder, storage: str | None, name: str | None, identity: Mapping[str, Any], title: str
) -> StudyAddress:
    """Where a session on `folder` finds or begins its study.

    Args:
        folder: The run's folder.
        storage: The URL that the caller gives; None for where the run was begun, by default the folder's own file.
        name: The study's name that the caller gives; None for one that follows from what the run is: the same
            workload on the same target finds its study again, with nothing but the URL.
        identity: What makes the run this one (JSON-able).
        title: The name's readable part.

    Raises:
        StorageError: The folder's run lies elsewhere, or the URL or the name is none.
    """
    recorded = folder.read_config().get(SECTION) if folder.exists else None
    if storage is None:
        if name is not None:
            raise StorageError(f"--study {name!r} names a study in a database; give its URL with --storage")
        return StudyAddress.in_file(folder.study_path) if recorded is None else address_of(folder)
    name = name or (None if recorded is None else str(recorded["study"]))
    address = StudyAddress.parse(storage, name or f"{title}-{_short_id(identity)}")
    if address.file is not None and name is None:
        address = StudyAddress(url=address.url, name=FILE_STUDY)
    if recorded is None and folder.study_path.is_file() and address.file != folder.study_path.resolve():
        raise StorageError(f"the run in {str(folder.path)!r} keeps its study in study.db; leave --storage out")
    if recorded is not None and address.to_config() != {key: recorded.get(key) for key in ("url", "study")}:
        was = StudyAddress.parse(recorded["url"], recorded["study"])
        raise StorageError(
            f"the run in {str(folder.path)!r} keeps its study in {was}, not in {address}; leave --storage out "
            "(a password apart), or use another --out"
        )
    return address


def _short_id(identity: Mapping[str, Any]) -> str:
    text = json.dumps(identity, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_LENGTH]
