"""Python packages for the emulated processor: the real wheels, as its users would install them."""

from __future__ import annotations

import re
import sys
import zipfile
from typing import TYPE_CHECKING

from latency.emulation.programs import run_program
from latency.errors import TargetError

if TYPE_CHECKING:
    from pathlib import Path

_OLDEST_MINOR = 17  # manylinux2014 is glibc 2.17; nothing older was built for this architecture


def platforms(glibc: str) -> list[str]:
    """The wheels' platforms that a glibc of this version runs, the newest first (PEP 600).

    Args:
        glibc: such as ``2.36-9+deb12u14``.
    """
    found = re.match(r"2\.(\d+)", glibc)
    if found is None:
        msg = f"the version of libc6 should begin with 2.N, got {glibc!r}; report this"
        raise TargetError(msg)
    return [f"manylinux_2_{minor}_aarch64" for minor in range(int(found[1]), _OLDEST_MINOR - 1, -1)] + [
        "manylinux2014_aarch64"
    ]


def fetch_wheels(folder: Path, requirements: list[str], *, python: str, glibc: str) -> list[Path]:
    """Fetches one wheel for each requirement, and nothing that these depend on.

    Args:
        folder: where they go.
        requirements: as pip takes them.
        python: the root's Python, such as ``python3.11``.
        glibc: the version of its C library.

    Raises:
        TargetError: pip is missing, there is no such wheel, or no network.
    """
    for_platforms = [word for name in platforms(glibc) for word in ("--platform", name)]
    version = python.removeprefix("python")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
    command += ["--no-deps", "--only-binary", ":all:", "--python-version", version, "--implementation", "cp"]
    what = f"pip download of {' and '.join(requirements)} for aarch64 and Python {version}"
    remedy = f"check the network, and that {sys.executable} has pip (-m ensurepip)"
    run_program([*command, *for_platforms, "--dest", str(folder), *requirements], what, remedy)
    return sorted(folder.glob("*.whl"))


def unpack_wheels(wheels: list[Path], site: Path) -> dict[str, str]:
    """Unpacks wheels into a folder that Python imports from; versions by name."""
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(site)
    return dict(wheel.name.split("-")[:2] for wheel in wheels)
