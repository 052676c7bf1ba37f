"""A bundle opened for use: every byte that is handed out was compared with the manifest first."""

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.archive import SUFFIX, unpack
from deploy.errors import BundleError, DamagedBundleError
from deploy.manifest import MANIFEST_FILE, CandidateManifest, FileFacts, Manifest, read_manifest


@dataclass(frozen=True, kw_only=True, eq=False)
class OpenedBundle:
    """A bundle whose files are those of its manifest.

    Attributes:
        folder: Where its files lie; of an archive, a private folder that goes with it.
        manifest: What it says.
    """

    folder: Path
    manifest: Manifest | CandidateManifest

    def read(self, name: str) -> bytes:
        """The bytes of one of its files.

        Raises:
            DamagedBundleError: It has no such file, or the file has changed since it was opened.
        """
        facts = self.manifest.files.get(name)
        if facts is None:
            raise DamagedBundleError(f"the bundle holds no {name!r}; export it again")
        data = (self.folder / name).read_bytes()
        _require(name, facts, len(data), hashlib.sha256(data).hexdigest())
        return data


@contextmanager
def open_bundle(path: Path) -> Iterator[OpenedBundle]:
    """Open a bundle's folder or `.tar.gz`, and see that it holds the files of its manifest and no others.

    Raises:
        BundleError: There is no bundle at `path`, or a newer paretune wrote it.
        DamagedBundleError: A file is missing, too many, cut off or changed; or something is no plain file.
        OSError: It cannot be read.
    """
    if path.is_dir():
        yield _checked(path)
    elif path.is_file() and path.name.endswith(SUFFIX):
        with tempfile.TemporaryDirectory(prefix="paretune-bundle-") as scratch:
            unpack(path, Path(scratch))
            yield _checked(Path(scratch))
    else:
        raise BundleError(f"there is no bundle {str(path)!r}; give the --out of paretune export, or its {SUFFIX}")


def _checked(folder: Path) -> OpenedBundle:
    if not (folder / MANIFEST_FILE).is_file():
        raise BundleError(f"{str(folder)!r} is no bundle: it has no {MANIFEST_FILE}; give the --out of paretune export")
    found = _plain_files(folder)
    manifest = read_manifest((folder / MANIFEST_FILE).read_bytes())
    listed = {MANIFEST_FILE, *manifest.files}
    for names, complaint in ((listed - found, "is missing"), (found - listed, "is not in the manifest")):
        if names:
            raise DamagedBundleError(f"{min(names)!r} {complaint}; the bundle is not what was exported")
    for name, facts in manifest.files.items():
        _require(name, facts, *_measured(folder / name))
    return OpenedBundle(folder=folder, manifest=manifest)


def _plain_files(folder: Path) -> set[str]:
    """Paths of all files below a folder; a link or a device would lead out of it."""
    found = set()
    for parent, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(parent) / name
            inner = path.relative_to(folder).as_posix()
            mode = path.lstat().st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise DamagedBundleError(f"{inner!r} is a link or a device; a bundle holds plain files only")
            if stat.S_ISREG(mode):
                found.add(inner)
    return found


def _measured(path: Path) -> tuple[int, str]:
    """Size and SHA-256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return path.stat().st_size, digest.hexdigest()


def _require(name: str, facts: FileFacts, size: int, sha256: str) -> None:
    if size != facts.bytes:
        kind = "cut off" if size < facts.bytes else "too long"
        raise DamagedBundleError(f"{name!r} is {kind}: {size} bytes, the manifest says {facts.bytes}")
    if sha256 != facts.sha256:
        raise DamagedBundleError(
            f"{name!r} was changed: its SHA-256 is {sha256[:16]}…, the manifest says {facts.sha256[:16]}…"
        )
