"""Folders and files that are there whole or not at all, on the disk for good."""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from compress.whole_file import PARTIAL_SUFFIX, whole_file


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` into `folder`: all of them or none.

    An existing folder is replaced by renaming: at no moment does it hold files of both.

    Args:
        folder: Where to.
        files: Content by path in the folder, parts joined by `/`.

    Raises:
        OSError: The files cannot be written; nothing half written is left.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=PARTIAL_SUFFIX))
    try:
        for name, data in files.items():
            path = temporary / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_through(path, data)
        temporary.chmod(0o755)
        for inner in {temporary, *((temporary / name).parent for name in files)}:
            _sync(inner)
        if folder.is_dir():
            _replace(temporary, folder)
        else:
            temporary.replace(folder)
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def remove_folder(folder: Path) -> None:
    """Remove a folder: at no moment is a part of it there under its name.

    Raises:
        OSError: It cannot be removed.
    """
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=PARTIAL_SUFFIX))
    folder.replace(aside)
    shutil.rmtree(aside)


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        OSError: It cannot be written; what was there stays.
    """
    with whole_file(path) as file:
        file.write(data)


def write_through(path: Path, data: bytes) -> None:
    """Write a file and see it to the disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Put the folder's own entries on the disk: without that a power cut may leave files without names."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(new: Path, old: Path) -> None:
    """Put the folder `new` where `old` is; a folder that is not empty cannot be renamed over, so `old` steps aside."""
    aside = Path(tempfile.mkdtemp(dir=old.parent, prefix=f".{old.name}.", suffix=PARTIAL_SUFFIX))
    old.replace(aside)
    try:
        new.replace(old)
    except BaseException:
        aside.replace(old)
        raise
    shutil.rmtree(aside, ignore_errors=True)
