"""The folder that an emulated processor sees as its system: where it lies, whether it is complete, what is in it."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latency.emulation.command import emulator_version
from latency.errors import TargetError

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT_VERSION = 1
MANIFEST = "paretune-root.json"
PREPARE = "paretune profile prepare arm-emulated"


@dataclass(frozen=True, kw_only=True)
class Root:
    """A complete root.

    Attributes:
        path: The folder.
        emulator: The emulator that the plugin was built for, such as ``qemu-aarch64 7.2.22``.
        python: The name of Python's program in it, such as ``python3.11``.
        packages: Versions of the system's packages by name.
        wheels: Versions of the Python packages by name.
        cpus: The processors that it can pass for.
        built_at: ISO 8601 with a time zone.
    """

    path: Path
    emulator: str
    python: str
    packages: Mapping[str, str]
    wheels: Mapping[str, str]
    cpus: tuple[str, ...]
    built_at: str = field(compare=False)

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits of all that decides how many instructions something takes in it."""
        decisive = [self.python, sorted(self.packages.items()), sorted(self.wheels.items())]
        return hashlib.sha256(json.dumps(decisive).encode()).hexdigest()[:12]

    @property
    def plugin(self) -> Path:
        """The emulator's plugin that counts instructions."""
        return self.path / "instructions.so"

    @property
    def system(self) -> Path:
        """The system's files, whatever the processor."""
        return self.path / "system"

    @property
    def site(self) -> Path:
        """The Python packages."""
        return self.path / "site"

    def view(self, cpu: str) -> Path:
        """The root as ``cpu`` sees it: the system's files, and a ``/proc/cpuinfo`` that tells of this processor."""
        return self.path / "cpu" / cpu

    def write_manifest(self) -> None:
        """Writes down what the root holds; from then on it counts as complete."""
        values = {key: value for key, value in asdict(self).items() if key != "path"}
        text = json.dumps({"format_version": FORMAT_VERSION, **values}, indent=1)
        unfinished = self.path / f".{MANIFEST}"
        unfinished.write_text(text, encoding="utf-8")
        unfinished.rename(self.path / MANIFEST)


def default_root() -> Path:
    """The folder of a root that nobody has named: ``arm-emulated`` in the user's cache (``XDG_CACHE_HOME``)."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(cache) if Path(cache).is_absolute() else Path.home() / ".cache") / "paretune" / "arm-emulated"


def read_root(path: Path) -> Root | None:
    """The complete root at ``path``; None where there is none, where it is half built, or of another format."""
    try:
        values = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(values, dict) or values.pop("format_version", None) != FORMAT_VERSION:
        return None
    try:
        root = Root(path=path, **{**values, "cpus": tuple(values["cpus"])})
    except (KeyError, TypeError):
        return None
    return root if _stands(root) else None


def find_root(path: str | Path | None, cpu: str) -> Root:
    """The complete root that ``cpu`` can be emulated in.

    Args:
        path: its folder; None for ``default_root``.
        cpu: the processor, as qemu names it.

    Raises:
        TargetError: there is none, it was built for another emulator, or the emulator is missing; the error names the
            command that builds it.
    """
    emulator = emulator_version()
    folder = default_root() if path is None else Path(path).expanduser()
    root = read_root(folder)
    option = "" if path is None else f" --root {folder}"
    if root is None:
        what = "is not complete" if folder.exists() else "does not exist"
        msg = f"the root of the emulated processor, {str(folder)!r}, {what}; run: {PREPARE}{option}"
        raise TargetError(msg)
    if root.emulator != emulator:
        msg = f"the root {str(folder)!r} was made for {root.emulator}, this is {emulator}; run: {PREPARE}{option}"
        raise TargetError(msg)
    if cpu not in root.cpus:
        msg = (
            f"the root {str(folder)!r} cannot pass for a {cpu}, only for {', '.join(root.cpus)}; run: {PREPARE}{option}"
        )
        raise TargetError(msg)
    return root


def _stands(root: Root) -> bool:
    """Whether what the manifest promises is there; someone may have cleared half of the cache away."""
    views: list[Any] = [root.view(cpu) / "proc" / "cpuinfo" for cpu in root.cpus]
    return all(item.exists() for item in [root.plugin, root.system / "usr" / "bin" / root.python, root.site, *views])
