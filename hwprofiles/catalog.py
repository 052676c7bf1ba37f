"""Finds, reads and checks hardware profiles."""

from __future__ import annotations

import tomllib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from hwprofiles.detect import detect_machine, int8_scheme
from hwprofiles.errors import ProfileError, first_problem, suggestion
from hwprofiles.profile import FORMAT_VERSION, HardwareProfile

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_SUFFIX = ".toml"


def list_profiles() -> tuple[str, ...]:
    """The names of the profiles that paretune ships, sorted."""
    return tuple(sorted(_shipped()))


def load_profile(name_or_path: str | Path) -> HardwareProfile:
    """Reads one profile: a shipped name, or a path to a TOML file.

    A local profile that leaves its 8-bit scheme ``auto`` comes back decided for this machine.

    Args:
        name_or_path: what has a path separator or ends in ``.toml`` is a path; all else is a name.

    Raises:
        ProfileError: unknown name, unreadable file, bad TOML, unknown key, bad value or newer format; one line.
    """
    source = _locate(name_or_path)
    profile = _parse(_read(source), str(source))
    if profile.reach.transport == "local" and profile.formats.int8_scheme == "auto":
        scheme, _reason = int8_scheme(detect_machine())
        return profile.with_int8_scheme(scheme)
    return profile


def write_profile(profile: HardwareProfile, path: Path) -> None:
    """Writes a profile as TOML that ``load_profile`` reads back equal, whole or not at all.

    Raises:
        ProfileError: the file cannot be written; one line.
    """
    import tomli_w

    table = profile.model_dump(mode="json", exclude_none=True, exclude={"probe"})
    if profile.engine.options:
        table["engine"]["options"] = dict(profile.engine.options)
    if profile.probe is not None:  # rows have many keys that do not apply to them
        table["probe"] = profile.probe.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(tomli_w.dumps(table), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        msg = f"{path}: cannot be written ({error.strerror}); choose another place"
        raise ProfileError(msg) from error


def _shipped() -> dict[str, Traversable]:
    data = resources.files("hwprofiles").joinpath("data")
    return {item.name.removesuffix(_SUFFIX): item for item in data.iterdir() if item.name.endswith(_SUFFIX)}


def _locate(name_or_path: str | Path) -> Traversable:
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or text.endswith(_SUFFIX) or "/" in text or "\\" in text:
        return Path(name_or_path)
    shipped = _shipped()
    if text not in shipped:
        msg = f"no hardware profile '{text}': {suggestion(text, shipped)}; or give the path of a {_SUFFIX} file"
        raise ProfileError(msg)
    return shipped[text]


def _read(source: Traversable) -> str:
    try:
        return source.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        msg = f"{source}: not UTF-8 text at byte {error.start}; save the profile as UTF-8"
        raise ProfileError(msg) from error
    except OSError as error:
        msg = f"{source}: cannot be read ({error.strerror}); give the path of a profile, or a name: {_names()}"
        raise ProfileError(msg) from error


def _names() -> str:
    return ", ".join(list_profiles())


def _parse(text: str, source: str) -> HardwareProfile:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"{source}: not valid TOML: {error}; correct that line"
        raise ProfileError(msg) from error
    _refuse_newer(table, source)
    try:
        return HardwareProfile.model_validate(table)
    except ValidationError as error:
        msg = f"{source}: {first_problem(error, HardwareProfile)}"
        raise ProfileError(msg) from error


def _refuse_newer(table: dict[str, Any], source: str) -> None:
    version = table.get("format_version", FORMAT_VERSION)
    if isinstance(version, int) and version > FORMAT_VERSION:
        msg = (
            f"{source}: key 'format_version': this paretune reads up to {FORMAT_VERSION}, got {version}; "
            "upgrade paretune"
        )
        raise ProfileError(msg)
