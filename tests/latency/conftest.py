"""Tiny real models, made-up samples, and workers that misbehave on demand."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hwprofiles import Engine, Formats, HardwareProfile, Sparsity
from latency.effort import Effort
from latency.emulation.root import Root
from latency.measurement import Measurement, MeasurementKey
from latency.samples import ProcessSamples, Samples
from latency.statistics import SpreadPrior
from latency.transports.local import LocalTransport

FAULTS = Path(__file__).parent / "faulty_worker.py"


def sibling(name: str) -> ModuleType:
    """A file beside this one; tests are no packages, and are imported by path."""
    spec = spec_from_file_location(f"tests_latency_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def ssh_servers() -> ModuleType:
    """The module of servers to log in to."""
    return sibling("ssh_servers")


@pytest.fixture(scope="session")
def sshd(ssh_servers: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """OpenSSH's server on loopback."""
    with ssh_servers.open_ssh_server(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="session")
def asyncssh_server(ssh_servers: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The server of asyncssh, in this process."""
    with ssh_servers.AsyncsshServer(tmp_path_factory.mktemp("asyncssh")) as server:
        yield server


@pytest.fixture(scope="session")
def emulators() -> ModuleType:
    """The module of scripted emulators."""
    return sibling("emulators")


@pytest.fixture
def programs(emulators: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of the PATH, with the shell's own programs in it."""
    return Path(emulators.few_programs(tmp_path, monkeypatch))


@pytest.fixture
def fake_root(emulators: ModuleType, programs: Path, tmp_path: Path) -> Root:
    """A complete root whose emulator is a script that runs this machine's Python."""
    root: Root = emulators.scripted_root(programs, tmp_path)
    return root


@pytest.fixture
def fake_arm(emulators: ModuleType, fake_root: Root) -> HardwareProfile:
    """The shipped profile on the root with the script."""
    profile: HardwareProfile = emulators.shipped_profile(fake_root)
    return profile


def onnx_bytes(width: int = 16, operator: str = "MatMul", seed: int = 0) -> bytes:
    """One matrix product of a batch of 8 features."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(seed).normal(size=(8, width)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "w"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", width])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="session")
def baseline() -> bytes:
    return onnx_bytes()


@pytest.fixture(scope="session")
def candidate() -> bytes:
    return onnx_bytes(width=64, seed=1)


@pytest.fixture(scope="session")
def broken_model() -> bytes:
    return onnx_bytes(operator="NoSuchOperator")


@pytest.fixture
def feeds() -> dict[str, np.ndarray]:
    return {"x": np.ones((1, 8), np.float32)}


@pytest.fixture
def profile() -> HardwareProfile:
    return HardwareProfile(
        name="test-cpu",
        summary="This machine",
        engine=Engine(),
        formats=Formats(int8_scheme="u8s8"),
        sparsity=Sparsity(channel_multiple=16),
    )


@pytest.fixture
def quick() -> Effort:
    """One short round, whatever comes out."""
    return Effort(target_half_width=1.0, seconds_per_process=0.01, max_passes=1, max_seconds=5.0)


@pytest.fixture
def faulty(tmp_path: Path) -> Callable[[str], LocalTransport]:
    """A transport whose workers do ``fault`` as long as the file ``tmp_path / 'armed'`` exists."""

    def make(fault: str) -> LocalTransport:
        return LocalTransport([sys.executable, str(FAULTS), "{archive}", fault, str(tmp_path / "armed")])

    return make


@pytest.fixture
def armed(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "armed"
    path.touch()
    yield path
    path.unlink(missing_ok=True)


Maker = Callable[..., Measurement]


def process_samples(
    rng: np.random.Generator,
    *,
    candidate_ms: float = 0.5,
    baseline_ms: float = 1.0,
    spread: float = 0.01,
    count: int = 80,
    interrupted: float = 0.0,
    wall_factor: float = 1.0,
) -> ProcessSamples:
    """One made-up process: noise around two medians, and inferences that others interrupted for 3 ms."""

    def model(median_ms: float) -> Samples:
        cpu = median_ms * np.exp(rng.normal(0, spread, count))
        hit = rng.random(count) < interrupted
        wall = cpu * wall_factor + np.where(hit, 3.0, 0.0)
        return Samples(
            wall_ms=tuple(np.round(wall, 5).tolist()),
            cpu_ms=tuple(np.round(cpu, 5).tolist()),
            switches=tuple(hit.astype(int).tolist()),
        )

    return ProcessSamples(candidate=model(candidate_ms), baseline=model(baseline_ms), rounds=count // 4)


@pytest.fixture
def make_process() -> Callable[..., ProcessSamples]:
    return process_samples


@pytest.fixture
def make_measurement() -> Maker:
    """Made-up measurements; keyword arguments replace fields of the key or of the measurement."""

    def make(**changes: Any) -> Measurement:
        rng = np.random.default_rng(changes.pop("seed", 0))
        key: dict[str, Any] = {
            "model_digest": "c" * 64,
            "baseline_digest": "b" * 64,
            "hardware_id": "0123456789ab",
            "runtime": "onnxruntime 1.32.0",
            "provider": "CPUExecutionProvider",
            "threads": 1,
            "affinity": None,
            "spinning": True,
            "batch_size": 1,
            "input_shapes": (("x", "float32", (1, 8)),),
            "session_entries": (("a.b", "1"),),
            "baseline_session_entries": (),
        }
        key.update({name: changes.pop(name) for name in list(changes) if name in key})
        values: dict[str, Any] = {
            "profile": "test-cpu",
            "processes": tuple(process_samples(rng) for _ in range(4)),
            "grade": "clean",
            "reason": "quiet",
            "remedy": "",
            "clock": "wall",
            "spread_prior": SpreadPrior(variance=1e-5, degrees=2.0),
            "inference_s": 0.5,
            "overhead_s": 0.25,
            "taken_at": "2026-01-02T03:04:05+00:00",
        }
        return Measurement(key=MeasurementKey(**key), **{**values, **changes})

    return make
