"""Compressed networks on a real GPU: they answer as on the processor, run where they should, and are timed there."""

from __future__ import annotations

import contextlib
import logging
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latency.worker import ENGINES
from latency.worker.cuda_driver import name_gpu, open_gpu
from latency.worker.engine import Engine, EngineError

try:
    name_gpu(0)
except EngineError as error:
    pytest.skip(f"no GPU on this machine: {error}", allow_module_level=True)

log = logging.getLogger(__name__)
PROVIDERS = {
    "onnxruntime-cuda": "CUDAExecutionProvider",
    "onnxruntime-tensorrt": "TensorrtExecutionProvider",
    "tensorrt": "TensorRT",
    "tensorrt-rtx": "TensorRT-RTX",
}
NETWORKS = ("fp32", "fp16", "int8", "mixed", "fp16-2_4", "int8-2_4")
QUANTIZED = ("int8", "mixed", "int8-2_4")
BY_LAYER = ("tensorrt", "tensorrt-rtx")
# How far answers may be from the processor's, in units of their standard deviation: TF32 and FP16 keep ten bits of
# mantissa, and a rounding to 8 bits that falls the other way moves on through the layers behind it.
TOLERANCE = {"fp32": 0.02, "fp16": 0.03, "fp16-2_4": 0.03, "int8": 0.15, "mixed": 0.15, "int8-2_4": 0.15}


def settings(name: str, **changes: Any) -> dict[str, Any]:
    # Without this entry ONNX Runtime quantizes biases, which its CUDA provider then leaves to the processor.
    entries = {"optimization.disable_specified_optimizers": "WeightBiasQuantization"}
    common = {"threads": 1, "spinning": True, "session_entries": entries}
    return {"provider": PROVIDERS[name], **common, **changes}


def load(name: str, models: Path, network: str, batch: int = 1, **changes: Any) -> Engine:
    """An engine with the network loaded and the first samples bound.

    Skips where the runtime is missing, does not have this GPU, or says that it cannot run all of an 8-bit network.
    """
    engine = ENGINES[name]()
    try:
        engine.load((models / f"{network}.onnx").read_bytes(), settings(name, **changes))
        engine.bind(samples(models, network, batch)[0])
    except EngineError as error:
        engine.close()
        partly = "not all of the network runs there" in str(error)
        if error.kind in {"runtime_missing", "accelerator_missing", "provider"} and (
            not partly or network in QUANTIZED
        ):
            pytest.skip(f"{name} cannot run here: {error}")
        raise
    except BaseException:
        engine.close()
        raise
    return engine


def samples(models: Path, network: str, batch: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The first inputs, and what the processor answers."""
    with np.load(models / f"{network}.npz") as file:
        arrays = {key: file[key][:batch] for key in file}
    parts = [{key.partition("/")[2]: a for key, a in arrays.items() if key.startswith(w)} for w in ("input", "output")]
    return parts[0], parts[1]


@pytest.fixture(params=PROVIDERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engine(name: str, models: Path) -> Iterator[Engine]:
    """The 8-bit network, or for CUDA the 16-bit one: its provider has no 8-bit kernels for it."""
    with contextlib.closing(load(name, models, "fp16" if name == "onnxruntime-cuda" else "int8")) as engine:
        yield engine


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("batch", [1, 4])
def test_answers_are_the_processors(name: str, models: Path, network: str, batch: int) -> None:
    with contextlib.closing(load(name, models, network, batch, sparse_weights="2_4" in network)) as engine:
        inputs, expected = samples(models, network, batch)
        found = engine.infer(inputs)
        assert set(found) == set(expected)
        for key, array in expected.items():
            difference = np.abs(found[key].astype(np.float64) - array).max() / array.std()
            assert difference <= TOLERANCE[network], f"{network} on {name}: off by {difference:.3f} deviations"


def test_time_is_the_gpus_and_within_the_wall_clocks(engine: Engine, name: str) -> None:
    engine.time(20)
    start = time.perf_counter_ns()
    rows = engine.time(200)
    elapsed_ns = time.perf_counter_ns() - start
    times = [row[0] or 0 for row in rows]
    log.info("%s: median %.1f µs, by the wall clock %.1f µs", name, statistics.median(times) / 1e3, elapsed_ns / 2e5)
    assert min(times) > 0
    assert sum(times) <= elapsed_ns
    assert all(row[1] is None for row in rows)


def test_two_networks_take_turns_in_one_process(name: str, models: Path) -> None:
    """Two engines in one process: each has a stream of its own, and each is timed alone."""
    with (
        contextlib.closing(load(name, models, "fp32")) as first,
        contextlib.closing(load(name, models, "fp16")) as other,
    ):
        before = first.infer(samples(models, "fp32", 1)[0])
        for _ in range(5):
            assert len(first.time(3)) == len(other.time(3)) == 3
        for key, array in first.infer(samples(models, "fp32", 1)[0]).items():
            np.testing.assert_array_equal(array, before[key])


def test_timed_inferences_write_the_outputs(name: str, models: Path) -> None:
    """Between the events the network runs, and not only its launch."""
    with contextlib.closing(load(name, models, "fp32")) as engine:
        engine.time(3)
        inputs, expected = samples(models, "fp32", 1)
        found = engine.infer(inputs)
        for key, array in expected.items():
            assert np.abs(found[key] - array).max() / array.std() <= TOLERANCE["fp32"]


def test_description_says_what_runs_where(engine: Engine, name: str, gpu: str) -> None:
    description = engine.describe()
    log.info("%s: %s", name, description)
    assert description["provider"] == PROVIDERS[name]
    assert description["accelerator"] == gpu
    assert 0 < description["transfers_ms"]["to_device"] < 1000
    assert 0 < description["transfers_ms"]["to_host"] < 1000
    if name.startswith("onnxruntime"):
        kernels = description["kernels"]
        assert sum(kernels[PROVIDERS[name]].values()) >= 1
        assert not {"Conv", "FusedConv", "Gemm", "MatMul"} & set(kernels.get("CPUExecutionProvider", {}))


def test_layers_tell_operators_and_kernels(engine: Engine, name: str) -> None:
    rows = engine.layers(30)
    whole_ns = statistics.median(row[0] or 0 for row in engine.time(100))
    log.info("%s: layers %.1f µs, whole %.1f µs", name, sum(row["median_ns"] for row in rows) / 1e3, whole_ns / 1e3)
    for row in rows:
        log.info("%s: %s", name, row)
    assert sum(row["median_ns"] for row in rows) > 0
    if name != "onnxruntime-tensorrt":  # whose rows are whole parts of the network
        assert any("Conv" in row["operator"] for row in rows)
    if name in BY_LAYER:
        assert any("Int8" in row["kernel"] for row in rows)


def test_network_that_the_processor_would_run_in_part_is_refused(models: Path, gpu: str) -> None:
    """ONNX Runtime's CUDA provider has no kernel for this one, and would hand it to the processor in silence."""
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [
            helper.make_node("DynamicQuantizeLinear", ["x"], ["q", "scale", "zero"], name="quantize"),
            helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["y"], name="dequantize"),
        ],
        "dynamic",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 256])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 256])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    with contextlib.closing(ENGINES["onnxruntime-cuda"]()) as engine:
        load("onnxruntime-cuda", models, "fp32").close()  # skips where CUDA is not there
        with pytest.raises(EngineError, match=r"not all of the network runs there: .*'quantize' on CPU") as caught:
            load_and_bind(engine, model, {"x": np.ones((4, 256), np.float32)})
        assert caught.value.kind == "provider"


def test_network_that_computes_a_shape_is_not_refused(models: Path, gpu: str) -> None:
    """Shapes are computed on the processor on purpose; that is no fall-back."""
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [
            helper.make_node("Shape", ["x"], ["shape"], name="shape"),
            helper.make_node("Gather", ["shape", "first"], ["batch"], name="batch"),
            helper.make_node("Concat", ["batch", "rest"], ["target"], name="target", axis=0),
            helper.make_node("Reshape", ["x", "target"], ["flat"], name="reshape"),
            helper.make_node("MatMul", ["flat", "w"], ["y"], name="product"),
        ],
        "shapes",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 16])],
        [
            numpy_helper.from_array(np.array([0], np.int64), "first"),
            numpy_helper.from_array(np.array([-1], np.int64), "rest"),
            numpy_helper.from_array(np.ones((32, 16), np.float32), "w"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    load("onnxruntime-cuda", models, "fp32").close()  # skips where CUDA is not there
    with contextlib.closing(ENGINES["onnxruntime-cuda"]()) as engine:
        load_and_bind(engine, model, {"x": np.ones((3, 4, 8), np.float32)})
        log.info("kernels: %s", engine.describe()["kernels"])
        np.testing.assert_allclose(engine.infer({"x": np.ones((3, 4, 8), np.float32)})["y"], 32, rtol=1e-3)


def load_and_bind(engine: Engine, model: bytes, inputs: dict[str, np.ndarray]) -> None:
    engine.load(model, settings("onnxruntime-cuda"))
    engine.bind(inputs)


def test_missing_libraries_are_named(models: Path, gpu: str) -> None:
    """Without CUDA's libraries ONNX Runtime goes on with the processor; the engine does not."""
    load("onnxruntime-cuda", models, "fp32").close()
    code = (
        "import sys, onnxruntime\n"
        "onnxruntime.preload_dlls = lambda: None\n"
        "sys.path.insert(0, sys.argv[3])\n"
        "import types; package = types.ModuleType('latency'); package.__path__ = [sys.argv[3] + '/latency']\n"
        "sys.modules['latency'] = package\n"
        "from latency.worker import ENGINES\n"
        "from latency.worker.engine import EngineError\n"
        "settings = {'provider': 'CUDAExecutionProvider', 'threads': 1, 'spinning': True, 'session_entries': {}}\n"
        "try:\n"
        "    ENGINES['onnxruntime-cuda']().load(open(sys.argv[1], 'rb').read(), settings)\n"
        "except EngineError as error:\n"
        "    print(error.kind, error)\n"
        "else:\n"
        "    print('loaded')\n"
    )
    root = Path(__file__).parents[3]
    arguments = [sys.executable, "-c", code, str(models / "fp32.onnx"), "-", str(root)]
    environment = {key: value for key, value in os.environ.items() if key not in {"LD_LIBRARY_PATH", "CUDA_PATH"}}
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=120, check=False)
    if "loaded" in done.stdout:
        pytest.skip("CUDA's libraries are on the system's own search path here")
    assert done.stdout.startswith("provider asked for CUDAExecutionProvider"), done.stdout + done.stderr
    assert "cannot open shared object file" in done.stdout
    assert "install onnxruntime-gpu" in done.stdout


@pytest.mark.parametrize("name", BY_LAYER)
def test_engine_is_built_once_and_kept(name: str, models: Path, tmp_path: Path) -> None:
    shared = {"built": str(tmp_path / "m.engine"), "timing_cache": str(tmp_path / "t.cache")}
    with contextlib.closing(load(name, models, "int8", **shared)) as first:
        built = first.artifact()
    stamp = (tmp_path / "m.engine").stat().st_mtime_ns
    with contextlib.closing(load(name, models, "int8", **shared)) as second:
        assert second.artifact() == built
        assert len(second.time(3)) == 3
    assert (tmp_path / "m.engine").stat().st_mtime_ns == stamp
    assert (tmp_path / "t.cache").stat().st_size > 0


def test_memory_on_the_gpu_is_given_back(name: str, models: Path) -> None:
    """As many models as a night has trials go through one worker."""
    import ctypes

    gpu = open_gpu(0)

    def free_bytes() -> int:
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        gpu.make_current()
        gpu._driver.call("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value

    try:
        load(name, models, "fp32").close()
        before = free_bytes()
        for _ in range(5):
            load(name, models, "fp32").close()
        assert before - free_bytes() < 64 << 20
    finally:
        gpu.close()
