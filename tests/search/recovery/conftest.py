"""A small real workload that can be trained, and one finished run of it that recovered its front."""

from __future__ import annotations

import fcntl
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

import search
from hwprofiles import HardwareProfile, load_profile
from search import RunResult
from search.folder.run_folder import RunFolder
from search.progress import Progress, silent
from search.recovery.recoveries import read_recoveries, write_recoveries
from search.recovery.remake import weights_path

WORKLOAD = """
import numpy as np

def _part(first, last):
    data = np.load(__file__.replace("learner.py", "data.npz"))
    return {"x": data["x"][first:last]}, data["y"][first:last]

def model():
    return "learner.onnx"

def calibration():
    yield _part(0, 64)[0]

def training():
    for first in range(0, 128, 64):
        yield _part(first, first + 64)

def validation():
    yield _part(128, 256)

def top1(outputs, targets):
    return outputs.argmax(axis=1) == targets

metric = top1
"""
LEARNER = "learner.py"
NOISE, SCALE, RIDGE = 1.0, 8.0, 0.01


def network(head: Any, bias: Any) -> bytes:
    """Three random convolutions, and a head that reads their features."""
    rng = np.random.default_rng(0)
    shapes = {"one": (48, 3, 3, 3), "two": (48, 48, 3, 3), "three": (48, 48, 3, 3)}
    values = {name: rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape) for name, shape in shapes.items()}
    values |= {"head": head, "bias": bias}
    weights = [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in values.items()]
    nodes = [
        helper.make_node("Conv", ["x", "one"], ["a"], name="one", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "two"], ["c"], name="two", pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("Conv", ["d", "three"], ["e"], name="three", pads=[1] * 4),
        helper.make_node("Relu", ["e"], ["f"]),
        helper.make_node("GlobalAveragePool", ["f"], ["g"]),
        helper.make_node("Flatten", ["g"], ["h"]),
        helper.make_node("Gemm", ["h", "head", "bias"], ["y"], name="head", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "learner",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 12, 12])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", len(head)])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def write_learner(folder: Path, source: str = WORKLOAD) -> Path:
    """The workload's file, with its network and its data: noisy patterns, told by a head that was fitted to them."""
    import onnxruntime

    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    patterns, kinds = rng.normal(size=(4, 3, 12, 12)), rng.integers(0, 4, 256)
    x = (NOISE * rng.normal(size=(256, 3, 12, 12)) + patterns[kinds]).astype(np.float32)
    bare = onnxruntime.InferenceSession(network(np.eye(48), np.zeros(48)), providers=["CPUExecutionProvider"])
    features = np.hstack([bare.run(None, {"x": x[:128]})[0], np.ones((128, 1))])
    wanted = SCALE * (np.eye(4)[kinds[:128]] - 0.25)
    fitted = np.linalg.solve(features.T @ features + RIDGE * np.eye(49), features.T @ wanted)
    (folder / "learner.onnx").write_bytes(network(fitted[:-1].T, fitted[-1]))
    np.savez(folder / "data.npz", x=x, y=kinds)
    path = folder / LEARNER
    path.write_text(source)
    return path


def few_formats() -> HardwareProfile:
    """This machine with one format besides FP32: what a search begins with is all that it tries."""
    profile = load_profile("local-cpu")
    return profile.model_copy(update={"formats": profile.formats.model_copy(update={"offered": ("fp32", "int8")})})


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Threads that wait for one another on a busy machine take a hundred times as long as one alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


ASKED: dict[str, Any] = {"trials": 6, "sampler": "random", "recover": "front", "recover_epochs": 20}


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A finished run that recovered its front, and what it told on the way; only to be looked at."""

    workload: Path
    result: RunResult
    steps: tuple[Progress, ...]

    def again(self, out: Path, listener: Callable[[Progress], None] = silent, **changes: Any) -> RunResult:
        """The same command, on the folder `out`."""
        return search.run(self.workload, few_formats(), out=out, listener=listener, **{**ASKED, **changes})

    def copy(self, to: Path, *, without: int = 0) -> RunFolder:
        """The run's folder, the latest `without` recovered candidates left out."""
        folder = RunFolder(shutil.copytree(self.result.folder, to))
        recoveries = read_recoveries(folder)
        recovered = [recovery for recovery in recoveries if recovery.outcome is not None]
        for recovery in recovered[len(recovered) - without :]:
            assert recovery.outcome is not None
            weights_path(folder, recovery.outcome.digest).unlink()
            recoveries.remove(recovery)
        write_recoveries(folder, recoveries)
        return folder


@pytest.fixture(scope="session")
def recovered(
    tmp_path_factory: pytest.TempPathFactory, shortened: Callable[[], AbstractContextManager[None]]
) -> Finished:
    """Made by the first of pytest's processes that wants it, a minute's work, and looked at by all."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "recovered"
    folder.mkdir(exist_ok=True)
    kept = folder / "steps.pickle"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.is_file():
            kept.write_bytes(pickle.dumps(_recover(folder, shortened)))
    steps = pickle.loads(kept.read_bytes())  # noqa: S301  # ours
    return Finished(workload=folder / "user" / LEARNER, result=search.read_result(folder / "run"), steps=tuple(steps))


def _recover(folder: Path, shortened: Callable[[], AbstractContextManager[None]]) -> list[Progress]:
    steps: list[Progress] = []
    workload = write_learner(folder / "user")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with shortened():
        search.run(workload, few_formats(), out=folder / "run", listener=steps.append, **ASKED)
    torch.set_num_threads(threads)
    return steps
