"""What the GPU providers' engines do around a session: a real session over ordinary memory, and a fake driver's clock.

Only the place of memory differs from CUDA here; what a GPU alone can show is under ``tests/latency/gpu``.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latency.worker import blocking_launches, onnxruntime_tensorrt_engine
from latency.worker.cuda_driver import open_gpu
from latency.worker.engine import EngineError
from latency.worker.gpu_session import GpuSession, carries_data
from latency.worker.onnxruntime_cuda_engine import OnnxRuntimeCudaEngine
from latency.worker.onnxruntime_profile import KernelRun
from latency.worker.onnxruntime_session import import_onnxruntime
from latency.worker.onnxruntime_tensorrt_engine import OnnxRuntimeTensorRtEngine
from tests.latency.worker.fake_cuda import FakeCuda

SETTINGS: dict[str, Any] = {"provider": "CPUExecutionProvider", "threads": 1, "spinning": True, "session_entries": {}}


class OnMemory(GpuSession):
    """The same over the processor's provider and memory."""

    provider = "CPUExecutionProvider"
    memory = "cpu"


class Elsewhere(OnMemory):
    """Asks for a provider that runs none of the nodes, of a runtime that hides it."""

    def load(self, model_bytes: bytes, settings: dict[str, Any]) -> None:
        super().load(model_bytes, settings)
        self.provider = "CUDAExecutionProvider"


@pytest.fixture
def loaded(cuda: FakeCuda, baseline: bytes, feeds: dict[str, np.ndarray]) -> Iterator[OnMemory]:
    with contextlib.closing(OnMemory()) as engine:
        engine.load(baseline, SETTINGS)
        engine.bind(feeds)
        yield engine


@pytest.fixture
def elsewhere(cuda: FakeCuda, baseline: bytes) -> Iterator[Elsewhere]:
    with contextlib.closing(Elsewhere()) as engine:
        engine.load(baseline, SETTINGS)
        yield engine


def test_time_is_the_events_and_no_processor_time(loaded: OnMemory, cuda: FakeCuda) -> None:
    cuda.elapsed_ms = [0.25, 0.5]
    rows = loaded.time(2)
    assert [row[:2] for row in rows] == [[250_000, None], [500_000, None]]
    assert all(row[2] is None or row[2] >= 0 for row in rows)


def test_timed_inference_really_runs(loaded: OnMemory, cuda: FakeCuda, feeds: dict[str, np.ndarray]) -> None:
    cuda.elapsed_ms = [1.0]
    (output,) = loaded._bound().get_outputs()
    place, expected = output.data_ptr(), loaded.infer(feeds)["y"]
    output.update_inplace(np.zeros_like(expected))
    loaded.time(1)
    (again,) = loaded._bound().get_outputs()
    assert again.data_ptr() == place  # outputs stay where they are, so that nothing is allocated
    np.testing.assert_array_equal(again.numpy(), expected)


def test_description_tells_kernels_and_transfers(loaded: OnMemory) -> None:
    description = loaded.describe()
    assert description["kernels"] == {"CPUExecutionProvider": {"MatMul": 1}}
    assert description["accelerator"] == "NVIDIA Fake (8.9), driver for CUDA 13.1"
    assert set(description["transfers_ms"]) == {"to_device", "to_host"}
    assert description["settings"]["device"] == 0


def test_profile_of_the_first_run_leaves_no_file(
    cuda: FakeCuda, baseline: bytes, feeds: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with contextlib.closing(OnMemory()) as engine:
        engine.load(baseline, SETTINGS)
        assert len(list(tmp_path.rglob("first*.json"))) == 1
        engine.bind(feeds)
        assert list(tmp_path.iterdir()) == []  # a worker that is killed from now on leaves nothing


def test_inputs_can_be_bound_again(loaded: OnMemory, cuda: FakeCuda) -> None:
    loaded.bind({"x": np.zeros((3, 8), np.float32)})
    cuda.elapsed_ms = [1.0]
    loaded.time(1)
    assert loaded._bound().get_outputs()[0].shape() == [3, 16]
    assert loaded.describe()["kernels"] == {"CPUExecutionProvider": {"MatMul": 1}}


def test_node_elsewhere_is_an_error_that_names_it(
    elsewhere: Elsewhere, feeds: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latency.worker.gpu_session._FEW", 4)
    with pytest.raises(EngineError, match="asked for CUDAExecutionProvider, but not all of the network runs") as caught:
        elsewhere.bind(feeds)
    assert "MatMul '" in str(caught.value)
    assert "on CPUExecutionProvider" in str(caught.value)
    assert caught.value.kind == "provider"


def test_network_of_which_nothing_runs_there_is_an_error(elsewhere: Elsewhere, feeds: dict[str, np.ndarray]) -> None:
    with pytest.raises(EngineError, match="but no node runs there"):
        elsewhere.bind(feeds)


@pytest.mark.parametrize(
    ("outputs", "carries"),
    [
        ((("float", (1, 48, 28, 28)),), True),
        ((("int32", (1, 512)),), True),  # an accumulator
        ((("uint8", (128,)),), True),
        ((("int64", (4,)),), False),  # a shape
        ((("int64", (1, 512)),), False),  # positions
        ((("float", ()),), False),  # the scale of attention
        ((("bool", (1, 512)),), False),
        ((), False),
        ((("int64", (4,)), ("float16", (16, 16))), True),
    ],
)
def test_shapes_may_be_computed_elsewhere_data_may_not(outputs: Any, carries: bool) -> None:
    assert carries_data(KernelRun(0, "n", "K", "CPUExecutionProvider", outputs, 1)) is carries


@pytest.mark.parametrize("name", ["device_id", "user_compute_stream"])
def test_options_that_are_ours_are_refused(cuda: FakeCuda, baseline: bytes, name: str) -> None:
    with pytest.raises(EngineError, match=rf"the options \['{name}'\] are set by paretune") as caught:
        OnMemory().load(baseline, {**SETTINGS, "options": {name: "1"}})
    assert caught.value.kind == "settings"


def test_gpu_is_given_back_when_the_model_is_refused(cuda: FakeCuda) -> None:
    with pytest.raises(EngineError, match="does not load the model"):
        OnMemory().load(b"not a model", SETTINGS)
    assert cuda.calls.count("cuDevicePrimaryCtxRelease_v2") == 1


def test_layers_are_those_of_several_inferences(
    cuda: FakeCuda, baseline: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the process with blocking launches does, but for the variable that CUDA reads."""
    monkeypatch.setattr("latency.worker.blocking_launches.ENGINES", {"on-memory": OnMemory})
    (tmp_path / "model.onnx").write_bytes(baseline)
    np.savez(tmp_path / "inputs.npz", np.ones((1, 8), np.float32))
    request = {"engine": "on-memory", "settings": SETTINGS, "names": ["x"], "count": 4}
    (tmp_path / "request.json").write_text(json.dumps(request))
    blocking_launches.main(str(tmp_path))
    (row,) = json.loads((tmp_path / "answer.json").read_text())["rows"]
    assert (row["operator"], row["kernel"], row["calls"]) == ("MatMul", "MatMul", 1)
    assert row["median_ns"] >= 0


def test_process_that_times_nodes_tells_what_it_lacks(baseline: bytes, feeds: dict[str, np.ndarray]) -> None:
    settings = {**SETTINGS, "provider": "TensorrtExecutionProvider"}
    with pytest.raises(EngineError, match="asked for TensorrtExecutionProvider, got CUDAExecutionProvider") as caught:
        blocking_launches.time_nodes("onnxruntime-cuda", baseline, settings, feeds, 2)
    assert caught.value.kind == "provider"


def test_process_that_dies_is_reported(
    baseline: bytes, feeds: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocking_launches, "_PROGRAM", "import sys; sys.exit('no more memory')")
    with pytest.raises(EngineError, match="ended with 1: no more memory"):
        blocking_launches.time_nodes("onnxruntime-cuda", baseline, SETTINGS, feeds, 2)


def test_process_that_times_nodes_has_blocking_launches(
    baseline: bytes, feeds: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = (
        "import json, os, sys; from pathlib import Path;"
        "rows = [os.environ['CUDA_LAUNCH_BLOCKING'], sorted(p.name for p in Path(sys.argv[2]).iterdir())];"
        "(Path(sys.argv[2]) / 'answer.json').write_text(json.dumps({'rows': rows}))"
    )
    monkeypatch.setattr(blocking_launches, "_PROGRAM", program)
    found = blocking_launches.time_nodes("onnxruntime-cuda", baseline, SETTINGS, feeds, 2)
    assert found == ["1", ["inputs.npz", "model.onnx", "request.json"]]


@pytest.mark.parametrize("engine", [OnnxRuntimeCudaEngine, OnnxRuntimeTensorRtEngine])
def test_missing_package_is_said_before_the_missing_gpu(engine: type[GpuSession], baseline: bytes) -> None:
    if engine.provider in import_onnxruntime().get_available_providers():
        pytest.skip(f"onnxruntime-gpu is installed here, with {engine.provider}")
    with pytest.raises(EngineError, match=rf"asked for {engine.provider}, got .*install onnxruntime-gpu") as caught:
        engine().load(baseline, {**SETTINGS, "provider": engine.provider})
    assert caught.value.kind == "provider"


def test_tensorrt_provider_gets_what_the_models_formats_need(cuda: FakeCuda, tmp_path: Path, baseline: bytes) -> None:
    settings = {**SETTINGS, "timing_cache": str(tmp_path / "t.cache"), "built": str(tmp_path / "m.engine")}
    engine, gpu = OnnxRuntimeTensorRtEngine(), open_gpu(0)
    own = {"trt_builder_optimization_level": "5"}
    (name, options), (behind, _) = engine._providers(baseline, {**settings, "sparse_weights": True}, own, gpu)
    assert (name, behind) == ("TensorrtExecutionProvider", "CUDAExecutionProvider")
    assert {key: options[key] for key in ("trt_int8_enable", "trt_fp16_enable", "trt_sparsity_enable")} == {
        "trt_int8_enable": "0",
        "trt_fp16_enable": "0",
        "trt_sparsity_enable": "1",
    }
    assert Path(options["trt_timing_cache_path"]).parent == tmp_path
    assert options["trt_builder_optimization_level"] == "5"
    others = engine._providers(baseline + b"\n\x00", {**settings, "sparse_weights": False}, {}, gpu)[0][1]
    assert others["trt_engine_cache_path"] != options["trt_engine_cache_path"]  # another model, other engines
    assert Path(options["trt_engine_cache_path"]).is_dir()


def test_tensorrt_provider_lets_others_build_when_it_fails(tmp_path: Path, baseline: bytes) -> None:
    settings = {**SETTINGS, "provider": "TensorrtExecutionProvider", "built": str(tmp_path / "m.engine")}
    for _ in range(2):  # the second would wait for ever if the first still held the lock
        with pytest.raises(EngineError):
            OnnxRuntimeTensorRtEngine().load(b"not a model", settings)


def test_tensorrt_providers_timing_cache_is_one_file_for_us(cuda: FakeCuda, tmp_path: Path, baseline: bytes) -> None:
    """The provider keeps it in a folder, under the name of the kind of GPU."""
    cache = tmp_path / "timing.cache"
    cache.write_bytes(b"timings of before")
    settings = {**SETTINGS, "timing_cache": str(cache), "built": None, "sparse_weights": False}
    options = OnnxRuntimeTensorRtEngine()._providers(baseline, settings, {}, open_gpu(0))[0][1]
    (file,) = Path(options["trt_timing_cache_path"]).iterdir()
    assert (file.name, file.read_bytes()) == ("TensorrtExecutionProvider_cache_sm89.timing", b"timings of before")
    file.write_bytes(b"more timings")
    onnxruntime_tensorrt_engine._pack(str(cache))
    assert cache.read_bytes() == b"more timings"
