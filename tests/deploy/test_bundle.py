"""A bundle is there whole or not at all, and says what its files are."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path

import pytest

from deploy import ENGINE_FILE, BuiltEngine, BundleContent, is_bundle, remove_bundle, write_bundle


def content(onnx_bytes: bytes = b"network") -> BundleContent:
    return BundleContent(
        onnx_bytes=onnx_bytes,
        policy_json='{"layers":{}}',
        session_entries={"session.key": "1"},
        facts={"digest": "d", "confirmed": {"latency_ratio": 0.5}},
    )


def test_the_manifest_names_every_file_with_its_digest(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "bundle"
    write_bundle(folder, content())
    manifest = json.loads((folder / "manifest.json").read_text())
    assert {path.name for path in folder.iterdir()} == {*manifest["files"], "manifest.json"}
    for name, facts in manifest["files"].items():
        data = (folder / name).read_bytes()
        assert facts == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    assert manifest["format_version"] == 1
    assert manifest["session_entries"] == {"session.key": "1"}
    assert manifest["confirmed"] == {"latency_ratio": 0.5}


def test_a_built_engine_goes_with_the_network_and_what_it_is_for(tmp_path: Path) -> None:
    facts = {"kind": "TensorRT engine", "runtime": "tensorrt 11.1", "accelerator": "NVIDIA L4, driver 580.1"}
    built = BuiltEngine(data=b"plan", facts=facts)
    write_bundle(tmp_path / "bundle", dataclasses.replace(content(), engine=built))
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    assert (tmp_path / "bundle" / ENGINE_FILE).read_bytes() == b"plan"
    assert manifest["engine"] == {"file": "engine.plan", **facts}
    assert manifest["files"]["engine.plan"]["sha256"] == hashlib.sha256(b"plan").hexdigest()
    assert is_bundle(tmp_path / "bundle")


def test_a_figure_that_is_missing_is_left_out_and_never_nan(tmp_path: Path) -> None:
    """JSON has no NaN, and most readers refuse it."""
    with pytest.raises(ValueError, match="Out of range float"):
        write_bundle(tmp_path / "bundle", dataclasses.replace(content(), facts={"latency_ms": float("nan")}))
    assert list(tmp_path.iterdir()) == []


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_bundle(tmp_path / name, content())
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_an_existing_bundle_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    write_bundle(folder, content(b"old"))
    (folder / "left-over").touch()
    write_bundle(folder, content(b"new"))
    assert (folder / "model.onnx").read_bytes() == b"new"
    assert not (folder / "left-over").exists()
    assert list(tmp_path.iterdir()) == [folder]


def test_everything_is_on_the_disk_before_the_bundle_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut may leave a bundle whose files are empty."""
    events: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def note_fsync(descriptor: int) -> None:
        events.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def note_replace(path: Path, target: Path) -> Path:
        events.append("renamed")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_replace)
    write_bundle(tmp_path / "bundle", content())
    at = events.index("renamed")
    assert {"model.onnx", "policy.json", "manifest.json"} < set(events[:at])
    assert events[at - 1].endswith(".partial")
    assert events[at + 1 :] == [tmp_path.name]


def test_a_bundle_is_known_by_its_manifest_and_removed_whole(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    write_bundle(folder, content())
    assert is_bundle(folder)
    remove_bundle(folder)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["missing", "other files too", "no manifest", "another manifest", "a link"])
def test_what_is_no_bundle_is_not_removed(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "bundle"
    if kind != "missing":
        write_bundle(folder, content())
    if kind == "other files too":
        (folder / "notes.txt").touch()
    elif kind == "no manifest":
        (folder / "manifest.json").unlink()
    elif kind == "another manifest":
        (folder / "manifest.json").write_text("[1]")
    elif kind == "a link":
        folder = tmp_path / "link"
        folder.symlink_to(tmp_path / "bundle", target_is_directory=True)
    before = sorted(tmp_path.rglob("*"))
    assert not is_bundle(folder)
    with pytest.raises(ValueError, match="is no bundle, or holds other files too"):
        remove_bundle(folder)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("method", ["open", "replace"])
def test_what_fails_leaves_the_old_bundle_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    folder = tmp_path / "bundle"
    write_bundle(folder, content(b"old"))
    real = getattr(Path, method)

    def refuse_new(path: Path, *arguments: object) -> object:
        if path.name == "policy.json" or (method == "replace" and (path / "model.onnx").read_bytes() == b"new"):
            raise OSError(28, "No space left on device")
        return real(path, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Path, method, refuse_new)
        with pytest.raises(OSError, match="No space left"):
            write_bundle(folder, content(b"new"))
    assert (folder / "model.onnx").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [folder]
