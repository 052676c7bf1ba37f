"""The bundle: a folder with a candidate's bytes and all that is needed to run and to judge them."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT_VERSION = 1

PARTIAL_SUFFIX = ".partial"
"""Ends the name of what is still being written; it begins with a dot. A killed process leaves such things behind."""


ENGINE_FILE = "engine.plan"


@dataclass(frozen=True, kw_only=True)
class BuiltEngine:
    """What a target's runtime built of the network: what was timed, and runs on such a target only.

    Attributes:
        data: Its bytes, as the runtime reads them back.
        facts: What it is for: the runtime with its version, and the accelerator. JSON-able.
    """

    data: bytes
    facts: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class BundleContent:
    """What goes into a bundle.

    Attributes:
        onnx_bytes: The network, as measured.
        policy_json: The policy that made it, in canonical JSON.
        session_entries: Runtime session configuration without which the bytes would run otherwise.
        facts: What else the manifest says: workload, target, confirmed figures, versions. JSON-able.
        engine: What the target's runtime built of the network; None where it runs the network's own bytes, or where
            what it built was not kept.
    """

    onnx_bytes: bytes
    policy_json: str
    session_entries: Mapping[str, str]
    facts: Mapping[str, Any]
    engine: BuiltEngine | None = None


def write_bundle(folder: Path, content: BundleContent) -> None:
    """Write `model.onnx`, `policy.json` and `manifest.json` into `folder`: all of them or none, on the disk for good.

    With an engine there is `engine.plan` too, and `engine` in the manifest says what it is for.

    An existing folder is replaced by renaming: at no moment does it hold files of both.

    Raises:
        OSError: The files cannot be written; nothing half written is left.
    """
    files = {"model.onnx": content.onnx_bytes, "policy.json": content.policy_json.encode()}
    facts = dict(content.facts)
    if content.engine is not None:
        files[ENGINE_FILE] = content.engine.data
        facts["engine"] = {"file": ENGINE_FILE, **content.engine.facts}
    manifest = {
        "format_version": FORMAT_VERSION,
        "files": {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)} for name, data in files.items()
        },
        "session_entries": dict(content.session_entries),
        **facts,
    }
    files["manifest.json"] = json.dumps(manifest, indent=1, sort_keys=True, allow_nan=False).encode()
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=PARTIAL_SUFFIX))
    try:
        for name, data in files.items():
            _write_through(temporary / name, data)
        temporary.chmod(0o755)
        _sync(temporary)
        if folder.is_dir():
            _replace(temporary, folder)
        else:
            temporary.replace(folder)
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def is_bundle(folder: Path) -> bool:
    """Whether `folder` is a bundle as `write_bundle` makes them: its manifest and the files that it names, no more."""
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        named = {"manifest.json", *manifest["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return not folder.is_symlink() and named == {path.name for path in folder.iterdir()}


def remove_bundle(folder: Path) -> None:
    """Remove the bundle `folder`: at no moment is a part of it there under its name.

    Raises:
        ValueError: It is none, or holds more than a bundle; it stays as it is.
        OSError: It cannot be removed.
    """
    if not is_bundle(folder):
        raise ValueError(f"{str(folder)!r} is no bundle, or holds other files too; remove it yourself")
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}.", suffix=PARTIAL_SUFFIX))
    folder.replace(aside)
    shutil.rmtree(aside)


def _write_through(path: Path, data: bytes) -> None:
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
