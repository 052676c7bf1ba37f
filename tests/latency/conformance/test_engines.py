"""What every engine must do. A new engine joins the list and passes as it is.

An engine whose runtime or GPU this machine lacks runs what must hold everywhere: it says what is missing, and nothing
else runs in its place. The rest runs for real where they are there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from latency.worker import ENGINES
from latency.worker.engine import Engine, EngineError

COMMON: dict[str, Any] = {"threads": 1, "spinning": True, "session_entries": {}}
SETTINGS: dict[str, dict[str, Any]] = {
    "onnxruntime": {"provider": "CPUExecutionProvider", **COMMON},
    "onnxruntime-cuda": {"provider": "CUDAExecutionProvider", **COMMON},
    "onnxruntime-tensorrt": {"provider": "TensorrtExecutionProvider", **COMMON},
    "tensorrt": {"provider": "TensorRT", **COMMON},
    "tensorrt-rtx": {"provider": "TensorRT-RTX", **COMMON},
}
RUNTIMES = {"tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt_rtx"}  # the others are ONNX Runtime
MISSING = {"runtime_missing", "provider", "accelerator_missing"}


def without_gpu(name: str) -> str | None:
    """Why an engine cannot run on any machine like this one; None for one that may."""
    if name == "onnxruntime":
        return None
    try:
        ENGINES[name].accelerator(0)
    except EngineError as error:
        return str(error)
    return None


MAY_RUN = [name for name in SETTINGS if without_gpu(name) is None]


@pytest.fixture(params=sorted(SETTINGS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engine(name: str) -> Iterator[Engine]:
    with contextlib.closing(ENGINES[name]()) as engine:
        yield engine


def what_is_missing(name: str, model: bytes, feeds: dict[str, np.ndarray]) -> EngineError | None:
    """Why the engine cannot run a model that it should be able to; None if it can."""
    with contextlib.closing(ENGINES[name]()) as engine:
        try:
            engine.load(model, SETTINGS[name])
            engine.bind(feeds)
        except EngineError as error:
            if error.kind in MISSING:
                return error
            raise
    return None


@pytest.mark.parametrize("absent", sorted(set(SETTINGS) - set(MAY_RUN)))
def test_engine_that_cannot_run_here_is_skipped_in_words(absent: str) -> None:
    """What follows runs for real where there is a GPU."""
    pytest.skip(f"{absent} cannot run on this machine: {without_gpu(absent)}")


@pytest.fixture(scope="module")
def lacks() -> dict[str, EngineError | None]:
    """What was found missing, by engine: asked once, since some runtimes take seconds to start."""
    return {}


@pytest.fixture
def present(name: str, lacks: dict[str, EngineError | None], baseline: bytes, feeds: dict[str, np.ndarray]) -> str:
    """The engine's name, where it can run."""
    if name not in lacks:
        lacks[name] = what_is_missing(name, baseline, feeds)
    if lacks[name] is not None:
        pytest.skip(f"{name} cannot run on this machine: {lacks[name]}")
    return name


@pytest.fixture
def loaded(engine: Engine, present: str, baseline: bytes, feeds: dict[str, np.ndarray]) -> Engine:
    engine.load(baseline, SETTINGS[present])
    engine.bind(feeds)
    return engine


def test_every_engine_is_under_test() -> None:
    assert set(SETTINGS) == set(ENGINES)


# What must hold everywhere.


_REMEDIES = ("install", "check what nvidia-smi", "correct device", "choose engine")


def test_missing_runtime_or_gpu_is_said_with_what_to_do(
    engine: Engine, name: str, baseline: bytes, feeds: dict[str, np.ndarray]
) -> None:
    """Either it runs on the provider that was asked for, or it says why not. Nothing runs in its place."""
    try:
        engine.load(baseline, SETTINGS[name])
        engine.bind(feeds)
    except EngineError as error:
        assert error.kind in MISSING  # noqa: PT017 - either way out is right, depending on the machine
        assert any(word in str(error) for word in _REMEDIES)  # noqa: PT017
        with pytest.raises(EngineError, match=r"no model is loaded|no inputs are bound"):
            engine.time(1)
    else:
        assert engine.describe()["provider"] == SETTINGS[name]["provider"]


def test_version_is_name_and_number_or_what_to_install(engine: Engine, name: str) -> None:
    try:
        words = engine.version().replace(",", "").split()
    except EngineError as error:
        assert error.kind == "runtime_missing"  # noqa: PT017 - either way out is right, depending on the machine
        assert "install" in str(error)  # noqa: PT017
        return
    assert words[0] == RUNTIMES.get(name, "onnxruntime")
    assert words[1][0].isdigit()


def test_accelerator_is_named_or_missing(engine: Engine, name: str) -> None:
    try:
        found = engine.accelerator(0)
    except EngineError as error:
        assert error.kind == "accelerator_missing"  # noqa: PT017 - either way out is right, depending on the machine
        return
    assert (found is None) == (name == "onnxruntime")


def test_other_provider_is_never_run_silently(engine: Engine, name: str, baseline: bytes) -> None:
    """A profile that asks one engine for the provider of another."""
    other = "CUDAExecutionProvider" if name != "onnxruntime-cuda" else "TensorrtExecutionProvider"
    with pytest.raises(EngineError, match=rf"asked for {other}, got ") as caught:
        engine.load(baseline, {**SETTINGS[name], "provider": other})
    assert caught.value.kind == "provider"


def test_nothing_runs_before_a_model_is_loaded(engine: Engine, feeds: dict[str, np.ndarray]) -> None:
    for ask in (
        lambda: engine.time(1),
        lambda: engine.bind(feeds),
        lambda: engine.infer(feeds),
        lambda: engine.layers(1),
        engine.describe,
    ):
        with pytest.raises(EngineError, match="no model is loaded") as caught:
            ask()
        assert caught.value.kind == "not_loaded"


def test_closing_what_was_never_loaded_is_harmless(engine: Engine) -> None:
    engine.close()
    engine.close()


# What must hold where it runs.

runs = pytest.mark.parametrize("name", MAY_RUN, indirect=True)


@runs
def test_times_are_whole_nanoseconds_one_row_an_inference(loaded: Engine) -> None:
    rows = loaded.time(7)
    assert len(rows) == 7
    for wall_ns, cpu_ns, switches in rows:
        assert isinstance(wall_ns, int)
        assert wall_ns > 0
        assert cpu_ns is None or cpu_ns >= 0
        assert switches is None or switches >= 0


@runs
def test_processor_time_is_told_where_the_processor_runs_it(loaded: Engine, name: str) -> None:
    assert all((row[1] is None) == (name != "onnxruntime") for row in loaded.time(3))


@runs
def test_outputs_come_by_name_and_repeat(loaded: Engine, feeds: dict[str, np.ndarray]) -> None:
    first, second = loaded.infer(feeds), loaded.infer(feeds)
    assert list(first) == ["y"]
    assert first["y"].shape == (1, 16)
    np.testing.assert_array_equal(first["y"], second["y"])


@runs
def test_outputs_are_the_networks(loaded: Engine, feeds: dict[str, np.ndarray]) -> None:
    """The baseline is one matrix product of these weights."""
    weights = np.random.default_rng(0).normal(size=(8, 16)).astype(np.float32)
    given = {"x": np.linspace(-1, 1, 8, dtype=np.float32).reshape(1, 8)}
    # TensorRT and CUDA may round the factors to ten bits of mantissa (TF32).
    np.testing.assert_allclose(loaded.infer(given)["y"], given["x"] @ weights, rtol=5e-3, atol=5e-3)
    np.testing.assert_allclose(loaded.infer(feeds)["y"], feeds["x"] @ weights, rtol=5e-3, atol=5e-3)


@runs
def test_description_names_what_really_runs(loaded: Engine, name: str) -> None:
    description = loaded.describe()
    assert description["provider"] == SETTINGS[name]["provider"]
    assert description["runtime"] == loaded.version()
    assert list(description["inputs"]) == ["x"]
    assert list(description["outputs"]) == ["y"]


@runs
def test_transfers_are_told_apart_where_there_are_any(loaded: Engine, name: str) -> None:
    transfers = loaded.describe().get("transfers_ms")
    if name == "onnxruntime":
        assert transfers is None
    else:
        assert set(transfers) == {"to_device", "to_host"}
        assert all(value > 0 for value in transfers.values())


@runs
def test_layers_have_times_and_kernels(loaded: Engine) -> None:
    rows = loaded.layers(5)
    assert rows
    for row in rows:
        assert set(row) == {"name", "operator", "kernel", "median_ns", "calls"}
        assert row["kernel"]
        assert row["median_ns"] >= 0
        assert row["calls"] > 0
    assert any("MatMul" in row["operator"] or row["name"].startswith("TRTKernel") for row in rows)


@runs
def test_layers_leave_time_and_outputs_as_they_were(loaded: Engine, feeds: dict[str, np.ndarray]) -> None:
    before = loaded.infer(feeds)["y"]
    loaded.layers(2)
    np.testing.assert_array_equal(loaded.infer(feeds)["y"], before)
    assert len(loaded.time(2)) == 2


@runs
def test_artifact_is_an_engine_where_one_was_built(loaded: Engine, name: str) -> None:
    built = loaded.artifact()
    if name in RUNTIMES:
        assert built is not None
        data, facts = built
        assert len(data) > 1000
        assert facts["kind"] == "tensorrt-engine"
        assert facts["runtime"] == loaded.version()
        assert facts["accelerator"] == loaded.accelerator(0)
    else:
        assert built is None


@runs
def test_model_that_does_not_load_is_refused(engine: Engine, present: str, broken_model: bytes) -> None:
    for model in (broken_model, b"not a model"):
        with pytest.raises(EngineError) as caught:
            engine.load(model, SETTINGS[present])
        assert caught.value.kind == "model_refused"


@runs
def test_refused_model_leaves_room_for_the_next(
    engine: Engine, present: str, baseline: bytes, broken_model: bytes, feeds: dict[str, np.ndarray]
) -> None:
    with pytest.raises(EngineError):
        engine.load(broken_model, SETTINGS[present])
    engine.load(baseline, SETTINGS[present])
    engine.bind(feeds)
    assert len(engine.time(1)) == 1


@runs
def test_wrong_inputs_are_refused_with_the_right_ones(loaded: Engine) -> None:
    with pytest.raises(EngineError, match=r"inputs are \['x'\], got \['z'\]"):
        loaded.bind({"z": np.ones((1, 8), np.float32)})


@runs
def test_options_that_are_none_are_refused(engine: Engine, present: str, baseline: bytes) -> None:
    with pytest.raises(EngineError, match="no_such_option") as caught:
        load_and_bind(engine, baseline, {**SETTINGS[present], "options": {"no_such_option": "1"}})
    assert caught.value.kind in {"settings", "model_refused"}


def load_and_bind(engine: Engine, model: bytes, settings: dict[str, Any]) -> None:
    engine.load(model, settings)
    engine.bind({"x": np.ones((1, 8), np.float32)})


@runs
def test_closed_engine_refuses_and_closes_again(loaded: Engine) -> None:
    loaded.close()
    loaded.close()
    with pytest.raises(EngineError, match="no model is loaded"):
        loaded.time(1)
