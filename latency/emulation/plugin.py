"""The emulator's plugin: which interface it must have, and how it is compiled."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from latency.emulation.command import EMULATOR
from latency.emulation.programs import run_program
from latency.errors import TargetError

if TYPE_CHECKING:
    from pathlib import Path

_COMPILER = "gcc"
_OLDEST = (6, 0)  # before it the emulator did not check a plugin's version
_INTERFACES = (((9, 1), 3), ((9, 0), 2), (_OLDEST, 1))


def interface(emulator: str) -> int:
    """The version of the plugin interface to build for.

    Args:
        emulator: as ``emulator_version`` gives it.

    Raises:
        TargetError: it is too old.
    """
    major, minor = (int(part) for part in emulator.rsplit(maxsplit=1)[-1].split(".")[:2])
    for since, number in _INTERFACES:
        if (major, minor) >= since:
            return number
    oldest = ".".join(map(str, _OLDEST))
    msg = f"counting instructions needs {EMULATOR} {oldest} or newer, got {emulator}; install a newer qemu-user"
    raise TargetError(msg)


def compile_plugin(target: Path, emulator: str) -> None:
    """Compiles the plugin for an emulator.

    Raises:
        TargetError: there is no compiler, or it refuses the source.
    """
    source = resources.files("latency.emulation").joinpath("instructions.c")
    with resources.as_file(source) as path:
        options = ["-O2", "-fPIC", "-shared", "-fvisibility=hidden", f"-DPLUGIN_API={interface(emulator)}"]
        run_program(
            [_COMPILER, *options, "-o", str(target), str(path)],
            "compiling the emulator's plugin",
            f"install a C compiler with its library's headers ({_COMPILER}, libc6-dev)",
        )
