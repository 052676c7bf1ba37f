"""A bundle is there whole or not at all, and says what its files are."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from deploy import BundleContent, write_bundle


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


@pytest.mark.parametrize("method", ["write_bytes", "replace"])
def test_what_fails_leaves_the_old_bundle_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    folder = tmp_path / "bundle"
    write_bundle(folder, content(b"old"))
    real = getattr(Path, method)

    def refuse_new(path: Path, argument: object) -> object:
        if path.name == "policy.json" or (method == "replace" and (path / "model.onnx").read_bytes() == b"new"):
            raise OSError(28, "No space left on device")
        return real(path, argument)

    with monkeypatch.context() as patch:
        patch.setattr(Path, method, refuse_new)
        with pytest.raises(OSError, match="No space left"):
            write_bundle(folder, content(b"new"))
    assert (folder / "model.onnx").read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [folder]
