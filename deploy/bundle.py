"""A candidate of a run's front as a small folder: its bytes, its policy, and what the search knows of both.

It is what `paretune export` starts from, and no bundle yet: it promises nothing and holds no FP32 to compare with.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.whole_folder import remove_folder, write_folder

__all__ = ["ENGINE_FILE", "BuiltEngine", "BundleContent", "is_bundle", "remove_bundle"]

FORMAT_VERSION = 1
"""Of a candidate's folder; what is exported has a later format (`deploy.manifest`)."""

ENGINE_FILE = "engine.plan"
MANIFEST_FILE = "manifest.json"


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
    """What goes into a candidate's folder.

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
        "files": listed(files),
        "session_entries": dict(content.session_entries),
        **facts,
    }
    files[MANIFEST_FILE] = json.dumps(manifest, indent=1, sort_keys=True, allow_nan=False).encode()
    write_folder(folder, files)


def listed(files: Mapping[str, bytes], known: Mapping[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """What a manifest says of files: SHA-256 and size by name.

    Args:
        files: Content by name.
        known: SHA-256 by name of those that have been hashed already.
    """
    found = {name: (known or {}).get(name) or hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return {name: {"sha256": found[name], "bytes": len(data)} for name, data in files.items()}


def is_bundle(folder: Path) -> bool:
    """Whether `folder` is as we write them: a manifest and the files that it names, no more."""
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_bytes())
        named = {MANIFEST_FILE, *manifest["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    return not folder.is_symlink() and named == found


def remove_bundle(folder: Path) -> None:
    """Remove the bundle `folder`: at no moment is a part of it there under its name.

    Raises:
        ValueError: It is none, or holds more than a bundle; it stays as it is.
        OSError: It cannot be removed.
    """
    if not is_bundle(folder):
        raise ValueError(f"{str(folder)!r} is no bundle, or holds other files too; remove it yourself")
    remove_folder(folder)
