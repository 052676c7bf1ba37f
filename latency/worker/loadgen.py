"""MLCommons' LoadGen beside the engine, in one process: it asks, the engine answers, and it alone keeps the time."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latency.worker.engine import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from latency.worker.engine import Engine

_SCENARIOS = {"single-stream": "SingleStream", "offline": "Offline", "server": "Server"}
_SUMMARY = "mlperf_log_summary.txt"
_NS_PER_S = 1e9
_LONGEST = 20  # a run may take this many times the time it was asked for before LoadGen ends it
_SURELY_FASTER = 0.5  # LoadGen makes up its queries beforehand, and runs out of them if inferences are faster than told


def run_loadgen(engine: Engine, folder: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Drives the engine with its bound inputs through one performance run.

    A query is one sample; an inference answers as many of a query's samples as the engine's batch holds, and at least
    one query. LoadGen calls the engine on the thread that started it, in all scenarios, so nothing is handed from
    thread to thread. What it costs to ask and to answer is about 10 µs a sample, which counts for LoadGen as latency.

    Args:
        engine: a loaded engine with bound inputs.
        folder: where LoadGen may write its logs; it is made, and they are removed.
        settings: ``scenario``, ``seconds``, ``min_queries``, ``batch`` (samples that an inference answers),
            ``expected_s`` (about how long an inference takes), ``qps`` and ``target_latency_s`` (of the server
            scenario), ``percentile`` (in (0, 1), which LoadGen's verdict is about).

    Returns:
        ``summary``, the text of LoadGen's own summary, ``version`` and ``inferences``.

    Raises:
        EngineError: LoadGen is not installed, does not know the scenario or wrote no summary; or the engine failed.
    """
    loadgen = _import_loadgen()
    Path(folder).mkdir(exist_ok=True)
    answering = _Answering(engine, loadgen, int(settings["batch"]))
    sut = loadgen.ConstructSUT(answering.issue, _nothing)
    library = loadgen.ConstructQSL(1, 1, _nothing, _nothing)  # the one sample is bound already
    collecting = gc.isenabled()
    gc.disable()  # as where we time; a query of many samples would have it run all the time
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix="loadgen-") as logs:
            loadgen.StartTestWithLogSettings(sut, library, _test(loadgen, settings), _logs(loadgen, logs), "")
            path = Path(logs) / _SUMMARY
            summary = path.read_text() if path.exists() else ""
    finally:
        if collecting:
            gc.enable()
        loadgen.DestroyQSL(library)
        loadgen.DestroySUT(sut)
    if answering.error is not None:
        raise answering.error
    if "Result is" not in summary:
        msg = f"LoadGen wrote no result into {folder!r}, but {summary[:200]!r}; is the disk full?"
        raise EngineError(msg, kind="loadgen")
    return {"summary": summary, "version": _version(), "inferences": answering.inferences}


class _Answering:
    """Answers LoadGen's queries. An exception must not pass through its native code, so the first one is kept."""

    def __init__(self, engine: Engine, loadgen: Any, batch: int) -> None:
        self.error: Exception | None = None
        self.inferences = 0
        self._engine = engine
        self._batch = batch
        self._complete = loadgen.QuerySamplesComplete
        self._response = loadgen.QuerySampleResponse

    def issue(self, samples: list[Any]) -> None:
        """One query: all of its samples, in as many inferences as they take."""
        for start in range(0, len(samples), self._batch):
            if self.error is None:
                try:
                    self._engine.time(1)
                    self.inferences += 1
                except Exception as error:
                    self.error = error
            answered = samples[start : start + self._batch]
            self._complete([self._response(sample.id, 0, 0) for sample in answered])


def _test(loadgen: Any, asked: Mapping[str, Any]) -> Any:
    scenario = asked["scenario"]
    if scenario not in _SCENARIOS:
        msg = f"LoadGen has no scenario '{scenario}' here; known: {', '.join(_SCENARIOS)}"
        raise EngineError(msg, kind="loadgen")
    settings = loadgen.TestSettings()
    settings.scenario = getattr(loadgen.TestScenario, _SCENARIOS[scenario])
    settings.mode = loadgen.TestMode.PerformanceOnly
    settings.min_duration_ms = max(1, round(1000 * asked["seconds"]))
    settings.max_duration_ms = _LONGEST * settings.min_duration_ms
    settings.min_query_count = asked["min_queries"]
    settings.single_stream_expected_latency_ns = max(1, round(_SURELY_FASTER * asked["expected_s"] * _NS_PER_S))
    settings.single_stream_target_latency_percentile = asked["percentile"]
    settings.offline_expected_qps = asked["batch"] / asked["expected_s"]
    settings.server_target_qps = asked["qps"]
    settings.server_target_latency_ns = max(1, round(asked["target_latency_s"] * _NS_PER_S))
    settings.server_target_latency_percentile = asked["percentile"]
    return settings


def _logs(loadgen: Any, folder: str) -> Any:
    output = loadgen.LogOutputSettings()
    output.outdir = folder
    output.copy_summary_to_stdout = False
    settings = loadgen.LogSettings()
    settings.log_output = output
    settings.enable_trace = False
    return settings


def _import_loadgen() -> Any:
    try:
        import mlperf_loadgen  # type: ignore[import-not-found] # a module without types, and not everywhere
    except ImportError as error:
        msg = (
            f"MLCommons' LoadGen cannot be imported on the target ({error}); "
            "install it there, for the Python that the worker runs with: pip install mlcommons-loadgen"
        )
        raise EngineError(msg, kind="loadgen_missing") from error
    return mlperf_loadgen


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    for package in ("mlcommons-loadgen", "mlperf-loadgen"):
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            continue
    return "LoadGen of an unknown version"


def _nothing(*_samples: Any) -> None:
    """What LoadGen asks for and nobody needs: loading samples, and flushing queries."""
