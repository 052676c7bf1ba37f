"""A root whose emulator is a script that runs this machine's Python: all but the emulation itself."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from hwprofiles import HardwareProfile, load_profile
from latency.emulation.command import EMULATOR
from latency.emulation.root import Root

FAKE_VERSION = "9.1.2"
COUNTED = Path(__file__).with_name("counted_python.py")


def script(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


def few_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of the PATH, with the shell's own programs in it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "env", "cat", "grep"):
        (folder / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(folder))
    return folder


def scripted_root(programs: Path, tmp_path: Path) -> Root:
    """A complete root. Its emulator runs this machine's Python (``counted_python.py``)."""
    script(
        programs / EMULATOR,
        f"""#!/bin/sh
if [ "$1" = --version ]; then echo "{EMULATOR} version {FAKE_VERSION} (Debian)"; exit; fi
if [ "$1" = -h ]; then echo "-plugin QEMU_PLUGIN"; exit; fi
[ ! -e "{tmp_path}/broken" ] || exit 3
folder=none
while :; do
  case "$1" in
    -plugin) [ -e "{tmp_path}/uncounted" ] || folder="${{2##*,folder=}}"; shift 2 ;;
    -cpu | -L | -U | -E) shift 2 ;;
    *) break ;;
  esac
done
for program; do :; done
exec "{sys.executable}" "{COUNTED}" "$program" "$folder"
""",
    )
    root = Root(
        path=tmp_path / "root",
        emulator=f"{EMULATOR} {FAKE_VERSION}",
        python="python3.11",
        packages={"libc6": "2.36-9"},
        wheels={"onnxruntime": "1.32.0", "numpy": "2.4.6"},
        cpus=("cortex-a76", "max"),
        built_at="2026-01-02T03:04:05+00:00",
    )
    for path in (root.plugin, root.system / "usr" / "bin" / root.python, root.site / "numpy"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for cpu in root.cpus:
        (root.view(cpu) / "proc").mkdir(parents=True)
        (root.view(cpu) / "proc" / "cpuinfo").touch()
    root.write_manifest()
    return root


def shipped_profile(root: Root) -> HardwareProfile:
    """The shipped profile on a root."""
    profile = load_profile("arm-emulated")
    return profile.model_copy(update={"reach": profile.reach.model_copy(update={"root": str(root.path)})})
