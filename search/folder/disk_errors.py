"""A disk that cannot be written to, and a database that another program holds, as one clear line."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search.errors import RunFolderError

_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FULL = ("database or disk is full", "free some space")
_READ_ONLY = ("study.db may not be written", "check the permissions of the folder and its files")
_SQLITE_ERRORS = {
    "disk is full": _FULL,
    "disk I/O error": _FULL,
    "database is locked": ("another program has locked study.db", "close it (a dashboard, a database browser, a copy)"),
    "readonly database": _READ_ONLY,
    "unable to open database file": _READ_ONLY,
}


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn a disk that cannot be written to, and a study that another program holds, into one clear line.

    Raises:
        RunFolderError: The block failed because the disk is full, a quota is used up, a file may not grow, the study
            may not be written, or another program has locked it.
    """
    try:
        yield
    except RunFolderError:
        raise
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        raise _unwritable(folder, os.strerror(error.errno or 0), "free some space") from error
    except Exception as error:
        # SQLite's errors come as texts, wrapped by SQLAlchemy and by Optuna.
        said = " ".join(str(each) for each in _chain(error))
        found = next((problem for text, problem in _SQLITE_ERRORS.items() if text in said), None)
        if found is None:
            raise
        raise _unwritable(folder, *found) from error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _unwritable(folder: Path, reason: str, remedy: str) -> RunFolderError:
    return RunFolderError(
        f"cannot write to {str(folder)!r}: {reason}; {remedy} and run the same command again: finished trials are safe"
    )
