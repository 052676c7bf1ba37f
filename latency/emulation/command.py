"""The command lines that run the root's Python on an emulated processor."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from latency.errors import TargetError

if TYPE_CHECKING:
    from latency.emulation.root import Root

EMULATOR = "qemu-aarch64"

# One thread computes. OpenBLAS and OpenMP would start one for each core, which takes seconds under emulation; hashes
# are the same in every process, so that the same work takes the same instructions.
_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
# What the host's Python or loader is told is not meant for the guest's.
_UNSET = ("PYTHONHOME", "PYTHONSTARTUP", "PYTHONDONTWRITEBYTECODE", "LD_LIBRARY_PATH", "LD_PRELOAD")


def emulator_path() -> str:
    """Where the emulator is.

    Raises:
        TargetError: it is not installed.
    """
    found = shutil.which(EMULATOR)
    if found is None:
        msg = f"{EMULATOR} is not installed, or not on the PATH; install it (Debian, Ubuntu: apt-get install qemu-user)"
        raise TargetError(msg)
    return found


def emulator_version() -> str:
    """The emulator with its version, such as ``qemu-aarch64 7.2.22``.

    Raises:
        TargetError: it is not installed, or does not say.
    """
    text = subprocess.run([emulator_path(), "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"version (\d+\.\d+(?:\.\d+)?)", text)
    if found is None:
        msg = f"{EMULATOR} --version should print its version, got {text[:80]!r}; install qemu-user again"
        raise TargetError(msg)
    return f"{EMULATOR} {found[1]}"


def require_plugins() -> None:
    """Raises TargetError unless the emulator can load plugins; some distributions build it without."""
    path = emulator_path()
    text = subprocess.run([path, "-h"], capture_output=True, text=True, check=False).stdout
    if "-plugin" not in text:
        msg = (
            f"{path} ({emulator_version()}) was built without plugins, as that of Debian 13 is, so it cannot count; "
            "put one with plugins first on the PATH: Debian 12's qemu-user, or qemu configured with --enable-plugins "
            "--target-list=aarch64-linux-user"
        )
        raise TargetError(msg)


def emulator_command(root: Root, cpu: str, *, counts_folder: Path | None = None) -> list[str]:
    """The words that start the root's Python as an emulated ``cpu``; a program or its options follow.

    They need no environment: what Python must know stands among them.

    Args:
        root: the complete root.
        cpu: the processor, as qemu names it.
        counts_folder: where the instruction counts of each process go (``counts.py``); None counts nothing.

    Raises:
        TargetError: the emulator is not installed.
    """
    view = root.view(cpu)
    environment = {**_ENVIRONMENT, "PYTHONPATH": str(root.site)}
    words = [emulator_path(), "-cpu", cpu, "-L", str(view)]
    if counts_folder is not None:
        words += ["-plugin", f"{_escaped(root.plugin)},folder={_escaped(counts_folder)}"]
    for name in _UNSET:
        words += ["-U", name]
    for name, value in environment.items():
        words += ["-E", f"{name}={value}"]
    # -S: what the host has in its own site folders was built for another processor.
    return [*words, str(view / "usr" / "bin" / root.python), "-S", "-s", "-B"]


def _escaped(path: Path) -> str:
    """A path as a part of an option whose parts are separated by commas."""
    return str(path).replace(",", ",,")
