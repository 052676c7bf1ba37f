"""Debian's packages come through apt with a state of its own, and its failures are told in its words."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from latency.emulation import packages
from latency.emulation.packages import Apt, package_versions, unpack
from latency.errors import TargetError


def test_versions_are_read_from_file_names() -> None:
    names = ["libc6_2.36-9+deb12u14_arm64.deb", "zlib1g_1%3a1.2.13.dfsg-1_arm64.deb"]
    assert package_versions([Path(name) for name in names]) == {"libc6": "2.36-9+deb12u14", "zlib1g": "1:1.2.13.dfsg-1"}


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed")
def test_unpacking_runs_no_script_and_links_what_a_merged_usr_needs(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN" / "control").write_text(
        "Package: tiny\nVersion: 1:2.0-1\nArchitecture: arm64\nMaintainer: none <none@example.org>\nDescription: tiny\n"
    )
    postinst = tree / "DEBIAN" / "postinst"
    postinst.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    postinst.chmod(0o755)
    (tree / "usr" / "lib").mkdir(parents=True)
    (tree / "usr" / "lib" / "ld.so").write_text("loader")
    deb = tmp_path / "tiny_1%3a2.0-1_arm64.deb"
    build = str(shutil.which("dpkg-deb"))
    subprocess.run([build, "--build", "--root-owner-group", tree, deb], check=True, capture_output=True)
    assert unpack([deb], tmp_path / "system") == {"tiny": "1:2.0-1"}
    assert (tmp_path / "system" / "lib" / "ld.so").read_text() == "loader"
    assert not (tmp_path / "system" / "sbin").exists()
    assert not (tmp_path / "ran").exists()


def test_failure_of_apt_is_told_in_its_words(programs: Path, tmp_path: Path) -> None:
    apt_get = programs / "apt-get"
    apt_get.write_text(
        '#!/bin/sh\necho "Reading package lists..."\necho "E: Temporary failure resolving x" >&2\nexit 100\n'
    )
    apt_get.chmod(0o755)
    words = r"apt-get update failed \(exit status 100\): E: Temporary failure resolving x; check the network"
    with pytest.raises(TargetError, match=words):
        Apt(tmp_path / "apt").update()


def test_apt_without_arm64_says_so(programs: Path, tmp_path: Path) -> None:
    apt_cache = programs / "apt-cache"
    apt_cache.write_text("#!/bin/sh\necho Package: python3\n")
    apt_cache.chmod(0o755)
    with pytest.raises(TargetError, match="names no python3 for arm64"):
        Apt(tmp_path / "apt").python()
    apt_cache.write_text("#!/bin/sh\necho 'Depends: libpython3-stdlib (= 3.13.5-1), python3.13 (>= 3.13.5-1~)'\n")
    assert Apt(tmp_path / "again").python() == "python3.13"


def test_other_systems_need_debian_s_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release = tmp_path / "os-release"
    release.write_text("ID=ubuntu\nID_LIKE=debian\n")
    monkeypatch.setattr(packages, "_OS_RELEASE", release)
    monkeypatch.setattr(packages, "_KEYRING", tmp_path / "absent.gpg")
    with pytest.raises(TargetError, match="apt-get install debian-archive-keyring"):
        Apt(tmp_path / "apt")
    (tmp_path / "absent.gpg").touch()
    Apt(tmp_path / "with-keys")
    assert "Suites: stable" in (tmp_path / "with-keys" / "debian.sources").read_text()
