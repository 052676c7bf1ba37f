"""Costs on a target whose speed changes: looked at from one speed, with an anchor where the speed is new."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest

from compress.candidate import Candidate
from compress.policy import FORMATS, UNTOUCHED, Policy
from latency import CONFIRM, SEARCH, Measurement, MeasurementError, MeasurementKey, ProcessSamples, Samples
from latency.elasticity import UNKNOWN
from latency.grading import Grade
from latency.statistics import SpreadPrior
from search.as_read import as_read
from search.point import ALL_8_BIT_LABEL
from search.space.space import Knob, SearchSpace
from search.stages import StageClock
from search.study.trials import LABEL, OUTCOME
from search.trial.costing import Costing
from search.trial.speed_record import MEASURED_BETWEEN, MOST_ANCHORS, SpeedRecord, as_attribute
from search.trial.turns import WAITING

LAYERS = ("first", "second", "third", "fourth")
MACS = dict.fromkeys(LAYERS, 1000)
SPACE = SearchSpace(
    layers=LAYERS,
    knobs=tuple(Knob(name=f"bits/{name}", layers=(name,), choices=("fp32", "int8")) for name in LAYERS),
)
ANCHOR = Policy.uniform(LAYERS, FORMATS["int8"])
FP32 = Policy.uniform(LAYERS, UNTOUCHED)
FAST_MS, SLOW_MS = 2.0, 3.2
TRUE_ELASTICITY = 0.4
ROUNDS, TURN = 8, 2


def mixed(count: int) -> Policy:
    """The first `count` layers in 8 bits."""
    return Policy({name: FORMATS["int8"] if at < count else UNTOUCHED for at, name in enumerate(LAYERS)})


def true_ratio(policy: Policy) -> float:
    """At the fast speed."""
    return 1.0 - 0.7 * share(policy)


def share(policy: Policy) -> float:
    return sum(policy[name].format != "fp32" for name in LAYERS) / len(LAYERS)


def build(policy: Policy) -> Candidate:
    """Its JSON stands for the bytes."""
    return Candidate(policy=policy, onnx_bytes=policy.to_json().encode(), session_entries={}, ranks={}, formats={})


@dataclass
class Device:
    """A target that runs FP32 in `level_ms`, and candidates as their policies and that level say.

    `served` measurements come from the log; `broken` policies cannot be measured.
    """

    level_ms: float = FAST_MS
    changes_to_ms: float | None = None
    served: bool = False
    waits_s: float = 0.0
    broken: Policy | None = None
    grade: Grade = "clean"
    asked: list[Policy] = field(default_factory=list)
    cost: Any = field(default_factory=lambda: SimpleNamespace(inference_s=0.0, waited_s=0.0, measured=0))

    def measure(self, model: bytes, **_: object) -> Measurement:
        policy = Policy.from_json(model.decode())
        self.asked.append(policy)
        if policy == self.broken:
            raise MeasurementError("a worker died")
        self.cost.measured += not self.served
        self.cost.waited_s += self.waits_s
        rng = np.random.default_rng(len(self.asked))
        key = MeasurementKey(
            model_digest=hashlib.sha256(model).hexdigest(), baseline_digest="b" * 64, hardware_id="0" * 12,
            runtime="runtime 1", provider="CPUExecutionProvider", threads=1, affinity=None, spinning=True,
            batch_size=1, input_shapes=(), session_entries=(), baseline_session_entries=(),
        )  # fmt: skip
        return Measurement(
            key=key, profile="test-cpu", processes=tuple(self._process(policy, rng) for _ in range(4)),
            grade=self.grade, reason="quiet", remedy="", clock="wall", spread_prior=SpreadPrior(), inference_s=0.1,
            overhead_s=0.1, taken_at="2026-01-02T03:04:05+00:00",
        )  # fmt: skip

    def _process(self, policy: Policy, rng: np.random.Generator) -> ProcessSamples:
        later = self.level_ms if self.changes_to_ms is None else self.changes_to_ms
        levels = np.repeat([self.level_ms] * (ROUNDS // 2) + [later] * (ROUNDS // 2), 2 * TURN)
        grown = levels * true_ratio(policy) * (levels / FAST_MS) ** (TRUE_ELASTICITY * share(policy))

        def samples(taken_ms: Any) -> Samples:
            noisy = tuple(float(each) for each in taken_ms * np.exp(rng.normal(0.0, 0.003, len(taken_ms))))
            return Samples(wall_ms=noisy, cpu_ms=noisy, switches=(0,) * len(noisy))

        return ProcessSamples(candidate=samples(grown), baseline=samples(levels), rounds=ROUNDS)


Begun = tuple[Costing, SpeedRecord, Device]


@pytest.fixture
def begun() -> Begun:
    """A search that has measured FP32 and the anchor at the fast speed."""
    device, speeds = Device(), SpeedRecord(SPACE, MACS)
    costing = Costing(device, build=build, speeds=speeds, stages=StageClock())  # type: ignore[arg-type]
    for policy in (FP32, ANCHOR):
        costing.take(build(policy), SEARCH, FAST_MS)
    for at in range(MEASURED_BETWEEN):
        costing.take(build(mixed(at % 3 + 1)), SEARCH, FAST_MS)
    device.asked.clear()
    return costing, speeds, device


def test_on_a_steady_target_nothing_more_is_measured_and_nothing_is_corrected(begun: Begun) -> None:
    """FP32 wanders by some percent from session to session; that is no speed."""
    costing, speeds, device = begun
    for step in range(20):
        device.level_ms = FAST_MS * (1.0 + 0.03 * math.sin(step))
        taken = costing.take(build(mixed(step % 4 + 1)), SEARCH, FAST_MS)
        assert isinstance(taken.measured, Measurement)
        assert taken.measured.speed is None
    assert len(device.asked) == 20
    assert speeds.elasticity == UNKNOWN


def test_a_new_speed_costs_one_measurement_of_the_anchor(begun: Begun) -> None:
    """From then on what is measured at either speed compares."""
    costing, speeds, device = begun
    device.level_ms = SLOW_MS
    for count in (2, 3, 4, 2, 3, 4, 2, 3, 4):
        taken = costing.take(build(mixed(count)), SEARCH, FAST_MS)
        assert isinstance(taken.measured, Measurement)
        assert taken.measured.ratio == pytest.approx(true_ratio(mixed(count)), rel=0.02)
        assert taken.measured.at(None).ratio > 1.06 * true_ratio(mixed(count))
    assert len(device.asked) == 9 + 1
    assert device.asked[:2] == [mixed(2), ANCHOR]
    device.level_ms = FAST_MS
    costing.take(build(mixed(2)), SEARCH, FAST_MS)
    assert device.asked[-1] == mixed(2), "the anchor has been measured at this speed"
    assert speeds.elasticity.value == pytest.approx(TRUE_ELASTICITY, abs=0.05)


def test_a_speed_that_wanders_does_not_take_the_search_its_time(begun: Begun) -> None:
    """The anchor is measured at speeds that are apart, never twice in a row, and not for ever."""
    costing, _, device = begun
    rng = np.random.default_rng(0)
    for at in range(80):
        device.level_ms = FAST_MS * float(np.exp(rng.uniform(-1.0, 2.0)))
        costing.take(build(mixed(at % 3 + 1)), SEARCH, FAST_MS)
    anchors = [at for at, policy in enumerate(device.asked) if policy == ANCHOR]
    assert 3 < len(anchors) <= MOST_ANCHORS
    assert min(later - earlier for earlier, later in pairwise(anchors)) >= MEASURED_BETWEEN


def test_a_measurement_during_which_the_speed_changed_is_right_and_teaches(begun: Begun) -> None:
    """It needs no anchor to tell how its own ratio follows the speed."""
    costing, speeds, device = begun
    device.changes_to_ms = SLOW_MS
    taken = costing.take(build(mixed(3)), SEARCH, FAST_MS)
    assert isinstance(taken.measured, Measurement)
    assert device.asked == [mixed(3)]
    assert sorted(reading.baseline_ms for reading in taken.readings) == pytest.approx([FAST_MS, SLOW_MS], rel=0.02)
    assert speeds.elasticity.value == pytest.approx(TRUE_ELASTICITY, abs=0.15)
    assert taken.measured.ratio == pytest.approx(true_ratio(mixed(3)), rel=0.04)


def test_measurements_of_a_confirmation_teach_and_come_together(begun: Begun) -> None:
    """They are read as they are, and seen from one speed when all are there."""
    costing, _, device = begun
    passes: dict[int, list[Any]] = {2: [], 3: [], 4: []}
    for level in (FAST_MS, SLOW_MS):
        device.level_ms = level
        for count, measured in passes.items():
            measured.append(costing.take_afresh(build(mixed(count)), CONFIRM))
    assert ANCHOR in device.asked, "it is one of those confirmed"
    assert len(device.asked) == 6
    for count, measured in passes.items():
        whole = costing.together(measured, mixed(count), FAST_MS)
        assert whole.ratio == pytest.approx(true_ratio(mixed(count)), rel=0.02)
        assert measured[1].ratio / measured[0].ratio > 1.08
        assert costing.narrowable(measured, mixed(count), FAST_MS) < 0.01 < whole.ratio_half_width


def test_how_it_was_read_stands_beside_what_it_is(begun: Begun) -> None:
    """The one follows from the other, and from the raw samples, again."""
    costing, _, device = begun
    device.level_ms = SLOW_MS
    taken = costing.take(build(mixed(4)), SEARCH, FAST_MS)
    assert isinstance(taken.measured, Measurement)
    read = as_read(taken.measured)
    assert read["read_fp32_ms"] == pytest.approx(SLOW_MS, rel=0.01)
    assert read["read_latency_ratio"] == taken.measured.at(None).ratio
    there = read["read_latency_ratio"] * (FAST_MS / read["read_fp32_ms"]) ** read["elasticity"]
    assert taken.measured.ratio == pytest.approx(there, rel=0.005)
    assert as_read(taken.measured.at(None)).keys() == {"read_latency_ratio", "read_fp32_ms"}


def test_what_is_in_fp32_stands_as_it_was_read(begun: Begun) -> None:
    """Its ratio follows no speed, and before a reference is settled there is nothing to look from."""
    costing, speeds, device = begun
    device.level_ms = SLOW_MS
    costing.take(build(mixed(4)), SEARCH, FAST_MS)
    assert speeds.elasticity != UNKNOWN
    assert speeds.speed(FP32, FAST_MS) is None
    assert speeds.speed(ANCHOR, None) is None


def test_another_worker_goes_on_from_what_the_trials_say(begun: Begun) -> None:
    """And so does the same search on another day: nothing is measured twice for it."""
    costing, speeds, device = begun
    trials = []
    for level, policy, label in ((FAST_MS, ANCHOR, ALL_8_BIT_LABEL), (SLOW_MS, mixed(2), ""), (SLOW_MS, mixed(3), "")):
        device.level_ms = level
        candidate = build(policy)
        taken = costing.take(candidate, SEARCH, FAST_MS)
        outcome = {"digest": candidate.digest, "readings": as_attribute(taken.readings)}
        attributes = {OUTCOME: outcome, **({LABEL: label} if label else {})}
        trials.append(optuna.create_trial(values=[0.0], user_attrs=attributes))
    trials.append(optuna.create_trial(state=optuna.trial.TrialState.FAIL))
    other = SpeedRecord(SPACE, MACS)
    other.learn_trials(trials)
    other.learn_trials(trials)
    assert other.elasticity.value == pytest.approx(speeds.elasticity.value, abs=0.01)
    assert not other.wants_anchor(SLOW_MS)
    assert not other.wants_anchor(FAST_MS)
    assert other.wants_anchor(2 * SLOW_MS)


def test_what_the_log_had_says_nothing_of_the_speed_now(begun: Begun) -> None:
    """A measurement that is served was taken at another time."""
    costing, _, device = begun
    device.level_ms, device.served = SLOW_MS, True
    costing.take(build(mixed(2)), SEARCH, FAST_MS)
    assert device.asked == [mixed(2)]


def test_an_anchor_that_cannot_be_measured_costs_no_trial(begun: Begun) -> None:
    """A little less is known of that speed, and it is not tried with every candidate."""
    costing, speeds, device = begun
    device.level_ms, device.broken = SLOW_MS, ANCHOR
    for _ in range(MEASURED_BETWEEN):
        taken = costing.take(build(mixed(2)), SEARCH, FAST_MS)
        assert isinstance(taken.measured, Measurement)
    assert device.asked.count(ANCHOR) == 1
    assert speeds.elasticity != UNKNOWN, "the candidate itself was measured at the fast speed before"


@pytest.mark.parametrize("which", ["unreliable", "counted"])
def test_what_cannot_teach_is_passed_on(which: str) -> None:
    """An unreliable measurement, and costs that are none of time."""
    device, speeds = Device(grade="unreliable"), SpeedRecord(SPACE, MACS)
    costing = Costing(
        device,  # type: ignore[arg-type]  # a stand-in
        build=build, speeds=speeds if which == "unreliable" else None, stages=StageClock(),
    )  # fmt: skip
    taken = costing.take(build(ANCHOR), SEARCH, FAST_MS)
    assert taken.readings == ()
    assert taken.measured.grade == "unreliable"
    assert not speeds.wants_anchor(10 * FAST_MS)


def test_where_there_is_no_other_format_there_is_no_anchor() -> None:
    """A space of widths alone: all ratios are of FP32's own kernels."""
    knob = Knob(name="sparsity/first", layers=("first",), choices=(0.0, 0.5))
    speeds = SpeedRecord(SearchSpace(layers=LAYERS, knobs=(knob,)), MACS)
    assert speeds.anchor is None
    assert not speeds.wants_anchor(FAST_MS)
    with pytest.raises(ValueError, match="no policy in another format"):
        speeds.begin_anchor()


def test_while_others_measure_there_nothing_of_ours_is_slow() -> None:
    stages = StageClock()
    costing = Costing(Device(waits_s=3.0), build=build, speeds=None, stages=stages)  # type: ignore[arg-type]
    costing.take(build(ANCHOR), SEARCH, None)
    assert stages.seconds[WAITING] == 3.0
    assert stages.seconds["latency overhead"] < 0.0  # the device here says so, and took no time
