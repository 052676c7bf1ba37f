"""Where this host's kernels say what the target's will be; and how far a candidate is evaluated."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from compress.formats.scheme import SCHEMES
from compress.network import load_network
from compress.policy import FORMATS, Policy
from compress.statistics.calibration import calibrate
from compress.stitch import Compressor
from hwprofiles import HardwareProfile, Machine
from search.stages import StageClock
from search.study.partial import PartialOutcome
from search.study.trials import Outcome
from search.trial.evaluate import Evaluator, has_same_kernels
from search.trial.pace import Pace
from search.trial.rivals import Rival, Rivals
from search.trial.stopping import Watch
from search.trial.validation import validate_fp32
from tests.search.conftest import network
from workloads import Metric, Samples, in_fair_order

HOST = Machine(
    cpu="A", architecture="x86_64", flags=("avx2",), physical_cores=4, logical_cores=8, memory_bytes=1, os="Linux 1",
    python="3.11",
)  # fmt: skip


@pytest.mark.parametrize(
    ("reach", "engine", "architecture", "expected"),
    [
        ({"transport": "local"}, {"name": "onnxruntime"}, "x86_64", True),
        ({"transport": "ssh", "host": "server"}, {"name": "onnxruntime"}, "x86_64", True),
        ({"transport": "ssh", "host": "pi"}, {"name": "onnxruntime"}, "aarch64", False),
        ({"transport": "emulated"}, {"name": "onnxruntime"}, "aarch64", False),
        ({"transport": "local"}, {"name": "onnxruntime-cuda"}, "x86_64", False),
        ({"transport": "local"}, {"name": "tensorrt"}, "x86_64", False),
        ({"transport": "local"}, {"provider": "XnnpackExecutionProvider"}, "x86_64", False),
    ],
)
def test_only_the_same_engine_on_the_same_architecture_has_the_same_kernels(
    profile: HardwareProfile, reach: dict[str, Any], engine: dict[str, Any], architecture: str, expected: bool
) -> None:
    target = HardwareProfile.model_validate({**profile.model_dump(), "reach": reach, "engine": engine})
    assert has_same_kernels(target, dataclasses.replace(HOST, architecture=architecture), HOST) is expected


@dataclass(frozen=True)
class Measured:
    """What of a measurement a search reads."""

    ratio: float
    grade: str = "clean"
    reason: str = ""
    baseline_ms: float = 2.0

    @property
    def ratio_low(self) -> float:
        return 0.99 * self.ratio

    @property
    def ratio_high(self) -> float:
        return 1.01 * self.ratio


@dataclass
class Meter:
    """Stands for a device that takes no time."""

    measured: Measured
    calls: int = 0
    expected: list[bytes] = field(default_factory=list)
    cost: Any = field(default_factory=lambda: SimpleNamespace(inference_s=0.0, waited_s=0.0))

    def expect(self, model: bytes, **_: object) -> None:
        self.expected.append(model)

    def measure(self, *_: object, **__: object) -> Measured:
        self.calls += 1
        return self.measured


class Counted:
    """A metric that answers with prepared scores, and counts the samples that it scored."""

    def __init__(self, score: float) -> None:
        self.score = score
        self.samples = 0

    def __call__(self, outputs: Any, targets: Any) -> Any:
        self.samples += len(targets)
        return np.full(len(targets), self.score)


SAMPLES = 100
LAYERS = ("conv1", "conv2", "head")
INT8 = Policy.uniform(LAYERS, FORMATS["int8"])


@pytest.fixture(scope="module")
def compressor(tmp_path_factory: pytest.TempPathFactory) -> Compressor:
    path = tmp_path_factory.mktemp("network") / "net.onnx"
    path.write_bytes(network())
    feeds = {"x": np.random.default_rng(0).normal(size=(32, 3, 8, 8)).astype(np.float32)}
    loaded = load_network(path, feeds)
    return Compressor(loaded, calibrate(loaded, [feeds]), SCHEMES["u8s8"])


Build = Callable[..., tuple[Evaluator, Counted, Meter]]


@pytest.fixture
def make(compressor: Compressor) -> Build:
    """An evaluator whose candidates score as given, on a target where they cost as given."""

    def build(
        score: float = 1.0, ratio: float = 0.5, grade: str = "clean", scope: str = "batch", pace: Pace | None = None
    ) -> Any:
        x = np.random.default_rng(1).normal(size=(SAMPLES, 3, 8, 8)).astype(np.float32)
        counted = Counted(1.0)
        metric = Metric(name="counted", function=counted, scope=scope)  # type: ignore[arg-type]  # "batch" or "all"
        samples = in_fair_order(Samples([({"x": x}, np.zeros(SAMPLES))]), metric)
        stages = StageClock()
        fp32 = validate_fp32(compressor.network.onnx_bytes, samples, metric, threads=1, stages=stages)
        counted.score, counted.samples = score, 0
        meter = Meter(Measured(ratio, grade, "noise" if grade == "unreliable" else ""))
        evaluator = Evaluator(
            compressor=compressor,
            validation=fp32,
            meter=meter,
            threads=1,
            target_batch_size=1,
            stages=stages,
            pace=pace,
        )  # type: ignore[arg-type]  # a stand-in
        return evaluator, counted, meter

    return build


def watch(**changes: Any) -> Watch:
    """One finished point: at 0.3 of FP32's cost, and always right."""
    rivals = Rivals()
    rivals.add(Rival(number=7, cost_ratio=0.3, cost_ratio_high=0.3, metric=1.0, scores=np.ones(SAMPLES)))
    return Watch(rivals=rivals, samples=SAMPLES, **changes)


def test_a_dominated_candidate_is_stopped_after_its_cost_and_the_first_chunk(make: Build) -> None:
    evaluator, counted, meter = make(score=0.0)
    candidate = evaluator.build(INT8)
    found = evaluator.evaluate(candidate, 4.0, watch=watch())
    assert isinstance(found, PartialOutcome)
    assert meter.expected == [candidate.onnx_bytes], "the target prepares while the candidate is checked here"
    assert (meter.calls, counted.samples, found.samples) == (1, 32, 32)
    assert (found.latency_ratio, found.latency_ms, found.grade) == (0.5, 2.0, "clean")
    assert (found.metric, found.metric_drop) == (0.0, 1.0)
    assert 0.0 < found.divergence < 1.0
    assert set(found.kernels) == set(LAYERS)
    assert found.reason.startswith("dominated by #7: on the first 32 of 100 samples")


def test_where_a_prediction_says_enough_the_cost_is_never_measured(make: Build) -> None:
    evaluator, counted, meter = make(score=0.0)
    found = evaluator.evaluate(evaluator.build(INT8), watch=watch(predicted_low=0.4))
    assert isinstance(found, PartialOutcome)
    assert (meter.calls, counted.samples) == (0, 32)
    assert np.isnan(found.latency_ratio)
    assert found.grade == ""
    assert not {"latency_ratio", "latency_ms", "grade", "reason"} & set(found.to_attribute())


def test_an_audited_one_is_measured_all_the_same(make: Build) -> None:
    evaluator, counted, meter = make(score=0.0)
    found = evaluator.evaluate(evaluator.build(INT8), watch=watch(predicted_low=0.4, is_audited=True))
    assert isinstance(found, PartialOutcome)
    assert (meter.calls, counted.samples, found.latency_ratio) == (1, 32, 0.5)


def test_a_prediction_that_was_too_high_is_put_right_by_the_measurement(make: Build) -> None:
    evaluator, counted, meter = make(score=0.0, ratio=0.2)
    found = evaluator.evaluate(evaluator.build(INT8), watch=watch(predicted_low=0.4, is_audited=True))
    assert isinstance(found, Outcome)
    assert (meter.calls, counted.samples, found.latency_ratio) == (1, SAMPLES, 0.2)


@pytest.mark.parametrize("watched", [None, watch(), watch(predicted_low=0.4), watch(may_stop=False)])
def test_what_is_not_stopped_has_the_figures_that_it_has_without_a_watch(make: Build, watched: Watch | None) -> None:
    evaluator, *_ = make()
    candidate = evaluator.build(INT8)
    found, plain = evaluator.evaluate(candidate, 4.0, watch=watched), evaluator.evaluate(candidate, 4.0)
    assert isinstance(found, Outcome)
    assert found == plain
    accuracy, drop = evaluator.validate(candidate)
    assert (found.metric, found.divergence) == (accuracy.value, accuracy.mean_divergence)
    assert (found.metric_drop, found.metric_drop_low, found.metric_drop_high) == (drop.value, drop.low, drop.high)
    assert watched is None or np.array_equal(watched.scores, accuracy.scores)


def test_fp32_and_uniform_policies_are_carried_out_however_bad_they_are(make: Build) -> None:
    evaluator, counted, meter = make(score=0.0, ratio=2.0)
    found = evaluator.evaluate(evaluator.build(INT8), watch=watch(predicted_low=1.5, may_stop=False))
    assert isinstance(found, Outcome)
    assert (meter.calls, counted.samples) == (1, SAMPLES)


def test_an_unreliable_cost_ends_a_try_and_decides_nothing(make: Build) -> None:
    evaluator, counted, meter = make(score=0.0, grade="unreliable")
    found = evaluator.evaluate(evaluator.build(INT8), watch=watch())
    assert isinstance(found, PartialOutcome)
    assert (found.grade, found.grade_reason, found.samples) == ("unreliable", "noise", 32)
    assert (meter.calls, counted.samples) == (1, 32)


@pytest.mark.parametrize(("measuring_s", "before"), [(31.0, 0), (33.0, 64), (37.0, SAMPLES)])
def test_whichever_takes_less_time_comes_first(make: Build, measuring_s: float, before: int) -> None:
    """Samples take a second each; the candidate is as good as any, so that nothing is saved, but the order shows."""
    known = deque([0.0, measuring_s, 0.0, 1.0])
    pace = Pace(clock=lambda: known.popleft() if known else float(counted.samples))
    with pace.measuring():
        pass
    with pace.validating(1):
        pass
    evaluator, counted, meter = make(pace=pace)
    seen: list[int] = []

    def measure(*_: object, **__: object) -> Measured:
        seen.append(counted.samples)
        return meter.measured

    meter.measure = measure  # type: ignore[method-assign]
    evaluator.evaluate(evaluator.build(INT8), watch=watch())
    assert seen == [before]


def test_a_metric_of_all_outputs_saves_the_cost_alone(make: Build) -> None:
    evaluator, counted, meter = make(score=0.0, scope="all")
    found = evaluator.evaluate(evaluator.build(INT8), watch=watch(predicted_low=0.4))
    assert isinstance(found, PartialOutcome)
    assert (meter.calls, counted.samples, found.samples) == (0, SAMPLES, SAMPLES)


def test_what_is_known_whole_is_never_thrown_away(make: Build) -> None:
    """Measured last, it has all its figures: it is complete, however dominated."""
    evaluator, _, meter = make(score=0.0, scope="all")
    found = evaluator.evaluate(evaluator.build(INT8), watch=watch())
    assert isinstance(found, Outcome)
    assert meter.calls == 1
