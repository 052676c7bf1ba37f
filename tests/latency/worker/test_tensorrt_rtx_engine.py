"""What TensorRT-RTX does otherwise than TensorRT: kernels are compiled on the device, and kept."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latency.worker.engine import EngineError
from latency.worker.tensorrt_rtx_engine import TensorRtRtxEngine
from tests.latency.worker.fake_cuda import FakeCuda
from tests.latency.worker.fake_tensorrt import FakeTensorRtRtx

SETTINGS: dict[str, Any] = {"provider": "TensorRT-RTX", "threads": 1, "spinning": True, "session_entries": {}}


@pytest.fixture
def trt(monkeypatch: pytest.MonkeyPatch) -> FakeTensorRtRtx:
    fake = FakeTensorRtRtx()
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", fake)  # type: ignore[arg-type]
    return fake


@pytest.fixture
def engine(trt: FakeTensorRtRtx, cuda: FakeCuda) -> Iterator[TensorRtRtxEngine]:
    with contextlib.closing(TensorRtRtxEngine()) as engine:
        yield engine


def load_and_bind(engine: TensorRtRtxEngine, feeds: dict[str, np.ndarray], **settings: Any) -> None:
    engine.load(b"model", {**SETTINGS, **settings})
    engine.bind(feeds)


def test_kernels_are_final_before_the_first_sample(
    engine: TensorRtRtxEngine, trt: FakeTensorRtRtx, feeds: dict[str, np.ndarray]
) -> None:
    """Left to itself the runtime compiles better ones in the background, and times would drift."""
    load_and_bind(engine, feeds)
    (config,) = trt.configs
    assert config.dynamic_shapes_kernel_specialization_strategy is trt.DynamicShapesKernelSpecializationStrategy.EAGER


def test_compiled_kernels_are_kept_and_found(
    engine: TensorRtRtxEngine, trt: FakeTensorRtRtx, feeds: dict[str, np.ndarray], tmp_path: Path
) -> None:
    path = str(tmp_path / "timing.cache")
    load_and_bind(engine, feeds, timing_cache=path)
    assert (trt.deserialized, Path(path).read_bytes()) == ([], b"compiled kernels")
    load_and_bind(engine, feeds, timing_cache=path)
    assert trt.deserialized == [b"compiled kernels"]


def test_there_is_no_timing_cache_and_the_description_says_so(
    engine: TensorRtRtxEngine, trt: FakeTensorRtRtx, feeds: dict[str, np.ndarray], tmp_path: Path
) -> None:
    path = str(tmp_path / "timing.cache")
    load_and_bind(engine, feeds, timing_cache=path)
    assert trt.caches == []
    assert engine.describe()["cache"].startswith(f"compiled kernels in {path}; TensorRT-RTX times no kernels")


@pytest.mark.parametrize("call", ["deserialize_cuda_engine", "create_execution_context"])
def test_gpu_that_it_does_not_know_is_said_so(
    engine: TensorRtRtxEngine,
    trt: FakeTensorRtRtx,
    cuda: FakeCuda,
    feeds: dict[str, np.ndarray],
    call: str,
) -> None:
    trt.fails[call] = None
    with pytest.raises(EngineError, match="TensorRT did not") as caught:
        load_and_bind(engine, feeds)
    assert caught.value.kind == "runtime_refused"  # this one is known: the reason is another
    cuda.capability = (9, 0)
    with pytest.raises(
        EngineError, match=r"tensorrt_rtx 1\.7\.1 has kernels for SM86, SM89, this GPU is SM90; choose engine"
    ) as caught:
        load_and_bind(engine, feeds)
    assert caught.value.kind == "accelerator_missing"


def test_runtime_cache_that_is_refused_is_an_error(
    engine: TensorRtRtxEngine, trt: FakeTensorRtRtx, feeds: dict[str, np.ndarray], tmp_path: Path
) -> None:
    trt.fails["set_runtime_cache"] = False
    with pytest.raises(EngineError, match="did not take a runtime cache: set_runtime_cache: out of luck"):
        load_and_bind(engine, feeds, timing_cache=str(tmp_path / "timing.cache"))


@pytest.mark.parametrize(("capability", "asked"), [((8, 9), ["SM89"]), ((9, 0), [])])
def test_engine_is_built_for_the_gpu_that_is_there(
    engine: TensorRtRtxEngine,
    trt: FakeTensorRtRtx,
    cuda: FakeCuda,
    feeds: dict[str, np.ndarray],
    capability: tuple[int, int],
    asked: list[str],
) -> None:
    cuda.capability = capability
    load_and_bind(engine, feeds)
    assert [call.split()[1] for call in trt.calls if call.startswith("set_compute_capability")] == asked


def test_it_times_as_tensorrt_does(engine: TensorRtRtxEngine, cuda: FakeCuda, feeds: dict[str, np.ndarray]) -> None:
    load_and_bind(engine, feeds)
    cuda.elapsed_ms = [0.5]
    assert engine.time(1)[0][:2] == [500_000, None]
    np.testing.assert_array_equal(engine.infer(feeds)["y"], 2 * feeds["x"])
