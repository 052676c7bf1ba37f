"""What was built and timed is what is timed again, and what is shipped."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from hwprofiles import Engine, Formats, HardwareProfile, Sparsity
from latency.built_engines import BuiltEngines, timing_cache_path
from latency.errors import OperationError, WorkerError
from latency.target import Target

DIGEST = "d" * 64


class DictTransport:
    """Files in a dictionary."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def put(self, data: bytes, name: str) -> str:
        self.files[self.path(name)] = data
        return self.path(name)

    def get(self, path: str) -> bytes:
        if path not in self.files:
            raise FileNotFoundError(path)
        return self.files[path]

    def path(self, name: str) -> str:
        return f"/target/{name}"

    def remove(self, path: str) -> None:
        self.files.pop(path, None)


class BuildingConnection:
    """A worker that holds an engine, and writes it where it is asked to."""

    def __init__(self, transport: DictTransport, answer: dict[str, Any] | Exception) -> None:
        self.transport, self.answer = transport, answer

    def request(self, op: str, timeout_s: float, **fields: Any) -> dict[str, Any]:
        assert (op, fields["slot"], timeout_s > 0) == ("artifact", "candidate", True)
        if isinstance(self.answer, Exception):
            raise self.answer
        self.transport.files[fields["path"]] = b"PLAN"
        return {"ok": True, "id": 3, **self.answer}


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def gpu(profile: HardwareProfile) -> HardwareProfile:
    return profile.model_copy(update={"name": "gpu", "engine": Engine(name="tensorrt")})


@pytest.fixture
def transport() -> DictTransport:
    return DictTransport()


FACTS = {"kind": "tensorrt-engine", "runtime": "tensorrt 11.0", "accelerator": "A GPU"}


def test_engine_is_kept_once_and_put_back(gpu: HardwareProfile, transport: DictTransport, tmp_path: Path) -> None:
    engines = BuiltEngines(gpu, tmp_path / "engines")
    built = transport.path("m.onnx.engine")
    engines.place(transport, built, DIGEST)
    assert not transport.files, "nothing was built yet"
    transport.files[built] = b"the key\nPLAN"
    engines.keep(transport, BuildingConnection(transport, FACTS), "candidate", built, DIGEST)  # type: ignore[arg-type]
    assert (tmp_path / "engines" / f"{DIGEST}.engine").read_bytes() == b"PLAN"
    assert json.loads((tmp_path / "engines" / f"{DIGEST}.json").read_bytes()) == {**FACTS, "key": "the key"}
    engines.clear_away(transport, built)
    assert built not in transport.files
    engines.place(transport, built, DIGEST)
    assert transport.files[built] == b"the key\nPLAN"
    refuses = BuildingConnection(transport, AssertionError("asked again"))
    engines.keep(transport, refuses, "candidate", built, DIGEST)  # type: ignore[arg-type]


@pytest.mark.parametrize("problem", [WorkerError("gone"), OperationError("no", kind="x"), FACTS | {"kind": None}])
def test_engine_that_cannot_be_fetched_is_no_failure_of_the_measurement(
    gpu: HardwareProfile, transport: DictTransport, tmp_path: Path, problem: Any
) -> None:
    connection = BuildingConnection(transport, problem)
    BuiltEngines(gpu, tmp_path / "engines").keep(transport, connection, "candidate", "/target/x", DIGEST)  # type: ignore[arg-type]
    assert not (tmp_path / "engines").exists()


def test_timing_cache_travels_there_and_back(gpu: HardwareProfile, transport: DictTransport) -> None:
    engines = BuiltEngines(gpu, None)
    path = engines.open(transport)
    assert path is not None
    assert path not in transport.files
    engines.close(transport, path)
    assert not timing_cache_path(gpu).exists(), "nothing was built"
    transport.files[path] = b"tactics"
    engines.close(transport, path)
    assert timing_cache_path(gpu).read_bytes() == b"tactics"
    later = DictTransport()
    assert later.files.get(str(BuiltEngines(gpu, None).open(later))) == b"tactics"


def test_runtime_that_builds_nothing_has_nothing_to_keep(
    profile: HardwareProfile, transport: DictTransport, tmp_path: Path
) -> None:
    engines = BuiltEngines(profile, tmp_path / "engines")
    assert engines.open(transport) is None
    refuses = BuildingConnection(transport, AssertionError("asked"))
    engines.keep(transport, refuses, "candidate", "/target/x", DIGEST)  # type: ignore[arg-type]
    engines.close(transport, None)
    assert not transport.files


def test_engines_that_build_are_known() -> None:
    building = {name for name in ("onnxruntime-tensorrt", "tensorrt", "tensorrt-rtx") if Engine(name=name).builds}  # type: ignore[arg-type]
    assert len(building) == 3
    assert not Engine().builds
    assert not HardwareProfile(
        name="x",
        summary="x",
        engine=Engine(name="onnxruntime-cuda"),
        formats=Formats(),
        sparsity=Sparsity(channel_multiple=8),
    ).engine.builds


class AnsweringTransport(DictTransport):
    """Starts workers that agree to everything."""

    def __enter__(self) -> AnsweringTransport:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start(self) -> AnsweringTransport:
        return self

    def request(self, op: str, timeout_s: float, **fields: Any) -> dict[str, Any]:
        if op == "load":
            self.loaded = self.files.get(fields["settings"]["built"])
        return {"hello": {"runtime": "tensorrt 11.0"}, "machine": {"accelerator": "A GPU"}}.get(op, {})


def test_what_was_timed_is_what_a_target_runs_again(gpu: HardwareProfile, tmp_path: Path) -> None:
    kept = tmp_path / "engines"
    kept.mkdir()
    digest = hashlib.sha256(b"network").hexdigest()
    (kept / f"{digest}.engine").write_bytes(b"PLAN")
    (kept / f"{digest}.json").write_text(json.dumps({"key": "the key"}))
    transport = AnsweringTransport()
    with Target(gpu, transport=transport, built=kept) as target:  # type: ignore[arg-type]
        target.load(b"network", {})
    assert transport.loaded == b"the key\nPLAN"
