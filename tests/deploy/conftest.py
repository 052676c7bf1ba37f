"""A real bundle of a tiny network: built, measured and exported once, copied for every test."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.network import load_network
from compress.policy import INT8, Policy
from compress.statistics.calibration import calibrate
from compress.statistics.calibration_file import save_calibration
from deploy.export import write_bundle_files
from deploy.exportable import Exportable, figure_of
from deploy.manifest import AccuracyFacts, AccuracyFigure, Recipe, TargetFacts, WorkloadFacts
from deploy.promises import Budgets
from deploy.reapply import apply_policy
from deploy.remeasure import Remeasured, Timed, remeasure
from hwprofiles import load_profile
from latency import Effort
from workloads import Workload, evaluate, load, onnx_predictor, paired_drop

QUICK = Effort(target_half_width=1.0, seconds_per_process=0.05, max_passes=1, max_seconds=10.0)

WORKLOAD = """
import numpy as np

def _inputs(count, seed):
    return np.random.default_rng(seed).normal(size=(count, 3, 24, 24)).astype(np.float32)

def model():
    return "net.onnx"

def calibration():
    yield {"x": _inputs(16, 1)}

def validation():
    for seed in (2, 3):
        yield {"x": _inputs(32, seed)}, np.load(__file__.replace("tiny.py", f"targets-{seed}.npy"))

def metric(outputs, targets):
    return (outputs.argmax(axis=1) == targets).astype(float)
"""


def network_bytes() -> bytes:
    """A convolution, another one, and a classifier; large enough that 8 bits are faster."""
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
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 24, 24])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def write_workload(folder: Path) -> Path:
    """A workload file whose targets are FP32's own answers."""
    import onnxruntime

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "net.onnx").write_bytes(network_bytes())
    session = onnxruntime.InferenceSession(network_bytes(), providers=["CPUExecutionProvider"])
    for seed in (2, 3):
        inputs = np.random.default_rng(seed).normal(size=(32, 3, 24, 24)).astype(np.float32)
        np.save(folder / f"targets-{seed}.npy", session.run(None, {"x": inputs})[0].argmax(axis=1))
    path = folder / "tiny.py"
    path.write_text(WORKLOAD)
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
        patch.setattr("deploy.remeasure.EFFORT", QUICK)
        patch.setattr("latency.grading._WIDEST", 10.0)
        yield


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Take few samples and believe them: a busy machine must not decide a test."""
    with _shortened():
        yield


@pytest.fixture(scope="session")
def workload_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_workload(tmp_path_factory.mktemp("user"))


@pytest.fixture(scope="session")
def workload(workload_file: Path) -> Workload:
    before = list(sys.path)
    loaded = load(workload_file)
    sys.path[:] = before
    return loaded


@pytest.fixture(scope="session")
def measured(point_before: Exportable) -> Remeasured:
    """The tiny network's latency, really measured."""
    timed = Timed(
        model=point_before.onnx_bytes,
        session_entries=point_before.session_entries,
        fp32=point_before.fp32,
        feeds=point_before.feeds,
    )
    with _shortened():
        return remeasure(point_before.profile, timed)


@pytest.fixture(scope="session")
def point_before(workload: Workload, tmp_path_factory: pytest.TempPathFactory) -> Exportable:
    """What there is to export but for its latency, which stands in it as 1 ms and twice as fast."""
    profile = load_profile("local-cpu")
    network = load_network(Path(workload.network()), workload.calibration[0])
    statistics = calibrate(network, workload.calibration)
    path = tmp_path_factory.mktemp("calibration") / "calibration.npz"
    save_calibration(statistics, path)
    recipe = Recipe(
        int8_scheme="u8s8",
        formats=("fp32", "int8"),
        channel_multiple=8,
        weight_block_size=32,
        weight_only_compute="float",
        range_method="minmax",
        calibration_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        example_shapes={name: array.shape for name, array in workload.calibration[0].items()},
        example_dtypes={name: array.dtype.name for name, array in workload.calibration[0].items()},
    )
    candidate = apply_policy(
        Policy.uniform([layer.name for layer in network.layers], INT8), recipe, network, statistics
    )
    feeds, _ = next(workload.search_part.batches(1))
    fp32 = evaluate(onnx_predictor(network.onnx_bytes), workload.confirmation_part, workload.metric).accuracy
    predict = onnx_predictor(candidate.onnx_bytes, session_entries=candidate.session_entries)
    accuracy = evaluate(predict, workload.confirmation_part, workload.metric).accuracy
    drop = paired_drop(fp32, accuracy)
    from hwprofiles import detect_machine
    from latency.measurement import Measurement  # noqa: F401 - the value that passes are made of
    from latency.worker.onnxruntime_engine import OnnxRuntimeEngine

    machine = detect_machine()
    return Exportable(
        name="tiny",
        trial=3,
        onnx_bytes=candidate.onnx_bytes,
        policy=candidate.policy,
        policy_summary="all 8-bit",
        session_entries=candidate.session_entries,
        fp32=network.onnx_bytes,
        feeds=feeds,
        profile=profile,
        target=TargetFacts(
            name=profile.name,
            summary=profile.summary,
            device=f"{machine.cpu}, 1 thread",
            runtime=OnnxRuntimeEngine.version(),
            hardware_id=machine.hardware_id,
            engine=profile.engine,
            machine={"cpu": machine.cpu},
        ),
        workload=WorkloadFacts(
            name=workload.name,
            origin=workload.origin,
            digest=workload.digest,
            metric=workload.metric.name,
            metric_is_fraction=True,
            samples=len(workload.confirmation_part),
        ),
        fp32_ms=1.0,
        confirmed=figure_from(0.5, 0.4, 0.6),
        passes=(),
        accuracy=AccuracyFacts(
            batch_size=16,
            confirmed=AccuracyFigure(
                metric=accuracy.value,
                drop=drop.value,
                drop_low=drop.low,
                drop_high=drop.high,
                samples=accuracy.count,
            ),
        ),
        recipe=recipe,
        calibration=path.read_bytes(),
        engine=None,
        versions={"onnxruntime": OnnxRuntimeEngine.version()},
    )


def figure_from(ratio: float, low: float, high: float) -> Any:
    """A latency of these ratios, where FP32 takes 1 ms."""
    from deploy.manifest import LatencyFigure

    return LatencyFigure(
        ratio=ratio, ratio_low=low, ratio_high=high, ms=ratio, ms_low=low, ms_high=high, grade="clean", lines=()
    )


@pytest.fixture(scope="session")
def point(point_before: Exportable, measured: Remeasured) -> Exportable:
    """What there is to export, its confirmed latency as this machine really has it."""
    from dataclasses import replace

    fp32_ms = measured.whole.baseline_ms
    confirmed = figure_of(measured.whole, fp32_ms, range(len(measured.passes)))
    # As wide as on a busy machine: chance must not decide a test.
    wide = confirmed.model_copy(
        update={
            "ratio_low": confirmed.ratio * 0.6,
            "ratio_high": confirmed.ratio * 1.7,
            "ms_low": confirmed.ms * 0.6,
            "ms_high": confirmed.ms * 1.7,
        }
    )
    return replace(point_before, fp32_ms=fp32_ms, confirmed=wide, passes=measured.passes)


@pytest.fixture(scope="session")
def original(point: Exportable, measured: Remeasured, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original") / "bundle"
    write_bundle_files(point, measured, folder, {}, budgets=Budgets())
    return folder


@pytest.fixture
def bundle(original: Path, tmp_path: Path) -> Path:
    """A bundle to do with as one likes."""
    return Path(shutil.copytree(original, tmp_path / "bundle"))


@pytest.fixture
def edit(bundle: Path) -> Callable[..., None]:
    """Change the manifest's values by dotted name; with `rehash`, make the listed files those that lie there."""

    def change(*, rehash: bool = False, **values: Any) -> None:
        path = bundle / "manifest.json"
        manifest = json.loads(path.read_text())
        for name, value in values.items():
            *parents, last = name.split("__")
            place = manifest
            for parent in parents:
                place = place[parent]
            place[last] = value
        if rehash:
            for name in manifest["files"]:
                data = (bundle / name).read_bytes()
                manifest["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
            manifest["digest"] = manifest["files"]["model.onnx"]["sha256"]
            manifest["fp32_digest"] = manifest["files"]["fp32.onnx"]["sha256"]
        path.write_text(json.dumps(manifest))

    return change
