"""No byte of a bundle is used that its manifest does not vouch for, and none outside of it."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.archive import archive_bytes
from deploy.errors import BundleError, DamagedBundleError
from deploy.manifest import CandidateManifest, Manifest
from deploy.opened import open_bundle
from deploy.shipped import read_shipped
from latency import Measurement

DATA = Path(__file__).parents[1] / "data"


def test_an_exported_bundle_opens_and_hands_out_its_files(bundle: Path) -> None:
    with open_bundle(bundle) as opened:
        assert isinstance(opened.manifest, Manifest)
        assert opened.read("model.onnx") == (bundle / "model.onnx").read_bytes()
        assert set(opened.manifest.files) == {path.name for path in bundle.iterdir()} - {"manifest.json"}


def test_a_bundle_of_format_1_opens() -> None:
    with open_bundle(DATA / "bundle-v1") as opened:
        assert isinstance(opened.manifest, CandidateManifest)
        assert opened.read("model.onnx").startswith(b"\x08")


def test_a_stored_bundle_of_format_2_opens_and_all_of_it_is_understood() -> None:
    with open_bundle(DATA / "bundle-v2") as opened:
        assert isinstance(opened.manifest, Manifest)
        shipped = read_shipped(opened, opened.manifest)
        passes = [Measurement.from_json(line) for line in opened.read("measurements.jsonl").decode().splitlines()]
    assert shipped.feeds["x"].shape == (1, 3, 24, 24)
    assert {taken.model_digest for taken in passes} == {opened.manifest.digest}
    assert opened.manifest.promises.max_latency_ms is not None


@pytest.mark.parametrize("name", ["model.onnx", "fp32.onnx", "policy.json", "run.py", "MODEL_CARD.md", "example.npz"])
def test_one_changed_byte_is_found_and_named(bundle: Path, name: str) -> None:
    data = bytearray((bundle / name).read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / name).write_bytes(data)
    with pytest.raises(DamagedBundleError, match=f"'{name}' was changed: its SHA-256 is"), open_bundle(bundle):
        pass


def cut_off(bundle: Path) -> None:
    os.truncate(bundle / "model.onnx", 100)


def remove(bundle: Path) -> None:
    (bundle / "fp32.onnx").unlink()


def add(bundle: Path) -> None:
    (bundle / "payload.so").write_bytes(b"x")


def add_deep(bundle: Path) -> None:
    (bundle / "a" / "b").mkdir(parents=True)
    (bundle / "a" / "b" / "payload").touch()


def link(bundle: Path) -> None:
    (bundle / "model.onnx").rename(bundle.parent / "elsewhere.onnx")
    (bundle / "model.onnx").symlink_to(bundle.parent / "elsewhere.onnx")


def link_folder(bundle: Path) -> None:
    (bundle / "inner").symlink_to(bundle.parent, target_is_directory=True)


def pipe(bundle: Path) -> None:
    os.mkfifo(bundle / "pipe")


def cut_manifest(bundle: Path) -> None:
    os.truncate(bundle / "manifest.json", 200)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut_off, "'model.onnx' is cut off: 100 bytes"),
        (remove, "'fp32.onnx' is missing"),
        (add, "'payload.so' is not in the manifest"),
        (add_deep, "'a/b/payload' is not in the manifest"),
        (link, "'model.onnx' is a link or a device"),
        (link_folder, "'inner' is a link or a device"),
        (pipe, "'pipe' is a link or a device"),
        (cut_manifest, "manifest.json is damaged or cut off"),
    ],
)
def test_a_damaged_bundle_is_refused_with_the_reason(bundle: Path, damage: Callable[[Path], None], reason: str) -> None:
    damage(bundle)
    with pytest.raises(DamagedBundleError, match=reason), open_bundle(bundle):
        pass


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "a/../../secret", "a//b", "./model.onnx", "a\\b", "C:secret", "", "a\nb"]
)
def test_a_manifest_that_names_a_path_outside_is_refused(bundle: Path, name: str) -> None:
    (bundle.parent / "secret").write_text("secret")
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["files"][name] = manifest["files"]["model.onnx"]
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DamagedBundleError, match="is no path of a file inside the bundle"), open_bundle(bundle):
        pass


def test_a_newer_format_is_said_to_be_newer(bundle: Path, edit: Callable[..., None]) -> None:
    edit(format_version=3)
    with pytest.raises(BundleError, match=r"format_version 3, this paretune reads up to 2; upgrade") as caught:
        open_bundle(bundle).__enter__()
    assert not isinstance(caught.value, DamagedBundleError)


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"promises__max_latency_ms": -1.0}, "promises.max_latency_ms"),
        ({"promises__max_latency": 1.0}, "promises.max_latency"),
        ({"digest": "abc"}, "digest"),
        ({"latency__fp32_ms": "fast"}, "latency.fp32_ms"),
        ({"session__threads": 0}, "session.threads"),
        ({"format_version": None}, "format_version"),
        ({"format_version": True}, "format_version"),
    ],
)
def test_a_manifest_that_no_paretune_writes_is_refused(
    bundle: Path, edit: Callable[..., None], values: dict[str, object], where: str
) -> None:
    edit(**values)
    with pytest.raises(DamagedBundleError, match=where), open_bundle(bundle):
        pass


@pytest.mark.parametrize("path", ["nothing", "nothing.tar.gz", "file"])
def test_what_is_no_bundle_is_said_to_be_none(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for each in (tmp_path / path, tmp_path / "folder"):
        with pytest.raises(BundleError, match=r"no bundle"), open_bundle(each):
            pass


def files_of(bundle: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in bundle.iterdir()}


def test_an_archive_opens_like_the_folder_and_leaves_nothing(bundle: Path, tmp_path: Path) -> None:
    archive = tmp_path / "bundle.tar.gz"
    archive.write_bytes(archive_bytes("bundle", files_of(bundle)))
    with open_bundle(archive) as opened:
        assert {path.name for path in opened.folder.iterdir()} == {path.name for path in bundle.iterdir()}
        assert opened.read("model.onnx") == (bundle / "model.onnx").read_bytes()
    assert not opened.folder.exists()
    assert archive.read_bytes() == archive_bytes("bundle", dict(reversed(files_of(bundle).items())))


def rewritten(bundle: Path, archive: Path, change: Callable[[list[tuple[tarfile.TarInfo, bytes]]], None]) -> Path:
    """The bundle's archive with other members."""
    members = []
    with tarfile.open(fileobj=io.BytesIO(archive_bytes("bundle", files_of(bundle)))) as source:
        for member in source:
            content = source.extractfile(member)
            assert content is not None
            members.append((member, content.read()))
    change(members)
    with tarfile.open(archive, "w:gz") as target:
        for member, data in members:
            target.addfile(member, io.BytesIO(data))
    return archive


def member(
    name: str, kind: bytes = tarfile.REGTYPE, data: bytes = b"x", target: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, len(data) if kind == tarfile.REGTYPE else 0
    return info, data


def renamed(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    members[1][0].name = "../outside"


def grown(members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    info, data = members[1]
    info.size += 5
    members[1] = (info, data + b"12345")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda members: members.append(member("bundle/../../outside")), "does not list"),
        (lambda members: members.append(member("/outside")), "does not list"),
        (lambda members: members.append(member("bundle/extra")), "does not list"),
        (lambda members: members.append(members[1]), "does not list"),
        (lambda members: members.append(member("bundle/link", tarfile.SYMTYPE, target="/etc")), "no plain file"),
        (lambda members: members.append(member("bundle/link", tarfile.LNKTYPE, target="/etc/passwd")), "no plain file"),
        (lambda members: members.append(member("bundle/device", tarfile.CHRTYPE)), "no plain file"),
        (lambda members: members.append(member("bundle/pipe", tarfile.FIFOTYPE)), "no plain file"),
        (lambda members: members.reverse(), "a bundle's begins with manifest.json"),
        (lambda members: members.pop(), "it ends before"),
        (renamed, "does not list"),
        (grown, "its manifest says otherwise"),
    ],
)
def test_a_hostile_archive_is_refused_and_writes_nothing_outside(
    bundle: Path, tmp_path: Path, change: Callable[..., None], reason: str
) -> None:
    archive = rewritten(bundle, tmp_path / "hostile.tar.gz", change)
    before = sorted(path for path in tmp_path.rglob("*"))
    with pytest.raises(DamagedBundleError, match=reason), open_bundle(archive):
        pass
    assert sorted(path for path in tmp_path.rglob("*")) == before
    assert not Path("/outside").exists()


@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
def test_a_truncated_archive_is_refused(bundle: Path, tmp_path: Path, share: float) -> None:
    data = archive_bytes("bundle", files_of(bundle))
    (tmp_path / "cut.tar.gz").write_bytes(data[: int(share * len(data))])
    with pytest.raises(DamagedBundleError, match="cut off or damaged"), open_bundle(tmp_path / "cut.tar.gz"):
        pass


def test_what_would_unpack_to_more_than_there_is_room_for_is_refused(
    bundle: Path, tmp_path: Path, edit: Callable[..., None]
) -> None:
    edit(files__bomb={"sha256": "0" * 64, "bytes": 2**60})
    (tmp_path / "bomb.tar.gz").write_bytes(archive_bytes("bundle", files_of(bundle)))
    with pytest.raises(DamagedBundleError, match="are free here"), open_bundle(tmp_path / "bomb.tar.gz"):
        pass


def test_a_file_that_changes_after_it_was_opened_is_not_handed_out(bundle: Path) -> None:
    with open_bundle(bundle) as opened:
        (bundle / "policy.json").write_text("{}")
        with pytest.raises(DamagedBundleError, match=r"'policy\.json' is cut off"):
            opened.read("policy.json")
