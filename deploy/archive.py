"""A bundle as one `.tar.gz`: written the same every time, and read without believing a word of it."""

import gzip
import io
import shutil
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from deploy.errors import DamagedBundleError
from deploy.manifest import MANIFEST_FILE, read_manifest

SUFFIX = ".tar.gz"

_LARGEST_MANIFEST = 64 * 2**20
_CHUNK = 2**20
_FASTEST = 1
"""Weights hardly compress; more effort only costs seconds."""
_UNREADABLE = (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error)


def archive_bytes(name: str, files: Mapping[str, bytes]) -> bytes:
    """The files under one folder `name`, the manifest first: the same files give the same bytes.

    Args:
        name: The folder that unpacking makes.
        files: Content by path, `manifest.json` among them.
    """
    buffer = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=_FASTEST, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for inner in sorted(files, key=lambda path: (path != MANIFEST_FILE, path)):
            member = tarfile.TarInfo(f"{name}/{inner}")
            member.size = len(files[inner])
            archive.addfile(member, io.BytesIO(files[inner]))
    return buffer.getvalue()


def unpack(archive: Path, folder: Path) -> None:
    """Unpack what `archive_bytes` made into `folder`: files that its manifest lists, of the sizes that it says.

    The manifest comes first, so that nothing is written that it does not know, wherever a member's name points and
    however much it would unpack to.

    Args:
        archive: The `.tar.gz`.
        folder: An empty folder.

    Raises:
        DamagedBundleError: It is cut off, no archive of a bundle, or holds a link, a device, a path that leads outside
            or a file that the manifest does not list.
        BundleError: A newer paretune wrote it.
        OSError: It cannot be read or written.
    """
    try:
        with tarfile.open(archive, mode="r|gz") as members:
            _unpack(members, folder)
    except _UNREADABLE as error:
        raise DamagedBundleError(f"{str(archive)!r} is cut off or damaged: {error}; copy it again") from error


def _unpack(members: tarfile.TarFile, folder: Path) -> None:
    sizes: dict[str, int] | None = None
    top = ""
    for member in members:
        if not member.isreg():
            raise DamagedBundleError(f"the archive holds {member.name!r}, which is no plain file; it is no bundle")
        first, _, inner = member.name.partition("/")
        if sizes is None:
            top, sizes = first, _sizes_of(members, member, inner, folder)
            continue
        if first != top or inner not in sizes:
            raise DamagedBundleError(f"the archive holds {member.name!r}, which its manifest does not list")
        if sizes.pop(inner) != member.size:
            raise DamagedBundleError(f"{inner!r} in the archive has {member.size} bytes, its manifest says otherwise")
        _write(members, member, folder / inner)
    if sizes:  # a stream that is cut between two members ends without a complaint
        raise tarfile.ReadError(f"it ends before {min(sizes)!r}")


def _sizes_of(members: tarfile.TarFile, member: tarfile.TarInfo, inner: str, folder: Path) -> dict[str, int]:
    """The size of each file that the manifest, which is the first member, lists. Its paths stay inside."""
    if inner != MANIFEST_FILE or len(PurePosixPath(member.name).parts) != 2 or member.size > _LARGEST_MANIFEST:
        raise DamagedBundleError(f"the archive begins with {member.name!r}; a bundle's begins with {MANIFEST_FILE}")
    _write(members, member, folder / MANIFEST_FILE)
    manifest = read_manifest((folder / MANIFEST_FILE).read_bytes())
    sizes = {name: facts.bytes for name, facts in manifest.files.items()}
    free = shutil.disk_usage(folder).free
    if sum(sizes.values()) > free:
        raise DamagedBundleError(f"the archive would unpack to {sum(sizes.values())} bytes, and {free} are free here")
    return sizes


def _write(members: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    source = members.extractfile(member)
    if source is None:  # isreg() says otherwise
        raise DamagedBundleError(f"the archive's member {member.name!r} has no content")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        shutil.copyfileobj(source, file, _CHUNK)
