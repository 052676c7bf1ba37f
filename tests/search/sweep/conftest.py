"""A small real network on this machine, prepared as a search prepares it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from onnx import TensorProto, helper, numpy_helper

import search.sweep.layer_profile
from hwprofiles import HardwareProfile
from search.folder.run_folder import RunFolder
from search.layers.graph import record_layer_graph
from search.layers.neighbours import find_layer_graph
from search.prepare import Prepared, prepare
from search.progress import Progress, silent
from search.stages import StageClock
from search.study.space_record import adopt_space
from workloads import load

SOURCE = """
import numpy as np

def _inputs(count, seed):
    return np.random.default_rng(seed).normal(size=(count, 3, 8, 8)).astype(np.float32)

def model():
    return "net.onnx"

def calibration():
    yield {"x": _inputs(32, 1)}

def validation():
    yield {"x": _inputs(48, 2)}, np.zeros(48, np.int64)

def metric(outputs, targets):
    return (outputs.argmax(axis=1) == targets).astype(float)
"""


def network() -> bytes:
    """Four layers, of which `delicate` bears no 8-bit inputs: all but one of its channels are rounded to nothing."""
    rng = np.random.default_rng(0)
    shapes = {"stem": (32, 3, 3, 3), "wide": (32, 32, 3, 3), "delicate": (32, 32, 1, 1), "head": (4, 32)}
    weights = {name: rng.normal(0, np.prod(shape[1:]) ** -0.5, shape) for name, shape in shapes.items()}
    # A channel a hundred times as large as the others takes the whole range, and nobody reads it.
    weights["wide"][0] *= 100.0
    weights["delicate"][:, 0] = 0.0
    nodes = [
        helper.make_node("Conv", ["x", "stem.weight"], ["a"], "stem", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "wide.weight"], ["c"], "wide", pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("Conv", ["d", "delicate.weight"], ["e"], "delicate"),
        helper.make_node("Relu", ["e"], ["f"]),
        helper.make_node("GlobalAveragePool", ["f"], ["g"]),
        helper.make_node("Flatten", ["g"], ["h"]),
        helper.make_node("Gemm", ["h", "head.weight"], ["y"], "head", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(weight.astype(np.float32), f"{name}.weight") for name, weight in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, profile: HardwareProfile) -> tuple[Prepared, Path]:
    """The prepared network, and the folder that it was prepared in; only to be copied."""
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "net.onnx").write_bytes(network())
    (folder / "small.py").write_text(SOURCE)
    run = folder / "run"
    run.mkdir()
    made = prepare(
        load(str(folder / "small.py")),
        profile,
        RunFolder(run),
        threads=1,
        memory_bytes=2**28,
        stages=StageClock(),
        listener=silent,
    )
    return made, run


@pytest.fixture
def prepared(made: tuple[Prepared, Path]) -> Prepared:
    """The network, its compressor and its space."""
    return made[0]


@pytest.fixture
def folder(made: tuple[Prepared, Path], tmp_path: Path) -> RunFolder:
    """A run's folder before its first trial."""
    return RunFolder(shutil.copytree(made[1], tmp_path / "run"))


@pytest.fixture
def make_study(prepared: Prepared, folder: RunFolder) -> Callable[..., optuna.Study]:
    """Studies as a search begins them."""

    def make(**options: Any) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(directions=["minimize", "maximize"], **options)
        adopt_space(study, prepared.space, folder.path)
        groups = prepared.compressor.groups.values()
        multiple = prepared.compressor.channel_multiple
        record_layer_graph(study, find_layer_graph(prepared.network, groups, channel_multiple=multiple))
        return study

    return make


@pytest.fixture
def heard() -> list[Progress]:
    """What a listener was told; append is the listener."""
    return []


@pytest.fixture(autouse=True)
def quick_profiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few inferences: no test looks at how exact a share is."""
    for name, value in (("_REPEATS", 3), ("_WARM_UP_S", 0.01), ("_TIMED_S", 0.01)):
        monkeypatch.setattr(search.sweep.layer_profile, name, value)
