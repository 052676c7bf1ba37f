"""A tiny real workload, the command line on it, and one finished run that many tests look at."""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import search
from hwprofiles import HardwareProfile, load_profile
from search import RunResult

HERE = Path(__file__).parent
TRIALS = 7

WORKLOAD = """
import numpy as np

def _inputs(count, seed):
    return np.random.default_rng(seed).normal(size=(count, 3, 8, 8)).astype(np.float32)

def model():
    return "net.onnx"

def calibration():
    yield {"x": _inputs(16, 1)}

def validation():
    for seed in (2, 3):
        yield {"x": _inputs(16, seed)}, np.load(__file__.replace("tiny.py", f"targets-{seed}.npy"))

def metric(outputs, targets):
    return -np.square(outputs - targets).mean(axis=1)
"""
"""Targets are FP32's own outputs, so that FP32 is on every front."""


def network() -> bytes:
    rng = np.random.default_rng(0)
    shapes = {"conv1.weight": (32, 3, 3, 3), "conv2.weight": (32, 32, 3, 3), "head.weight": (4, 32)}
    weights = [
        numpy_helper.from_array(rng.normal(0, np.prod(shape[1:]) ** -0.5, shape).astype(np.float32), name)
        for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Conv", ["x", "conv1.weight"], ["a"], pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "conv2.weight"], ["c"], pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("GlobalAveragePool", ["d"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Gemm", ["f", "head.weight"], ["y"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def write_workload(folder: Path, source: str = WORKLOAD) -> Path:
    import onnxruntime

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "net.onnx").write_bytes(network())
    session = onnxruntime.InferenceSession(network(), providers=["CPUExecutionProvider"])
    for seed in (2, 3):
        inputs = np.random.default_rng(seed).normal(size=(16, 3, 8, 8)).astype(np.float32)
        np.save(folder / f"targets-{seed}.npy", session.run(None, {"x": inputs})[0])
    path = folder / "tiny.py"
    path.write_text(source)
    return path


@pytest.fixture(autouse=True)
def module_path() -> Iterator[None]:
    """Loading a user's file extends the module path for good; a test must not see another test's folder."""
    before = list(sys.path)
    yield
    sys.path[:] = before


@contextmanager
def _shortened() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HERE))
        import deploy.remeasure
        import latency.grading
        import search.trial.evaluate

        shortened = (
            (search.trial.evaluate, "SEARCH"),
            (search.trial.evaluate, "CONFIRM"),
            (deploy.remeasure, "EFFORT"),
            (latency.grading, "_WIDEST"),
        )
        for module, name in shortened:
            patch.setattr(module, name, getattr(module, name))
        import quick_paretune

        quick_paretune.shorten()
        yield


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Short measurements in this process, as quick_paretune.py has them in others; not beyond this folder's tests."""
    with _shortened():
        yield


@pytest.fixture(scope="session")
def shortened() -> Callable[[], AbstractContextManager[None]]:
    """Short measurements, for runs that many tests of this folder look at."""
    return _shortened


@pytest.fixture(scope="session")
def profile() -> HardwareProfile:
    return load_profile("local-cpu")


@pytest.fixture
def workload(tmp_path: Path) -> Path:
    """A workload file with its network."""
    return write_workload(tmp_path / "user")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, profile: HardwareProfile) -> RunResult:
    """A finished run; only to be looked at."""
    folder = tmp_path_factory.mktemp("finished")
    with _shortened():
        return search.run(write_workload(folder / "user"), profile, out=folder / "run", trials=TRIALS, sampler="random")


@pytest.fixture
def run_copy(finished: RunResult, tmp_path: Path) -> Path:
    """The folder of a finished run, to do with as one likes; `workload` is what it searched."""
    return Path(shutil.copytree(finished.folder, tmp_path / "run"))


Start = Callable[..., "subprocess.Popen[str]"]
Call = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start `paretune` with short measurements in a process and process group of its own."""
    processes: list[subprocess.Popen[str]] = []

    def begin(*arguments: object, **options: object) -> subprocess.Popen[str]:
        command = [sys.executable, str(HERE / "quick_paretune.py"), *map(str, arguments)]
        # Where the tests run in the background, they and what they start are told to ignore Ctrl-C.
        listening = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
        settings = {"cwd": tmp_path, "start_new_session": True, "text": True, "preexec_fn": listening, **options}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **settings)
        processes.append(process)
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def call(start: Start) -> Call:
    """Run `paretune` to its end."""

    def finish(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        process = start(*arguments, **options)
        output, errors = process.communicate(timeout=240)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)

    return finish


@pytest.fixture
def ssh_server(tmp_path: Path) -> Iterator[Any]:
    """A real SSH server on loopback, which can be stopped and started again."""
    spec = importlib.util.spec_from_file_location("ssh_servers", HERE.parent / "latency" / "ssh_servers.py")
    assert spec is not None
    assert spec.loader is not None
    servers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(servers)
    folder = tmp_path / "ssh"
    folder.mkdir()
    with servers.AsyncsshServer(folder) as server:
        yield server


@pytest.fixture
def board(ssh_server: Any, profile: HardwareProfile) -> HardwareProfile:
    """This machine as a board in the next room: another host to us, its name and its cores apart."""
    return profile.model_copy(update={"name": "board", "reach": ssh_server.reach(connect_timeout_s=2.0)})


def _postgres_servers() -> Any:
    spec = importlib.util.spec_from_file_location("postgres_server", HERE / "postgres_server.py")
    assert spec is not None
    assert spec.loader is not None
    servers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(servers)
    if servers.why_not():
        pytest.skip(servers.why_not())
    pytest.importorskip("psycopg", reason="psycopg is not installed (pip install 'paretune[postgresql]')")
    return servers


@pytest.fixture
def postgres() -> Iterator[Any]:
    """A real PostgreSQL on loopback, which can be stopped and started again."""
    with _postgres_servers().PostgresServer() as server:
        yield server


@pytest.fixture
def guarded_postgres() -> Iterator[Any]:
    """One that asks for a password."""
    with _postgres_servers().PostgresServer(password="hush-hush") as server:  # noqa: S106  # a throw-away one
        yield server


@pytest.fixture
def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def contents() -> Callable[[Path], dict[str, str]]:
    """The SHA-256 of every file of a folder by its path in it."""

    def digest(folder: Path) -> dict[str, str]:
        files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    return digest
