"""Builds the root of an emulated processor: whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from latency.emulation.command import EMULATOR, emulator_command, emulator_version, require_plugins
from latency.emulation.counts import between_marks, counts_name
from latency.emulation.cpuinfo import CPUS, READ_AUXILIARY_VECTOR, cpuinfo, features
from latency.emulation.packages import Apt, package_versions, unpack
from latency.emulation.plugin import compile_plugin
from latency.emulation.programs import run_program
from latency.emulation.root import MANIFEST, Root, read_root
from latency.emulation.wheels import fetch_wheels, unpack_wheels
from latency.errors import TargetError, WorkerError

if TYPE_CHECKING:
    from collections.abc import Iterator

Listener = Callable[[str, int, int], None]
"""Told what is done now, and which step of how many it is."""

_PACKAGES_OF_PROGRAMS = {
    EMULATOR: "qemu-user",
    "apt-get": "apt",
    "apt-cache": "apt",
    "dpkg-deb": "dpkg",
    "gcc": "gcc",
}
_STEPS = 7
_TRIED = "cortex-a76"

# What a worker imports, so that its modules are compiled once and for all, between two marks, so that the plugin is
# known to count. Left to itself Python would run this check's imports, and those alone, anew in every worker. It is a
# program of its own, and its print is its answer.
_CHECK = """\
import os, sys
def mark(number):
    try: os.getpriority(os.PRIO_PROCESS, 0x70740000 + number)
    except ProcessLookupError: pass
import contextlib, faulthandler, gc, json, platform, queue, resource, threading, traceback, zipfile, zipimport
mark(0)
import numpy, onnxruntime
mark(1)
print(os.getpid(), onnxruntime.__version__)
"""


def build_root(path: Path, *, onnxruntime_version: str, listener: Listener) -> Root:
    """Builds the root at ``path``, or finds it complete there.

    Everything is made in a folder beside it that takes its name when it is finished; what a killed build leaves
    behind is removed by the next one. Nothing outside of that folder is changed, and no administrator's rights are
    needed.

    Args:
        path: the root's folder: absent, empty, or an older root, which is replaced.
        onnxruntime_version: the runtime's version in it.
        listener: told of every step.

    Raises:
        TargetError: a program, the network or room is missing; the error says which and what to do.
    """
    path = path.expanduser().absolute()
    _require_programs()
    require_plugins()
    emulator = emulator_version()
    _require_ours(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _only_builder(path):
            found = usable_root(path, onnxruntime_version)
            if found is not None:
                return found
            with tempfile.TemporaryDirectory(prefix=_prefix(path), dir=path.parent) as name:
                fresh = Path(name) / "root"
                fresh.mkdir()
                _fill(fresh, Path(name), emulator, onnxruntime_version, listener)
                if path.exists():
                    path.rename(Path(name) / "former")
                fresh.rename(path)
    except OSError as error:
        msg = f"the root {str(path)!r} cannot be written: {error.strerror}; free some space, or name another folder"
        raise TargetError(msg) from error
    root = read_root(path)
    assert root is not None  # noqa: S101 - it was written a moment ago, for mypy
    return root


def usable_root(path: Path, onnxruntime_version: str) -> Root | None:
    """The complete root at ``path`` if it fits this machine's emulator and the runtime's version; else None."""
    root = read_root(path)
    if root is None or root.emulator != emulator_version() or root.wheels.get("onnxruntime") != onnxruntime_version:
        return None
    return root


def _fill(folder: Path, scratch: Path, emulator: str, onnxruntime_version: str, listener: Listener) -> None:
    steps = iter(range(1, _STEPS + 1))

    def begin(what: str) -> None:
        listener(what, next(steps), _STEPS)

    begin("reading the lists of Debian's packages for arm64")
    apt = Apt(scratch / "apt")
    apt.update()
    python = apt.python()
    begin(f"fetching {python} and the libraries it needs")
    debs = apt.download([f"{python}-minimal", f"lib{python}-stdlib", "libstdc++6"])
    packages = package_versions(debs)
    begin(f"fetching ONNX Runtime {onnxruntime_version} and NumPy for {python} on aarch64")
    requirements = [f"onnxruntime=={onnxruntime_version}", "numpy"]
    wheels = fetch_wheels(scratch / "wheels", requirements, python=python, glibc=packages["libc6"])
    begin(f"unpacking {len(debs) + len(wheels)} packages")
    unpack(debs, folder / "system")
    versions = unpack_wheels(wheels, folder / "site")
    root = Root(
        path=folder,
        emulator=emulator,
        python=python,
        packages=packages,
        wheels=versions,
        cpus=CPUS,
        built_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    begin("compiling the plugin that counts instructions")
    compile_plugin(root.plugin, emulator)
    begin("asking the emulator what its processors can do")
    for cpu in CPUS:
        _make_view(root, cpu)
    begin("trying it: a first import of ONNX Runtime, which takes a while")
    _try(root, _TRIED, scratch)
    root.write_manifest()


def _make_view(root: Root, cpu: str) -> None:
    """The system's files under links, and this processor's own ``/proc/cpuinfo``."""
    view = root.view(cpu)
    (view / "proc").mkdir(parents=True)
    for item in root.system.iterdir():
        if item.name != "proc":
            (view / item.name).symlink_to(os.path.relpath(item, view))
    command = [*emulator_command(root, cpu), "-c", READ_AUXILIARY_VECTOR]
    vector = run_program(command, f"starting {root.python} as an emulated {cpu}", "install qemu-user again")
    (view / "proc" / "cpuinfo").write_text(cpuinfo(cpu, features(bytes.fromhex(vector))))


def _try(root: Root, cpu: str, scratch: Path) -> None:
    """Imports the runtime once while its instructions are counted.

    Raises:
        TargetError: it does not run, or is not counted.
    """
    words = emulator_command(root, cpu, counts_folder=scratch)
    words.remove("-B")  # this time the compiled modules are kept
    what = f"importing ONNX Runtime as an emulated {cpu}"
    pid = run_program(
        [*words, "-c", _CHECK], what, "report this with the versions of qemu-user and onnxruntime"
    ).split()[0]
    try:
        between_marks((scratch / counts_name(int(pid))).read_text(), [0, 1])
    except (OSError, WorkerError, ValueError) as error:
        msg = f"{root.emulator} runs the root, but its plugin does not count ({error}); install another qemu-user"
        raise TargetError(msg) from error


def _require_programs() -> None:
    if sys.platform != "linux":
        raise TargetError(f"processors are emulated on Linux only, this is {sys.platform}; use a Linux machine")
    missing = {name: package for name, package in _PACKAGES_OF_PROGRAMS.items() if shutil.which(name) is None}
    if missing:
        packages = " ".join(dict.fromkeys(missing.values()))
        raise TargetError(
            f"{', '.join(missing)}: not installed, or not on the PATH; install them (Debian, Ubuntu: apt-get install "
            f"{packages})"
        )


def _require_ours(path: Path) -> None:
    """Refuses to replace what is no root of ours."""
    if path.is_dir() and not (path / MANIFEST).exists() and any(path.iterdir()):
        raise TargetError(f"the folder {str(path)!r} holds something else; name an empty or a new one with --root")
    if path.exists() and not path.is_dir():
        raise TargetError(f"{str(path)!r} is no folder; name an empty or a new one with --root")


@contextlib.contextmanager
def _only_builder(path: Path) -> Iterator[None]:
    """Waits until nobody else builds at ``path``, and removes what killed builds have left there."""
    with (path.parent / f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in path.parent.glob(f"{_prefix(path)}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


def _prefix(path: Path) -> str:
    return f".{path.name}-unfinished-"
