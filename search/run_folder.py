"""What a run leaves behind: paths, whole-or-nothing writes, one owner at a time, and whose run it is."""

import errno
import fcntl
import os
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from search.errors import RunFolderError

FORMAT_VERSION = 1

# What a run is: a folder with other values here holds another run.
_IDENTITY = (("workload", "digest"), ("target", "profile"))
_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class RunFolder:
    """A run's files.

    Args:
        path: The folder; made when the first file is written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def config_path(self) -> Path:
        """`run.toml`: the resolved configuration."""
        return self.path / "run.toml"

    @property
    def network_path(self) -> Path:
        """`network.onnx`: the normalized FP32 network."""
        return self.path / "network.onnx"

    @property
    def calibration_path(self) -> Path:
        """`calibration.npz`: what the calibration pass found."""
        return self.path / "calibration.npz"

    @property
    def study_path(self) -> Path:
        """`study.db`: the Optuna study."""
        return self.path / "study.db"

    @property
    def measurements_path(self) -> Path:
        """`measurements.jsonl`: every raw latency sample ever taken."""
        return self.path / "measurements.jsonl"

    @property
    def environment_path(self) -> Path:
        """`environment.json`: the device, runtime and library versions of the latest session."""
        return self.path / "environment.json"

    @property
    def timings_path(self) -> Path:
        """`timings.json`: seconds by stage, over all sessions."""
        return self.path / "timings.json"

    @property
    def confirmations_path(self) -> Path:
        """`confirmations.json`: the confirmed figures by candidate digest."""
        return self.path / "confirmations.json"

    def candidate_path(self, digest: str) -> Path:
        """`candidates/DIGEST/`: one point of the confirmed front."""
        return self.path / "candidates" / digest

    @property
    def exists(self) -> bool:
        """Whether a run has begun here."""
        return self.config_path.is_file()

    def write(self, path: Path, content: str | bytes) -> None:
        """Write a file of this folder whole or not at all.

        Raises:
            RunFolderError: The disk is full.
            OSError: Anything else that the operating system refuses.
        """
        data = content.encode() if isinstance(content, str) else content
        with disk_errors(self.path):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).chmod(0o644)
                Path(temporary).replace(path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise

    def read_config(self) -> dict[str, Any]:
        """`run.toml` as a dictionary.

        Raises:
            RunFolderError: There is no run here, the file is damaged, or a newer paretune wrote it.
        """
        if not self.exists:
            raise RunFolderError(f"no run in {str(self.path)!r}: run.toml is missing; give the --out of a search")
        try:
            config = tomllib.loads(self.config_path.read_text())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise RunFolderError(f"{str(self.config_path)!r} is damaged: {error}; use another --out") from error
        version = config.get("format_version")
        if not isinstance(version, int) or version > FORMAT_VERSION:
            raise RunFolderError(
                f"{str(self.path)!r} has format_version {version!r}, this paretune reads up to {FORMAT_VERSION}; "
                "upgrade paretune or use another --out"
            )
        return config

    def adopt(self, config: Mapping[str, Any]) -> None:
        """Begin a run with `config`, or make sure that the one here is the same; it keeps its `started_at`.

        Raises:
            RunFolderError: The folder holds another run (it is left untouched), or something that is no run at all.
        """
        import tomli_w

        merged = {"format_version": FORMAT_VERSION, **config}
        if self.exists:
            found = self.read_config()
            self._require_same(found, config)
            merged["started_at"] = found["started_at"]
        elif self.study_path.exists():
            raise RunFolderError(f"{str(self.path)!r} holds a study but no run.toml; use another --out")
        self.write(self.config_path, tomli_w.dumps(merged))

    def _require_same(self, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        for section, key in _IDENTITY:
            old, new = found.get(section, {}), wanted[section]
            if old.get(key) != new[key]:
                was, now = old.get("name", old.get(key)), new.get("name", new[key])
                changed = f"was {was!r}, is {now!r}" if was != now else f"{was!r} has changed since"
                raise RunFolderError(
                    f"{str(self.path)!r} is a run of another {section}: {changed}; "
                    "use another --out, or delete the folder"
                )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Own the folder: a second search on it is refused while the first lives, however the first ends.

        Raises:
            RunFolderError: Another process owns it.
        """
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RunFolderError(
                    f"another search is working in {str(self.path)!r}; wait for it or use another --out"
                ) from error
            yield


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Turn a full disk into one clear line.

    Raises:
        RunFolderError: The block failed because the disk is full, a quota is used up, or a file may not grow.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        raise _full(folder, os.strerror(error.errno or 0)) from error
    except Exception as error:
        # SQLite reports a full disk as text, wrapped by SQLAlchemy and by Optuna.
        texts = f"{error} {error.__cause__} {error.__context__}"
        if "disk is full" not in texts and "disk I/O error" not in texts:
            raise
        raise _full(folder, "database or disk is full") from error


def _full(folder: Path, reason: str) -> RunFolderError:
    return RunFolderError(
        f"cannot write to {str(folder)!r}: {reason}; free some space and run the same command again: "
        "finished trials are safe"
    )
