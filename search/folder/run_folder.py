"""What a run leaves behind: whole-or-nothing writes, one owner at a time, and whose run it is."""

import fcntl
import json
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compress.whole_file import PARTIAL_SUFFIX, whole_file
from search.errors import RunFolderError
from search.folder.disk_errors import disk_errors
from search.folder.run_paths import RunPaths

FORMAT_VERSION = 1

# What a run is: a folder with other values here holds another run.
_IDENTITY = (("workload", "digest"), ("target", "profile"))
_CONFIG_KEYS = {
    "workload": ("name", "digest", "metric", "samples_search", "samples_confirmation"),
    "target": ("name", "profile"),
}


class RunFolder(RunPaths):
    """A run's files: written whole, read back if they are not of a newer format, owned by one process at a time.

    Args:
        path: The folder; made when the first file is written.
    """

    def worker(self, name: str) -> "RunFolder":
        """`workers/NAME/`: what one more worker of the run keeps: its own measurements, engines and timings."""
        return RunFolder(self.workers_path / name)

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
            with whole_file(path) as file:
                file.write(data)

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
            raise damaged(self.config_path, str(error)) from error
        _require_readable(self.config_path, config, FORMAT_VERSION)
        _require_complete(self.config_path, config)
        return config

    def read_json(self, path: Path, newest_version: int) -> dict[str, Any]:
        """A JSON file of this folder with a `format_version`; empty where there is none.

        Raises:
            RunFolderError: It is damaged, or its version is above `newest_version`.
        """
        if not path.is_file():
            return {}
        try:
            document = dict(json.loads(path.read_bytes()))
        except (ValueError, TypeError) as error:
            raise damaged(path, str(error)) from error
        _require_readable(path, document, newest_version)
        return document

    def adopt(self, config: Mapping[str, Any], *, has_study: bool | None = None) -> None:
        """Begin a run with `config`, or make sure that the one here is the same; it keeps its `started_at`.

        A run that never came to its first trial holds nothing to keep: it is begun anew, so that a workload that
        failed can be corrected and tried again.

        Args:
            config: The configuration.
            has_study: Whether the run's study has begun; None where it lies in the folder.

        Raises:
            RunFolderError: The folder holds another run (it is left untouched), or something that is no run at all.
        """
        import tomli_w

        merged = {"format_version": FORMAT_VERSION, **config}
        if self.exists and (self.study_path.exists() if has_study is None else has_study):
            found = self.read_config()
            self._require_same(found, config)
            merged["started_at"] = found["started_at"]
            merged["sessions"] = _sessions(found)
        elif self.exists:
            self.read_config()
            self.network_path.unlink(missing_ok=True)
            self.calibration_path.unlink(missing_ok=True)
        elif self.study_path.exists():
            raise RunFolderError(f"{str(self.path)!r} holds a study but no run.toml; use another --out")
        self.write(self.config_path, tomli_w.dumps(merged))

    def begin_session(self, session: Mapping[str, Any]) -> None:
        """Add `session` to the sessions in `run.toml`, which `adopt` has written."""
        import tomli_w

        config = self.read_config()
        config["sessions"] = [*_sessions(config), dict(session)]
        self.write(self.config_path, tomli_w.dumps(config))

    def _require_same(self, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        for section, key in _IDENTITY:
            old, new = found.get(section, {}), wanted[section]
            if _as_today(section, old.get(key)) != new[key]:
                was, now = old.get("name", old.get(key)), new.get("name", new[key])
                changed = f"was {was!r}, is {now!r}" if was != now else f"{was!r} has changed since"
                raise RunFolderError(
                    f"{str(self.path)!r} is a run of another {section}: {changed}; "
                    "use another --out, or delete the folder"
                )

    @property
    def is_owned(self) -> bool:
        """Whether a search is working in the folder at this moment."""
        try:
            with (self.path / ".lock").open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # no lock, or none that we may read
            return False
        return False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Own the folder: a second search on it is refused while the first lives, however the first ends.

        Raises:
            RunFolderError: Another process owns it, or no files can be made in it.
        """
        try:
            with disk_errors(self.path):
                self.path.mkdir(parents=True, exist_ok=True)
                file = (self.path / ".lock").open("w")
        except OSError as error:
            raise RunFolderError(
                f"cannot use {str(self.path)!r} as a run's folder: {error.strerror}; use another --out"
            ) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RunFolderError(
                    f"another search is working in {str(self.path)!r}; wait for it or use another --out"
                ) from error
            except OSError as error:
                raise RunFolderError(
                    f"cannot lock {str(self.path)!r}: {error.strerror}; use an --out on a disk of this machine"
                ) from error
            self._remove_partial()
            yield

    def _remove_partial(self) -> None:
        """Clear away what a killed process had not finished writing."""
        for folder in (self.path, self.candidates_path, self.recovered_path):
            for path in folder.glob(f".*{PARTIAL_SUFFIX}"):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()


def _as_today(section: str, value: Any) -> Any:
    """A stored value as this version would write it: a profile gets the keys that are new since."""
    if section != "target":
        return value
    from pydantic import ValidationError

    from hwprofiles import HardwareProfile

    try:
        return HardwareProfile.model_validate(value).model_dump(mode="json", exclude_none=True)
    except ValidationError:
        return value


def _sessions(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The sessions of a run so far; at first `run.toml` named the latest one only, as `search`."""
    latest = [{"started_at": config["started_at"], **config["search"]}] if "search" in config else []
    return list(config.get("sessions", latest))


def _require_readable(path: Path, document: Mapping[str, Any], newest_version: int) -> None:
    version = document.get("format_version")
    if not isinstance(version, int):
        raise damaged(path, "it lacks format_version")
    if version > newest_version:
        raise RunFolderError(
            f"{str(path)!r} has format_version {version}, this paretune reads up to {newest_version}; "
            "upgrade paretune or use another --out"
        )


def _require_complete(path: Path, config: Mapping[str, Any]) -> None:
    missing = [key for key in ("started_at", *_CONFIG_KEYS) if key not in config]
    for section, keys in _CONFIG_KEYS.items():
        table = config.get(section)
        if section not in missing:
            missing += [f"{section}.{key}" for key in keys if not isinstance(table, dict) or key not in table]
    if missing:
        raise damaged(path, f"it lacks {missing[0]}")


def damaged(path: Path, reason: str) -> RunFolderError:
    """The error for a file of a run that cannot be read."""
    return RunFolderError(f"{str(path)!r} is damaged: {reason}; use another --out")
