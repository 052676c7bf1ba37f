"""A root is built whole or not at all, and nothing of the user's is ever replaced."""

from __future__ import annotations

import fcntl
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from latency.emulation.build import build_root, usable_root
from latency.emulation.command import EMULATOR
from latency.emulation.root import MANIFEST, Root
from latency.errors import TargetError

VERSION = "1.32.0"
Build = Callable[[Path], Root]


def emulator(folder: Path, version: str, options: str = "-plugin QEMU_PLUGIN") -> None:
    """Puts an emulator there that only says what it is."""
    said = f"{EMULATOR} version {version}"
    program(folder, EMULATOR, f'if [ "$1" = -h ]; then echo "{options}"; else echo "{said}"; fi')


def program(folder: Path, name: str, text: str = "exit 0") -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


@pytest.fixture
def steps() -> list[str]:
    return []


@pytest.fixture
def build(steps: list[str]) -> Build:
    def build(path: Path, version: str = VERSION) -> Root:
        return build_root(path, onnxruntime_version=version, listener=lambda what, *_: steps.append(what))

    return build


@pytest.fixture
def without_network(programs: Path) -> Path:
    """All programs are there, and apt reaches nobody."""
    for name in ("dpkg-deb", "gcc", "apt-cache"):
        program(programs, name)
    emulator(programs, "7.2.22")
    program(programs, "apt-get", "echo 'E: Failed to fetch http://deb.debian.org' >&2; exit 100")
    return programs


def test_all_missing_programs_are_named_at_once(programs: Path, tmp_path: Path, build: Build, steps: list[str]) -> None:
    words = (
        r"qemu-aarch64, apt-get, apt-cache, dpkg-deb, gcc: not installed, or not on the PATH; "
        r"install them \(Debian, Ubuntu: apt-get install qemu-user apt dpkg gcc\)"
    )
    with pytest.raises(TargetError, match=words):
        build(tmp_path / "root")
    assert (list(programs.glob("apt*")), steps) == ([], [])


def test_emulator_without_plugins_is_said_at_once(without_network: Path, tmp_path: Path, build: Build) -> None:
    emulator(without_network, "10.0.2", options="-version")
    with pytest.raises(
        TargetError, match=r"qemu-aarch64 10\.0\.2\) was built without plugins, as that of Debian 13 is"
    ):
        build(tmp_path / "root")


def test_failed_build_leaves_nothing_behind(
    without_network: Path, tmp_path: Path, build: Build, steps: list[str]
) -> None:
    cache = tmp_path / "cache" / "paretune"
    with pytest.raises(TargetError, match=r"apt-get update failed .*Failed to fetch http://deb\.debian\.org"):
        build(cache / "root")
    assert len(steps) == 1
    assert [path.name for path in cache.iterdir()] == [".root.lock"]


def test_what_a_killed_build_left_is_removed_by_the_next(without_network: Path, tmp_path: Path, build: Build) -> None:
    left = tmp_path / ".root-unfinished-x1" / "root"
    left.mkdir(parents=True)
    with pytest.raises(TargetError):
        build(tmp_path / "root")
    assert not left.parent.exists()


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_no_root_is_not_replaced(without_network: Path, tmp_path: Path, build: Build, kind: str) -> None:
    path = tmp_path / "mine"
    if kind == "folder":
        path.mkdir()
        (path / "thesis.txt").write_text("precious")
    else:
        path.write_text("precious")
    with pytest.raises(TargetError, match="name an empty or a new one with --root"):
        build(path)
    assert (path / "thesis.txt" if kind == "folder" else path).read_text() == "precious"


def test_complete_root_is_found_and_not_built_again(
    without_network: Path,
    fake_root: Root,
    build: Build,
    steps: list[str],
) -> None:
    emulator(without_network, "9.1.2")
    assert build(fake_root.path) == fake_root
    assert steps == []
    assert usable_root(fake_root.path, "1.33.0") is None, "another runtime is asked for"
    emulator(without_network, "9.2.0")
    assert usable_root(fake_root.path, VERSION) is None, "the plugin was built for another emulator"


def test_old_root_stays_until_the_new_one_is_finished(without_network: Path, fake_root: Root, build: Build) -> None:
    emulator(without_network, "9.2.0")
    with pytest.raises(TargetError, match="Failed to fetch"):
        build(fake_root.path)
    assert (fake_root.path / MANIFEST).exists()


def test_one_builds_at_a_time(without_network: Path, tmp_path: Path, build: Build) -> None:
    problems: list[TargetError] = []

    def attempt() -> None:
        try:
            build(tmp_path / "root")
        except TargetError as error:
            problems.append(error)

    with (tmp_path / ".root.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        other = threading.Thread(target=attempt)
        other.start()
        other.join(timeout=0.5)
        assert other.is_alive(), "it waits for the one that holds the lock"
    other.join(timeout=20)
    assert [type(problem) for problem in problems] == [TargetError]
