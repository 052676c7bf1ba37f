"""A complete root is told from a half-built one, and what is missing is named with the command that makes it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from latency.emulation.command import EMULATOR, emulator_command
from latency.emulation.root import MANIFEST, Root, default_root, find_root, read_root
from latency.errors import TargetError


def test_complete_root_is_read_back_as_it_was_written(fake_root: Root) -> None:
    assert read_root(fake_root.path) == fake_root
    assert find_root(fake_root.path, "cortex-a76") == fake_root
    assert find_root(str(fake_root.path), "max").digest == fake_root.digest


def test_digest_is_of_what_decides_a_count(fake_root: Root) -> None:
    later = dataclasses.replace(fake_root, built_at="2027-01-01T00:00:00+00:00", path=Path("/elsewhere"))
    assert later.digest == fake_root.digest
    assert dataclasses.replace(fake_root, packages={"libc6": "2.41-1"}).digest != fake_root.digest


@pytest.mark.parametrize("part", ["manifest", "plugin", "python", "site", "cpuinfo"])
def test_half_of_a_root_is_none(fake_root: Root, part: str) -> None:
    paths = {
        "manifest": fake_root.path / MANIFEST,
        "plugin": fake_root.plugin,
        "python": fake_root.system / "usr" / "bin" / fake_root.python,
        "cpuinfo": fake_root.view("max") / "proc" / "cpuinfo",
    }
    if part == "site":
        (fake_root.site / "numpy").unlink()
        fake_root.site.rmdir()
    else:
        paths[part].unlink()
    assert read_root(fake_root.path) is None
    words = rf"'{fake_root.path}', is not complete; run: paretune profile prepare arm-emulated --root {fake_root.path}"
    with pytest.raises(TargetError, match=words):
        find_root(fake_root.path, "max")


@pytest.mark.parametrize("change", [{"format_version": 99}, {"surprise": 1}, {"cpus": None}, None])
def test_manifest_of_another_format_is_none(fake_root: Root, change: dict[str, object] | None) -> None:
    path = fake_root.path / MANIFEST
    path.write_text("[]" if change is None else json.dumps({**json.loads(path.read_text()), **change}))
    assert read_root(fake_root.path) is None


def test_root_lies_in_the_user_s_cache(fake_root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_root() == tmp_path / "paretune" / "arm-emulated"
    with pytest.raises(TargetError, match=r"does not exist; run: paretune profile prepare arm-emulated$"):
        find_root(None, "cortex-a76")
    default_root().parent.mkdir()
    fake_root.path.rename(default_root())
    assert find_root(None, "cortex-a76").digest == fake_root.digest
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert default_root() == Path.home() / ".cache" / "paretune" / "arm-emulated"


def test_other_processor_or_emulator_is_named(fake_root: Root, programs: Path) -> None:
    with pytest.raises(TargetError, match="cannot pass for a cortex-a53, only for cortex-a76, max; run: paretune"):
        find_root(fake_root.path, "cortex-a53")
    emulator = programs / EMULATOR
    emulator.write_text(f"#!/bin/sh\necho '{EMULATOR} version 10.0.8'\n")
    with pytest.raises(
        TargetError, match=r"made for qemu-aarch64 9\.1\.2, this is qemu-aarch64 10\.0\.8; run: paretune"
    ):
        find_root(fake_root.path, "max")
    emulator.write_text("#!/bin/sh\necho hello\n")
    with pytest.raises(TargetError, match=r"should print its version, got 'hello\\n'"):
        find_root(fake_root.path, "max")
    emulator.unlink()
    with pytest.raises(TargetError, match=r"qemu-aarch64 is not installed.*apt-get install qemu-user"):
        find_root(fake_root.path, "max")


def test_command_needs_no_environment_and_escapes_commas(fake_root: Root, tmp_path: Path) -> None:
    words = emulator_command(fake_root, "max")
    assert words[1:5] == ["-cpu", "max", "-L", str(fake_root.view("max"))]
    assert f"PYTHONPATH={fake_root.site}" in words
    assert "-plugin" not in words
    assert words[-4:] == [str(fake_root.view("max") / "usr" / "bin" / "python3.11"), "-S", "-s", "-B"]
    counted = emulator_command(fake_root, "max", counts_folder=tmp_path / "a,b")
    assert counted[counted.index("-plugin") + 1] == f"{fake_root.plugin},folder={tmp_path}/a,,b"
