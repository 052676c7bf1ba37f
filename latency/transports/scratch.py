"""A private folder for a transport's files, and what becomes of the folders of processes that were killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from latency.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "paretune-worker-"
_OWNER = "owner.lock"


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A new folder that only this user may look into; it disappears with the block.

    Its owner holds a lock on a file in it for as long as it lives, however it ends. So a folder whose lock is free
    was left behind by a killed process, and is removed before the new one is made.

    Raises:
        TargetError: no folder can be made.
    """
    try:
        _remove_leftovers(Path(tempfile.gettempdir()))
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    except OSError as error:
        msg = f"no temporary folder for the workers: {error.strerror}; free some space there, or set TMPDIR to another"
        raise TargetError(msg) from error
    try:
        with _locked_file(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked_file(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder. The file gets its name when it is locked: others never see it free."""
    unnamed = folder / f".{_OWNER}"
    try:
        file = unnamed.open("w")
    except OSError as error:
        raise full(folder, error) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        unnamed.rename(folder / _OWNER)
        yield


def full(folder: Path, error: OSError) -> TargetError:
    """The error for a folder that cannot be written to."""
    return TargetError(
        f"cannot write to the workers' folder {str(folder)!r}: {error.strerror}; free some space there, or set TMPDIR "
        "to another folder, and run the same command again"
    )


def _remove_leftovers(parent: Path) -> None:
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # another process may be clearing away the same
            if folder.lstat().st_uid == os.getuid() and not folder.is_symlink() and _is_left(folder / _OWNER):
                shutil.rmtree(folder)


def _is_left(owner: Path) -> bool:
    """Whether nobody holds the lock."""
    with owner.open("r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
