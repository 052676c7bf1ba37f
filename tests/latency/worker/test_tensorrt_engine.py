"""What the native engine does around TensorRT: order of calls, sentences for None and False, what is shared and freed.

Over a fake TensorRT and a fake driver; real ones are under ``tests/latency/gpu``.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from latency.worker.engine import EngineError
from latency.worker.tensorrt_engine import TensorRtEngine
from tests.latency.worker.fake_cuda import FakeCuda
from tests.latency.worker.fake_tensorrt import FakeTensorRt

SETTINGS: dict[str, Any] = {"provider": "TensorRT", "threads": 1, "spinning": True, "session_entries": {}}


@pytest.fixture
def trt(monkeypatch: pytest.MonkeyPatch) -> FakeTensorRt:
    fake = FakeTensorRt()
    monkeypatch.setitem(sys.modules, "tensorrt", fake)  # type: ignore[arg-type]
    return fake


@pytest.fixture
def engine(trt: FakeTensorRt, cuda: FakeCuda) -> Iterator[TensorRtEngine]:
    with contextlib.closing(TensorRtEngine()) as engine:
        yield engine


@pytest.fixture
def bound(engine: TensorRtEngine, feeds: dict[str, np.ndarray]) -> TensorRtEngine:
    engine.load(b"model", SETTINGS)
    engine.bind(feeds)
    return engine


def test_calls_come_in_tensorrts_order(bound: TensorRtEngine, trt: FakeTensorRt) -> None:
    assert trt.calls == [
        "Builder",
        "create_network",
        "parse",
        "create_builder_config",
        "set_shape ('x', (1, 8), (1, 8), (1, 8))",
        "add_optimization_profile",
        "build_serialized_network",
        "Runtime",
        "deserialize_cuda_engine",
        "create_execution_context",
        "set_input_shape",
        "infer_shapes",
        "set_tensor_address x",
        "set_tensor_address y",
        "execute_async_v3",
    ]


def test_model_of_fixed_shape_needs_no_profile(
    engine: TensorRtEngine, trt: FakeTensorRt, feeds: dict[str, np.ndarray]
) -> None:
    trt.shape = (1, 8)
    engine.load(b"model", SETTINGS)
    engine.bind(feeds)
    assert "add_optimization_profile" not in trt.calls


def test_time_is_that_between_events(bound: TensorRtEngine, cuda: FakeCuda) -> None:
    cuda.elapsed_ms = [0.5, 0.125]
    assert [row[:2] for row in bound.time(2)] == [[500_000, None], [125_000, None]]


def test_outputs_come_from_the_gpu_and_bound_inputs_return(bound: TensorRtEngine, cuda: FakeCuda) -> None:
    given = np.arange(8, dtype=np.float32).reshape(1, 8)
    np.testing.assert_array_equal(bound.infer({"x": given})["y"], 2 * given)
    cuda.elapsed_ms = [1.0]
    bound.time(1)
    context = bound._ready()
    after = np.empty((1, 8), np.float32)
    bound._open().download(after, context._addresses["y"])
    np.testing.assert_array_equal(after, np.full((1, 8), 2, np.float32))  # of the bound ones again


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"x": np.ones((2, 8), np.float32)}, r"built for input 'x' as float32 \(1, 8\), got float32 \(2, 8\)"),
        ({"x": np.ones((1, 8), np.float64)}, r"got float64 \(1, 8\); pass that, or bind other inputs"),
        ({"z": np.ones((1, 8), np.float32)}, r"inputs are \['x'\], got \['z'\]"),
    ],
)
def test_inference_of_other_inputs_is_refused(bound: TensorRtEngine, inputs: Any, words: str) -> None:
    with pytest.raises(EngineError, match=words) as caught:
        bound.infer(inputs)
    assert caught.value.kind == "inputs"


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"x": np.ones((1, 9), np.float32)}, r"input 'x' has shape \(-1, 8\) in the model, got \(1, 9\)"),
        ({"x": np.ones((8,), np.float32)}, r"input 'x' has shape \(-1, 8\) in the model, got \(8,\)"),
        ({"x": np.ones((1, 8), np.float64)}, r"input 'x' must be float32, got float64; convert it"),
        ({"z": np.ones((1, 8), np.float32)}, r"inputs are \['x'\], got \['z'\]"),
    ],
)
def test_inputs_that_do_not_fit_are_not_bound(engine: TensorRtEngine, inputs: Any, words: str) -> None:
    engine.load(b"model", SETTINGS)
    with pytest.raises(EngineError, match=words) as caught:
        engine.bind(inputs)
    assert caught.value.kind == "inputs"


@pytest.mark.parametrize(
    ("call", "answer", "kind", "words"),
    [
        ("Builder", TypeError("nullptr"), "runtime_refused", "did not make a builder: nullptr: Builder: out of luck"),
        ("create_network", None, "build", "did not make a network: create_network: out of luck"),
        ("parse", False, "model_refused", "11.4.0 does not parse the model: no plugin at Fancy 'layer1'; broken file"),
        ("create_builder_config", None, "build", "did not make a builder's configuration: create_builder_config"),
        ("add_optimization_profile", -1, "inputs", "refuses the input shapes {'x': (1, 8)}: add_optimization_profile"),
        ("build_serialized_network", None, "model_refused", "did not build the model: build_serialized_network: out"),
        ("Runtime", TypeError("nullptr"), "runtime_refused", "did not start: nullptr: Runtime: out of luck"),
        (
            "deserialize_cuda_engine",
            None,
            "runtime_refused",
            "did not load its engine on NVIDIA Fake (8.9), driver for CUDA 13.1: deserialize_cuda_engine: out of luck",
        ),
        ("create_execution_context", None, "runtime_refused", "did not make a context: create_execution_context"),
        ("set_input_shape", False, "inputs", "did not take shape (1, 8) for input 'x': set_input_shape"),
        ("infer_shapes", ["x"], "model_refused", "cannot tell all shapes from the inputs'; not specified: x"),
        ("infer_shapes", RuntimeError("no"), "model_refused", "did not infer shapes: no: infer_shapes: out of luck"),
        ("set_tensor_address y", False, "inference", "did not take an address for 'y': set_tensor_address y"),
        ("execute_async_v3", False, "inference", "did not run the engine: execute_async_v3: out of luck"),
    ],
)
def test_none_and_false_become_sentences_and_nothing_stays_on_the_gpu(
    trt: FakeTensorRt, cuda: FakeCuda, feeds: dict[str, np.ndarray], call: str, answer: Any, kind: str, words: str
) -> None:
    trt.fails[call] = answer
    engine = TensorRtEngine()
    with pytest.raises(EngineError) as caught:
        load_and_bind(engine, feeds)
    assert words in str(caught.value)
    assert caught.value.kind == kind
    engine.close()
    assert cuda.allocated == 0
    assert cuda.calls.count("cuStreamCreate") == cuda.calls.count("cuStreamDestroy_v2") == 1


def load_and_bind(engine: TensorRtEngine, feeds: dict[str, np.ndarray], **settings: Any) -> None:
    engine.load(b"model", {**SETTINGS, **settings})
    engine.bind(feeds)


def test_failure_while_timing_is_raised(bound: TensorRtEngine, trt: FakeTensorRt, cuda: FakeCuda) -> None:
    trt.fails["execute_async_v3"] = False
    cuda.elapsed_ms = [1.0]
    with pytest.raises(EngineError, match="did not run the engine"):
        bound.time(1)


def test_output_whose_shape_depends_on_values_is_refused(
    engine: TensorRtEngine, trt: FakeTensorRt, feeds: dict[str, np.ndarray]
) -> None:
    trt.output_shape = (-1, 8)
    with pytest.raises(EngineError, match=r"the shape \(-1, 8\) of output 'y' depends on the inputs' values"):
        load_and_bind(engine, feeds)


def test_type_that_numpy_lacks_is_refused(
    engine: TensorRtEngine, trt: FakeTensorRt, feeds: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trt, "nptype", lambda element: (_ for _ in ()).throw(TypeError(element)))
    with pytest.raises(EngineError, match="which numpy does not have"):
        load_and_bind(engine, feeds)


def test_workers_that_share_a_file_run_one_engine(
    trt: FakeTensorRt, cuda: FakeCuda, feeds: dict[str, np.ndarray], tmp_path: Path
) -> None:
    built = str(tmp_path / "model.engine")
    with contextlib.closing(TensorRtEngine()) as first, contextlib.closing(TensorRtEngine()) as second:
        load_and_bind(first, feeds, built=built)
        trt.calls.clear()
        load_and_bind(second, feeds, built=built)
        assert not {"parse", "build_serialized_network"} & set(trt.calls)
        artifact, facts = first.artifact() or (b"", {})
        assert artifact == b"engine of the network" == (second.artifact() or (b"",))[0]
    assert facts == {
        "kind": "tensorrt-engine",
        "runtime": "tensorrt 11.4.0",
        "accelerator": "NVIDIA Fake (8.9), driver for CUDA 13.1",
    }


@pytest.mark.parametrize(
    "change",
    [{"model": b"other"}, {"sparse_weights": True}, {"options": {"tf32": "0"}}, {"shape": (2, 8)}],
    ids=lambda change: next(iter(change)),
)
def test_engine_of_something_else_in_the_shared_file_is_not_taken(
    trt: FakeTensorRt, cuda: FakeCuda, tmp_path: Path, change: dict[str, Any]
) -> None:
    built = str(tmp_path / "model.engine")
    for changed in ({}, change):
        settings = {key: value for key, value in changed.items() if key in {"sparse_weights", "options"}}
        trt.calls.clear()
        with contextlib.closing(TensorRtEngine()) as engine:
            engine.load(changed.get("model", b"model"), {**SETTINGS, **settings, "built": built})
            engine.bind({"x": np.ones(changed.get("shape", (1, 8)), np.float32)})
        assert "build_serialized_network" in trt.calls


@pytest.mark.parametrize(("sparse", "flags"), [(True, ["SPARSE_WEIGHTS"]), (False, [])])
def test_builder_looks_for_sparse_weights_when_asked(
    engine: TensorRtEngine, trt: FakeTensorRt, feeds: dict[str, np.ndarray], sparse: bool, flags: list[str]
) -> None:
    load_and_bind(engine, feeds, sparse_weights=sparse)
    assert [flag.name for flag in trt.flags] == flags


def test_options_reach_the_builder(engine: TensorRtEngine, trt: FakeTensorRt, feeds: dict[str, np.ndarray]) -> None:
    load_and_bind(engine, feeds, options={"tf32": "0", "workspace_mib": "2"})
    assert trt.flags == [("without", trt.BuilderFlag.TF32)]
    assert f"WORKSPACE {2 << 20}" in trt.calls


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fp16": "1"}, "unknown option 'fp16' of the TensorRT builder; known: builder_optimization_level"),
        ({"tf32": "no"}, "option 'tf32' of the TensorRT builder must be a whole number, got 'no'"),
    ],
)
def test_option_that_is_none_is_refused(
    engine: TensorRtEngine, feeds: dict[str, np.ndarray], options: dict[str, str], words: str
) -> None:
    with pytest.raises(EngineError, match=words) as caught:
        load_and_bind(engine, feeds, options=options)
    assert caught.value.kind == "settings"


def test_timing_cache_is_read_and_grows(
    engine: TensorRtEngine, trt: FakeTensorRt, feeds: dict[str, np.ndarray], tmp_path: Path
) -> None:
    cache = tmp_path / "timing.cache"
    for _ in range(2):
        load_and_bind(engine, feeds, timing_cache=str(cache))
    assert trt.caches == [b"", b"+timings"]
    assert cache.read_bytes() == b"+timings+timings"


def test_timing_cache_of_another_gpu_is_replaced(
    engine: TensorRtEngine, trt: FakeTensorRt, feeds: dict[str, np.ndarray], tmp_path: Path
) -> None:
    trt.stale_cache = True
    (tmp_path / "timing.cache").write_bytes(b"of another GPU")
    load_and_bind(engine, feeds, timing_cache=str(tmp_path / "timing.cache"))
    assert trt.caches == [b"of another GPU", b""]
    assert (tmp_path / "timing.cache").read_bytes() == b"+timings"


def test_layers_carry_kernel_formats_and_operators(
    trt: FakeTensorRt, bound: TensorRtEngine, monkeypatch: pytest.MonkeyPatch, cuda: FakeCuda
) -> None:
    facts = type("Facts", (), {"operators": {"product": "MatMul"}})
    monkeypatch.setattr("latency.worker.tensorrt_engine.read_facts", lambda data: facts)
    pieces = cuda.allocated
    assert bound.layers(4) == [
        {
            "name": "double [product]",
            "operator": "MatMul",
            "kernel": "kgen twice (Float to Int8)",
            "median_ns": 750_000,
            "calls": 2,
        },
        {
            "name": "only a name",
            "operator": "only a name",
            "kernel": "not told by the engine",
            "median_ns": 125_000,
            "calls": 1,
        },
    ]
    assert cuda.allocated == pieces
    assert bound._ready().context.profiler is None  # what is timed is not profiled


def test_description_names_what_really_runs(bound: TensorRtEngine) -> None:
    description = bound.describe()
    assert description["provider"] == "TensorRT"
    assert description["runtime"] == "tensorrt 11.4.0"
    assert description["accelerator"].startswith("NVIDIA Fake")
    assert description["inputs"] == {"x": ["float32", [1, 8]]}
    assert description["outputs"] == {"y": ["float32", [1, 8]]}
    assert set(description["transfers_ms"]) == {"to_device", "to_host"}


def test_binding_again_frees_the_former_places(bound: TensorRtEngine, cuda: FakeCuda) -> None:
    bound.bind({"x": np.zeros((1, 8), np.float32)})
    assert cuda.allocated == 2


def test_closing_frees_once_and_refuses_afterwards(bound: TensorRtEngine, cuda: FakeCuda) -> None:
    bound.close()
    bound.close()
    assert cuda.allocated == 0
    assert cuda.calls.count("cuDevicePrimaryCtxRelease_v2") == 1
    with pytest.raises(EngineError, match="no model is loaded"):
        bound.time(1)


def test_nothing_runs_before_inputs_are_bound(engine: TensorRtEngine) -> None:
    engine.load(b"model", SETTINGS)
    for ask in (lambda: engine.time(1), engine.describe, engine.artifact, lambda: engine.layers(1)):
        with pytest.raises(EngineError, match="no inputs are bound"):
            ask()


def test_other_provider_is_never_replaced(engine: TensorRtEngine) -> None:
    with pytest.raises(EngineError, match="asked for CUDAExecutionProvider, got TensorRT") as caught:
        engine.load(b"model", {**SETTINGS, "provider": "CUDAExecutionProvider"})
    assert caught.value.kind == "provider"
