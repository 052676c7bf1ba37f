"""A bundle opened for use: every byte that is handed out was compared with the manifest first."""

import hashlib
import os
import stat
import tempfile
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploy.archive import SUFFIX, unpack
from deploy.errors import BundleError, DamagedBundleError
from deploy.manifest import MANIFEST_FILE, CandidateManifest, FileFacts, Manifest, read_manifest

_AT_ONCE = 4
"""Files that are hashed at the same time."""


@dataclass(frozen=True, kw_only=True, eq=False)
class OpenedBundle:
    """A bundle whose files are those of its manifest.

    Attributes:
        folder: Where its files lie; of an archive, a private folder that goes with it.
        manifest: What it says.
        kept: Bytes of files that were compared with it when the bundle was opened.
    """

    folder: Path
    manifest: Manifest | CandidateManifest
    kept: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def read(self, name: str) -> bytes:
        """The bytes of one of its files.

        Raises:
            DamagedBundleError: It has no such file, or the file has changed since it was opened.
        """
        if name in self.kept:
            return self.kept[name]
        facts = self.manifest.files.get(name)
        if facts is None:
            raise DamagedBundleError(f"the bundle holds no {name!r}; export it again")
        data = (self.folder / name).read_bytes()
        _require(name, facts, len(data), hashlib.sha256(data).hexdigest())
        return data


@contextmanager
def open_bundle(path: Path, *, keep: Collection[str] = ()) -> Iterator[OpenedBundle]:
    """Open a bundle's folder or `.tar.gz`, and see that it holds the files of its manifest and no others.

    Args:
        path: The bundle.
        keep: Names of files that will be read, where it has them: they are read and hashed once, and stay in memory.

    Raises:
        BundleError: There is no bundle at `path`, or a newer paretune wrote it.
        DamagedBundleError: A file is missing, too many, cut off or changed; or something is no plain file.
        OSError: It cannot be read.
    """
    if path.is_dir():
        yield _checked(path, keep)
    elif path.is_file() and path.name.endswith(SUFFIX):
        with tempfile.TemporaryDirectory(prefix="paretune-bundle-") as scratch:
            unpack(path, Path(scratch))
            yield _checked(Path(scratch), keep)
    else:
        raise BundleError(f"there is no bundle {str(path)!r}; give the --out of paretune export, or its {SUFFIX}")


def _checked(folder: Path, keep: Collection[str]) -> OpenedBundle:
    if not (folder / MANIFEST_FILE).is_file():
        raise BundleError(f"{str(folder)!r} is no bundle: it has no {MANIFEST_FILE}; give the --out of paretune export")
    found = _plain_files(folder)
    manifest = read_manifest((folder / MANIFEST_FILE).read_bytes())
    listed = {MANIFEST_FILE, *manifest.files}
    for names, complaint in ((listed - found, "is missing"), (found - listed, "is not in the manifest")):
        if names:
            raise DamagedBundleError(f"{min(names)!r} {complaint}; the bundle is not what was exported")
    kept = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # hashing lets other threads run
        read = pool.map(lambda name: _read(folder / name, keep=name in keep), manifest.files)
        for (name, facts), (size, sha256, data) in zip(manifest.files.items(), read, strict=True):
            _require(name, facts, size, sha256)
            if data is not None:
                kept[name] = data
    return OpenedBundle(folder=folder, manifest=manifest, kept=kept)


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


def _read(path: Path, *, keep: bool) -> tuple[int, str, bytes | None]:
    """Size and SHA-256 of a file, and the bytes that have them if they are to be kept."""
    if keep:
        data = path.read_bytes()
        return len(data), hashlib.sha256(data).hexdigest(), data
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return file.tell(), digest.hexdigest(), None


def _require(name: str, facts: FileFacts, size: int, sha256: str) -> None:
    if size != facts.bytes:
        kind = "cut off" if size < facts.bytes else "too long"
        raise DamagedBundleError(f"{name!r} is {kind}: {size} bytes, the manifest says {facts.bytes}")
    if sha256 != facts.sha256:
        raise DamagedBundleError(
            f"{name!r} was changed: its SHA-256 is {sha256[:16]}…, the manifest says {facts.sha256[:16]}…"
        )
