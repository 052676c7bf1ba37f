"""Wheels are those that the root's C library runs; what pip cannot fetch is said in its words."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from latency.emulation.wheels import fetch_wheels, platforms, unpack_wheels
from latency.errors import TargetError


def test_platforms_go_from_the_root_s_libc_down() -> None:
    names = platforms("2.36-9+deb12u14")
    assert names[0] == "manylinux_2_36_aarch64"
    assert {"manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"} <= set(names)
    assert "manylinux_2_37_aarch64" not in names


def test_odd_libc_is_quoted() -> None:
    with pytest.raises(TargetError, match=r"2\.N, got 'musl-1\.2'"):
        platforms("musl-1.2")


def test_what_pip_says_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    words = (
        r"pip download of onnxruntime==0\.0\.1 for aarch64 and Python 3\.11 failed \(exit status 1\): ERROR: .*network"
    )
    with pytest.raises(TargetError, match=words):
        fetch_wheels(tmp_path / "out", ["onnxruntime==0.0.1"], python="python3.11", glibc="2.36-9")


def test_wheels_are_unpacked_side_by_side(tmp_path: Path) -> None:
    wheels = [tmp_path / f"{name}-1.2-cp311-cp311-manylinux2014_aarch64.whl" for name in ("one", "two")]
    for wheel in wheels:
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(f"{wheel.name[:3]}/__init__.py", "")
    assert unpack_wheels(wheels, tmp_path / "site") == {"one": "1.2", "two": "1.2"}
    assert (tmp_path / "site" / "two" / "__init__.py").exists()
