"""Debian's packages for the emulated processor, through apt with a state folder of its own: the host is not touched."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from latency.emulation.programs import run_program
from latency.errors import TargetError

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_OS_RELEASE = Path("/etc/os-release")
_SUITE = "stable"
_SOURCES = f"""\
Types: deb
URIs: http://deb.debian.org/debian
Suites: {_SUITE} {_SUITE}-updates
Components: main
Signed-By: {_KEYRING}

Types: deb
URIs: http://deb.debian.org/debian-security
Suites: {_SUITE}-security
Components: main
Signed-By: {_KEYRING}
"""


class Apt:
    """apt for another architecture, in a folder that it keeps everything in.

    The packages come from the host's own sources where the host is Debian, so that its mirrors and proxies serve;
    elsewhere from Debian's stable release, which needs Debian's keys.

    Args:
        folder: an empty folder.

    Raises:
        TargetError: the keys are missing.
    """

    def __init__(self, folder: Path) -> None:
        for name in ("lists/partial", "cache/archives/partial", "sources"):
            (folder / name).mkdir(parents=True)
        (folder / "status").touch()
        self._archives = folder / "cache" / "archives"
        settings = {
            "APT::Architecture": "arm64",
            "APT::Architectures": "arm64",
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "Dir::State": folder,
            "Dir::State::status": folder / "status",
            "Dir::Cache": folder / "cache",
        }
        if not _is_debian(_OS_RELEASE):
            if not _KEYRING.exists():
                msg = (
                    f"the root is made of Debian's packages, and Debian's keys are not here ({_KEYRING}); install them "
                    "(Ubuntu: apt-get install debian-archive-keyring)"
                )
                raise TargetError(msg)
            (folder / "debian.sources").write_text(_SOURCES)
            settings |= {"Dir::Etc::sourcelist": folder / "debian.sources", "Dir::Etc::sourceparts": folder / "sources"}
        self._options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]

    def update(self) -> None:
        """Fetches the lists of packages."""
        self._run("apt-get", "-q", "update")

    def python(self) -> str:
        """The Python that the release has, such as ``python3.11``."""
        text = self._run("apt-cache", "show", "--no-all-versions", "python3")
        found = re.search(r"^Depends:.*?\b(python3\.\d+)\b", text, re.MULTILINE)
        if found is None:
            msg = "apt-cache names no python3 for arm64; check that the sources of apt have the architecture arm64"
            raise TargetError(msg)
        return found[1]

    def download(self, names: list[str]) -> list[Path]:
        """Fetches packages with all that they depend on, and returns their files."""
        self._run("apt-get", "-q", "-y", "--download-only", "install", *names)
        return sorted(self._archives.glob("*.deb"))

    def _run(self, program: str, *arguments: str) -> str:
        return run_program([program, *self._options, *arguments], f"{program} {arguments[-1]}", "check the network")


def unpack(debs: list[Path], target: Path) -> dict[str, str]:
    """Unpacks package files into a folder, without running any of their scripts; versions by name."""
    target.mkdir()
    for deb in debs:
        run_program(["dpkg-deb", "-x", str(deb), str(target)], f"unpacking {deb.name}", "check the free space")
    for name in ("bin", "lib", "sbin"):  # where /usr is merged these links are made by a script
        if not (target / name).exists() and (target / "usr" / name).exists():
            (target / name).symlink_to(f"usr/{name}")
    return package_versions(debs)


def package_versions(debs: list[Path]) -> dict[str, str]:
    """Versions by name, from files called ``name_version_architecture.deb``."""
    return dict((unquote(part) for part in deb.name.split("_")[:2]) for deb in debs)  # type: ignore[misc]


def _is_debian(os_release: Path) -> bool:
    return os_release.exists() and "ID=debian" in os_release.read_text(errors="replace").splitlines()
