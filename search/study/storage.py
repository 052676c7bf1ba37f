"""Opening the database that holds a study: a SQLite file, or a server that may be away for a while."""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from search.errors import StorageError, StorageLostError
from search.folder.disk_errors import disk_errors
from search.folder.run_folder import damaged
from search.study.address import StudyAddress

if TYPE_CHECKING:
    from optuna.storages import RDBStorage
    from sqlalchemy.engine import Dialect

HEARTBEAT_S = 30
"""How often a worker says that it is still at its trial."""

GRACE_S = 120
"""How long a trial may be without such a word before it counts as left by its worker."""

PATIENCE_S = 600.0
"""How long a server may be away in the middle of a run: a restart, an update, a cable."""

# A dashboard, a backup or another worker may hold the file for a moment.
_LOCK_TIMEOUT_S = 60.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0

_EXTRAS = {"postgresql": "pip install 'paretune[postgresql]'"}


@contextmanager
def open_storage(address: StudyAddress, *, heartbeats: bool = False) -> "Iterator[RDBStorage]":
    """Optuna's storage at `address`; a context manager.

    A SQLite file is in write-ahead mode: a killed process loses nothing, and a power cut only what was not flushed
    (`search.study.study.flush_study`). Optuna commits once per parameter; waiting for the disk each time would double a
    trial's price. Closing it moves what was written ahead into the file itself, so that the file can be copied alone.

    A server that is away when it is opened is an error at once. One that goes away later is asked again for
    `PATIENCE_S`, wherever the next connection is needed.

    Args:
        address: Where it is.
        heartbeats: Whether Optuna may end trials of which no heartbeat came for `GRACE_S`.

    Raises:
        RunFolderError: The file is no database, a damaged one, or the disk is full.
        StorageError: There is no driver for it, or the server does not let us in.
        StorageLostError: The server went away and did not come back.
    """
    if address.file is None:
        with _server_errors(address):
            storage = _connect(address, heartbeats=heartbeats)
            _listen(storage, "do_connect", _Patience(address))
            yield from _until_closed(storage)
        return
    with disk_errors(address.file.parent):
        storage = _open_file(address, heartbeats=heartbeats)
        yield from _until_closed(storage)


def _until_closed(storage: "RDBStorage") -> "Iterator[RDBStorage]":
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _open_file(address: StudyAddress, *, heartbeats: bool) -> "RDBStorage":
    from sqlalchemy.exc import DatabaseError, OperationalError

    def configure(connection: Any, _: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    try:
        storage = _make(address, {"connect_args": {"timeout": _LOCK_TIMEOUT_S}}, heartbeats=heartbeats)
    except DatabaseError as error:
        if isinstance(error, OperationalError):  # the disk's fault, not the file's
            raise
        assert address.file is not None  # noqa: S101  # for mypy
        raise damaged(address.file, str(error.orig)) from error
    _listen(storage, "connect", configure)
    storage.engine.dispose()
    return storage


def _connect(address: StudyAddress, *, heartbeats: bool) -> "RDBStorage":
    from sqlalchemy.exc import NoSuchModuleError

    try:
        # A connection that died while a trial ran is replaced when the next one asks for it.
        return _make(address, {"pool_pre_ping": True}, heartbeats=heartbeats)
    except NoSuchModuleError as error:
        kind = address.url.drivername
        raise StorageError(f"no database is called {kind!r}: give a URL such as postgresql://user@host/db") from error
    except ImportError as error:
        cause = error.__cause__ or error
        missing = getattr(cause, "name", None) or str(cause)
        remedy = _EXTRAS.get(address.url.get_backend_name(), f"pip install {missing}")
        raise StorageError(f"{address.shown} needs the driver {missing!r}: {remedy}") from error


def _make(address: StudyAddress, engine: dict[str, Any], *, heartbeats: bool) -> "RDBStorage":
    from search.study.whole_trials import WholeTrialStorage

    url = address.url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
    beats: dict[str, Any] = {"heartbeat_interval": HEARTBEAT_S, "grace_period": GRACE_S} if heartbeats else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls heartbeats experimental
        return WholeTrialStorage(url, engine_kwargs=engine, **beats)


def _listen(storage: "RDBStorage", name: str, listener: Callable[..., Any]) -> None:
    from sqlalchemy import event

    event.listen(storage.engine, name, listener)


class _Patience:
    """Connects, and waits for a server that is away."""

    def __init__(self, address: StudyAddress) -> None:
        self._address = address

    def __call__(self, dialect: "Dialect", _record: object, arguments: Any, options: Any) -> Any:
        deadline_s = time.monotonic() + PATIENCE_S
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return dialect.connect(*arguments, **options)
            except dialect.loaded_dbapi.Error as error:
                if time.monotonic() + pause_s > deadline_s:
                    raise _lost(self._address, error) from error
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


@contextmanager
def _server_errors(address: StudyAddress) -> Iterator[None]:
    """What a server refuses, as one clear line."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    try:
        yield
    except (StorageInternalError, SQLAlchemyError) as error:
        cause = error.__cause__ if isinstance(error, StorageInternalError) else error
        if not isinstance(cause, DBAPIError):
            raise
        if is_disconnect(error):
            raise _lost(address, cause.orig or cause) from error
        raise StorageError(
            f"{address.shown} does not work as a storage: {_one_line(cause.orig or cause)}; check the URL, the user's "
            "rights, and how the password is given: in the URL, or for PostgreSQL in PGPASSWORD or PGPASSFILE"
        ) from error


def is_disconnect(error: BaseException) -> bool:
    """Whether an error of Optuna's storage says that the connection was cut in the middle of a transaction."""
    from sqlalchemy.exc import DBAPIError

    cause = error if isinstance(error, DBAPIError) else error.__cause__
    return isinstance(cause, DBAPIError) and cause.connection_invalidated


def _lost(address: StudyAddress, error: BaseException) -> StorageLostError:
    return StorageLostError(
        f"the storage {address.shown} went away and has not come back: {_one_line(error)}; finished trials are safe "
        "in it: run the same command again when it is there"
    )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
