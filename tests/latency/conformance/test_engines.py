"""What every engine must do. A new engine joins the list and passes as it is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from latency.worker import ENGINES
from latency.worker.engine import Engine, EngineError

SETTINGS: dict[str, dict[str, Any]] = {
    "onnxruntime": {"provider": "CPUExecutionProvider", "threads": 1, "spinning": True, "session_entries": {}},
}


def test_every_engine_is_under_test() -> None:
    assert set(SETTINGS) == set(ENGINES)


@pytest.fixture(params=sorted(SETTINGS))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def engine(name: str) -> Engine:
    return ENGINES[name]()


@pytest.fixture
def loaded(engine: Engine, name: str, baseline: bytes, feeds: dict[str, np.ndarray]) -> Engine:
    engine.load(baseline, SETTINGS[name])
    engine.bind(feeds)
    return engine


def test_version_is_name_and_number(engine: Engine, name: str) -> None:
    runtime, number = engine.version().split()
    assert runtime == name
    assert number[0].isdigit()


def test_times_are_whole_nanoseconds_one_row_an_inference(loaded: Engine) -> None:
    rows = loaded.time(7)
    assert len(rows) == 7
    for wall_ns, cpu_ns, switches in rows:
        assert isinstance(wall_ns, int)
        assert wall_ns > 0
        assert cpu_ns is None or cpu_ns >= 0
        assert switches is None or switches >= 0


def test_outputs_come_by_name_and_repeat(loaded: Engine, feeds: dict[str, np.ndarray]) -> None:
    first, second = loaded.infer(feeds), loaded.infer(feeds)
    assert list(first) == ["y"]
    assert first["y"].shape == (1, 16)
    np.testing.assert_array_equal(first["y"], second["y"])


def test_description_names_what_really_runs(loaded: Engine, name: str) -> None:
    description = loaded.describe()
    assert description["provider"] == SETTINGS[name]["provider"]
    assert description["runtime"] == loaded.version()
    assert list(description["inputs"]) == ["x"]
    assert list(description["outputs"]) == ["y"]


def test_model_that_does_not_load_is_refused(engine: Engine, name: str, broken_model: bytes) -> None:
    for model in (broken_model, b"not a model"):
        with pytest.raises(EngineError) as caught:
            engine.load(model, SETTINGS[name])
        assert caught.value.kind == "model_refused"


def test_wrong_inputs_are_refused_with_the_right_ones(loaded: Engine) -> None:
    with pytest.raises(EngineError, match=r"inputs are \['x'\], got \['z'\]"):
        loaded.bind({"z": np.ones((1, 8), np.float32)})


def test_provider_that_cannot_run_is_never_replaced_silently(engine: Engine, name: str, baseline: bytes) -> None:
    with pytest.raises(EngineError, match=r"asked for CUDAExecutionProvider, got .*install onnxruntime-gpu") as caught:
        engine.load(baseline, {**SETTINGS[name], "provider": "CUDAExecutionProvider"})
    assert caught.value.kind == "provider"


def test_closed_engine_refuses_and_closes_again(loaded: Engine) -> None:
    loaded.close()
    loaded.close()
    with pytest.raises(EngineError, match="no model is loaded"):
        loaded.time(1)
