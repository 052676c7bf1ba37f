"""The real LoadGen drives an engine in this process, and nothing that the engine does can bring LoadGen down."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from latency.worker.engine import EngineError
from latency.worker.loadgen import run_loadgen

pytest.importorskip("mlperf_loadgen", reason="MLCommons' LoadGen is not installed")

SETTINGS: dict[str, Any] = {
    "scenario": "single-stream",
    "seconds": 0.2,
    "min_queries": 5,
    "batch": 1,
    "expected_s": 0.001,
    "qps": 200.0,
    "target_latency_s": 1.0,
    "percentile": 0.9,
}


class Counter:
    """An engine that counts its inferences, and fails at one of them."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.inferences = 0
        self.threads: set[int] = set()
        self._fails_at = fails_at

    def time(self, count: int) -> list[list[int | None]]:
        self.threads.add(threading.get_ident())
        self.inferences += count
        if self._fails_at is not None and self.inferences >= self._fails_at:
            raise EngineError("the board was unplugged", kind="gone")
        threading.Event().wait(0.001)
        return [[1_000_000, None, None]] * count


def run(engine: Counter, folder: Path, **changes: Any) -> dict[str, Any]:
    return run_loadgen(engine, str(folder / "logs"), {**SETTINGS, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("scenario", ["single-stream", "offline", "server"])
def test_every_scenario_runs_on_the_thread_that_holds_the_engine(tmp_path: Path, scenario: str) -> None:
    engine = Counter()
    answer = run(engine, tmp_path, scenario=scenario)
    assert answer["inferences"] == engine.inferences >= 5
    assert engine.threads == {threading.get_ident()}
    assert "Result is" in answer["summary"]
    assert answer["version"].startswith("mlcommons-loadgen ")
    assert list((tmp_path / "logs").iterdir()) == [], "logs are removed"


def test_a_batch_answers_several_samples(tmp_path: Path) -> None:
    engine = Counter()
    answer = run(engine, tmp_path, scenario="offline", batch=8)
    samples = int(answer["summary"].split("samples_per_query : ")[1].split()[0])
    assert engine.inferences == -(-samples // 8)


@pytest.mark.parametrize("scenario", ["single-stream", "offline", "server"])
def test_an_engine_that_fails_ends_the_run_with_its_own_error(tmp_path: Path, scenario: str) -> None:
    engine = Counter(fails_at=3)
    with pytest.raises(EngineError, match="the board was unplugged"):
        run(engine, tmp_path, scenario=scenario)
    assert engine.inferences == 3, "no inference is tried after one that failed"
    assert run(Counter(), tmp_path)["inferences"] >= 5, "LoadGen can run again"


def test_an_unknown_scenario_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="no scenario 'multi-stream' here; known: single-stream, offline, server"):
        run(Counter(), tmp_path, scenario="multi-stream")


def test_without_loadgen_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlperf_loadgen", None)
    with pytest.raises(EngineError, match="pip install mlcommons-loadgen") as caught:
        run(Counter(), tmp_path)
    assert caught.value.kind == "loadgen_missing"
