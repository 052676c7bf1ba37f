"""The plugin is built for the interface of the emulator at hand."""

from __future__ import annotations

import ctypes
import shutil
from pathlib import Path

import pytest

from latency.emulation.plugin import compile_plugin, interface
from latency.errors import TargetError


@pytest.mark.parametrize(
    ("version", "number"),
    [("6.0.0", 1), ("7.2.22", 1), ("8.2.2", 1), ("9.0.4", 2), ("9.1.0", 3), ("10.0.8", 3), ("11.0", 3)],
)
def test_interface_follows_from_the_version(version: str, number: int) -> None:
    assert interface(f"qemu-aarch64 {version}") == number


def test_old_emulator_is_refused() -> None:
    with pytest.raises(
        TargetError, match=r"needs qemu-aarch64 6\.0 or newer, got qemu-aarch64 5\.2\.0; install a newer"
    ):
        interface("qemu-aarch64 5.2.0")


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
@pytest.mark.parametrize("version", ["7.2.22", "9.0.4", "10.0.8"])
def test_source_compiles_for_every_interface(tmp_path: Path, version: str) -> None:
    plugin = tmp_path / "plugin.so"
    compile_plugin(plugin, f"qemu-aarch64 {version}")
    # Lazy binding: the functions that qemu brings are missing here, and not called.
    loaded = ctypes.CDLL(str(plugin), mode=1)
    assert ctypes.c_int.in_dll(loaded, "qemu_plugin_version").value == interface(f"qemu-aarch64 {version}")


def test_missing_compiler_is_named(programs: Path, tmp_path: Path) -> None:
    assert not (programs / "gcc").exists()
    with pytest.raises(TargetError, match=r"gcc cannot be started \(No such file or directory\); install it"):
        compile_plugin(tmp_path / "plugin.so", "qemu-aarch64 7.2.0")
