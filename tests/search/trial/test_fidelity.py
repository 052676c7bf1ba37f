"""A study whose trials are stopped: by every sampler, over sessions, and with the front that it would have anyhow."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from compress.policy import Policy
from search import pareto
from search.layers.graph import LayerGraph, record_layer_graph
from search.loop import SearchLoop
from search.outlook import Budget
from search.samplers import SAMPLERS, make_sampler
from search.samplers.frontier import Knowledge
from search.space.space import Knob, SearchSpace
from search.stages import StageClock
from search.study.partial import PartialOutcome
from search.study.sample_scores import SAMPLE_SCORES
from search.study.seen import resume
from search.study.space_record import adopt_space
from search.study.trials import LABEL, OUTCOME, REASON, Outcome, count_finished, outcomes_of, read_points
from search.trial.fidelity import Fidelity, open_fidelity
from search.trial.predictions import PREDICTED, Prediction
from search.trial.stopping import Watch
from workloads import Samples, chunk_ends

LAYERS = tuple(f"l{index}" for index in range(6))
SPACE = SearchSpace(
    layers=LAYERS,
    knobs=tuple(Knob(name=f"bits/{name}", layers=(name,), choices=("fp32", "int8")) for name in LAYERS)
    + tuple(Knob(name=f"rank/{name}", layers=(name,), choices=(1.0, 0.5, 0.25)) for name in LAYERS),
)
COUNT = 500
SAMPLES = Samples([({"x": np.zeros((COUNT, 1))}, np.zeros(COUNT))])


@dataclass(frozen=True)
class Candidate:
    policy: Policy
    digest: str


@dataclass
class Device:
    """Every layer adds to the cost what it has left, and to the error what was taken from it.

    Attributes:
        samples_run: How many samples were scored, over all trials.
        measurements: How many costs were measured.
    """

    samples_run: int = 0
    measurements: int = 0
    true: dict[str, tuple[float, float]] = field(default_factory=dict)

    def build(self, policy: Policy) -> Candidate:
        return Candidate(policy, policy.digest)

    def scores(self, policy: Policy) -> tuple[float, np.ndarray]:
        choices = policy.layers.values()
        cost = 0.05 + sum((c.weight_bits / 32) ** 0.8 * c.rank for c in choices) / len(LAYERS)
        error = 0.01 + sum(0.002 * (c.weight_bits == 8) + 0.8 * (1 - c.rank) ** 4 for c in choices)
        generator = np.random.default_rng(int(hashlib.sha256(policy.digest.encode()).hexdigest()[:8], 16))
        return cost, (generator.random(COUNT) >= min(error, 0.9)).astype(float)

    def evaluate(
        self,
        candidate: Candidate,
        reference_ms: float | None = None,
        *,
        again: bool = False,
        watch: Watch | None = None,
    ) -> Outcome | PartialOutcome:
        watch = watch or Watch(rivals=Fidelity(study=None, model=None, samples=SAMPLES).rivals, samples=COUNT)  # type: ignore[arg-type]
        cost, scores = self.scores(candidate.policy)
        taken: dict[str, Any] = {}
        end = 0
        for end in (0, *chunk_ends(COUNT)):
            if not taken and (watch.wants_cost or end == COUNT):
                self.measurements += 1
                taken = {
                    "latency_ratio": cost, "latency_ratio_low": 0.995 * cost, "latency_ratio_high": 1.005 * cost,
                    "latency_ms": 2.0 * cost, "grade": "clean",
                }  # fmt: skip
            reason = watch.verdict(scores[:end], taken.get("latency_ratio_low"))
            if reason and not (taken and end == COUNT):
                break
        else:
            reason = ""
        self.samples_run += end
        metric = float(scores[:end].mean())
        figures: dict[str, Any] = {
            **taken, "metric": metric, "metric_drop": 0.99 - metric, "metric_drop_low": -1.0, "metric_drop_high": 1.0,
            "divergence": 0.99 - metric + 0.1, "model_bytes": 1000, "digest": candidate.digest,
        }  # fmt: skip
        if reason:
            return PartialOutcome(samples=end, reason=reason, **figures)
        return Outcome(grade_reason="", **figures)


def begin(sampler: str) -> optuna.Study:
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=make_sampler(sampler, 1))
    adopt_space(study, SPACE, Path("study"))
    record_layer_graph(study, LayerGraph(macs=dict.fromkeys(LAYERS, 1000), neighbours=tuple(pairwise(LAYERS))))
    return study


def search(study: optuna.Study, device: Device, trials: int, *, stops: bool = True) -> None:
    fidelity = open_fidelity(study, SAMPLES)
    fidelity.stops = fidelity.stops and stops
    SearchLoop(
        study=study, space=SPACE, seen=resume(study, SPACE), evaluator=device, budget=Budget(trials=trials), seed=1,
        stages=StageClock(), confirmation_s=lambda front, typical_s: 0.0, fidelity=fidelity,
    ).run()  # type: ignore[arg-type]  # fmt: skip


def test_what_predicts_is_what_proposes_where_that_has_a_model() -> None:
    study = begin("frontier")
    assert open_fidelity(study, SAMPLES).model is study.sampler.knowledge(study)  # type: ignore[attr-defined]
    assert isinstance(open_fidelity(begin("random"), SAMPLES).model, Knowledge)


def in_state(study: optuna.Study, name: str) -> list[optuna.trial.FrozenTrial]:
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == name]


@pytest.mark.parametrize("sampler", sorted(SAMPLERS))
def test_every_sampler_goes_on_with_stopped_trials_or_has_none(sampler: str) -> None:
    device = Device()
    study = begin("random")
    if sampler != "gp":  # with trials that stopped before, whatever it proposes itself
        search(study, device, 30)
        assert in_state(study, "PRUNED")
    study.sampler = make_sampler(sampler, 2)
    trials = 13 if sampler == "gp" else 45  # a proposal of its takes half a second
    search(study, device, trials)
    stopped = in_state(study, "PRUNED")
    assert bool(stopped) == (sampler != "gp")
    assert count_finished(study.get_trials(deepcopy=False)) == trials
    assert all(trial.values is None and trial.user_attrs[REASON].startswith("dominated") for trial in stopped)
    assert not any(LABEL in trial.user_attrs for trial in stopped)
    assert device.measurements + sum("latency_ratio" not in t.user_attrs[OUTCOME] for t in stopped) == trials
    points = read_points(study.get_trials(deepcopy=False), SPACE)
    assert {point.state for point in points} == ({"complete", "pruned"} if stopped else {"complete"})


def test_what_is_stopped_would_not_have_been_on_the_front_and_the_others_do_not_change() -> None:
    """The same policies with and without: random proposals do not depend on what came of the ones before."""
    fronts, known, devices = [], [], []
    for stops in (False, True):
        device = Device()
        study = begin("random")
        search(study, device, 100, stops=stops)
        outcomes = outcomes_of(study.get_trials(deepcopy=False))
        stopped = len(in_state(study, "PRUNED"))
        positions = pareto.front([(outcome.cost_ratio, outcome.metric) for outcome in outcomes])
        fronts.append([outcomes[position].digest for position in positions])
        known.append({outcome.digest: outcome for outcome in outcomes})
        devices.append(device)
    assert stopped > 20
    assert fronts[0] == fronts[1]
    assert all(known[0][digest] == outcome for digest, outcome in known[1].items())
    assert devices[1].samples_run < 0.8 * devices[0].samples_run


def test_costs_are_not_measured_once_predictions_have_been_right() -> None:
    study = begin("random")
    device = Device()
    search(study, device, 120)
    unmeasured = [t for t in in_state(study, "PRUNED") if "latency_ratio" not in t.user_attrs[OUTCOME]]
    assert len(unmeasured) >= 10
    assert device.measurements == 120 - len(unmeasured)
    assert all("as predicted" in trial.user_attrs[REASON] for trial in unmeasured)
    assert not any(trial.number % 5 == 0 for trial in unmeasured)  # these are measured for the record's sake
    assert min(trial.number for trial in unmeasured) > 12


def test_every_trial_says_what_it_was_expected_to_cost_once_there_are_two() -> None:
    study = begin("tpe")
    search(study, Device(), 30)
    trials = [trial for trial in study.get_trials(deepcopy=False) if OUTCOME in trial.user_attrs]
    assert [PREDICTED in trial.user_attrs for trial in trials] == [False, False, *[True] * 28]
    last = [trial for trial in trials[20:] if trial.state.name == "COMPLETE"]
    errors = [
        abs(prediction.cost_ratio / trial.user_attrs[OUTCOME]["latency_ratio"] - 1)
        for trial in last
        if (prediction := Prediction.from_attributes(trial.user_attrs))
    ]
    assert np.median(errors) < 0.1


def test_another_session_or_worker_knows_the_same_rivals() -> None:
    study = begin("random")
    search(study, Device(), 60)
    trial = study.ask({knob.name: optuna.distributions.CategoricalDistribution(knob.choices) for knob in SPACE.knobs})
    first, second = open_fidelity(study, SAMPLES), open_fidelity(study, SAMPLES)
    one, other = first.watch(trial), second.watch(trial)
    assert one.predicted_low == other.predicted_low is not None
    met = [watch.rivals.opposition(2.0) for watch in (one, other)]
    assert [rival.number for rival in met[0].rivals] == [rival.number for rival in met[1].rivals]
    assert met[0].compared == len(in_state(study, "COMPLETE"))
    assert one.verdict(np.zeros(64), 2.0) == other.verdict(np.zeros(64), 2.0) != ""
    on_front = [t for t in in_state(study, "COMPLETE") if SAMPLE_SCORES in t.user_attrs]
    assert {rival.number for rival in met[0].rivals} <= {trial.number for trial in on_front}


def test_scores_of_other_samples_are_not_compared_with() -> None:
    study = begin("random")
    search(study, Device(), 30)
    trial = study.ask({knob.name: optuna.distributions.CategoricalDistribution(knob.choices) for knob in SPACE.knobs})
    shuffled = SAMPLES.pick([np.arange(COUNT)[::-1]])
    assert open_fidelity(study, shuffled).watch(trial).rivals.opposition(2.0).rivals == ()


def test_a_study_from_before_sample_scores_is_searched_on_in_full_until_it_has_some() -> None:
    study = begin("random")
    search(study, Device(), 20, stops=False)
    assert not any(SAMPLE_SCORES in trial.user_attrs for trial in study.get_trials(deepcopy=False))
    search(study, Device(), 21)
    assert in_state(study, "PRUNED") == []


def test_scores_too_large_for_the_study_are_known_to_who_took_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.study.sample_scores.MOST_CHARACTERS", 10)
    study = begin("random")
    search(study, Device(), 60)
    assert in_state(study, "PRUNED")
    assert not any(SAMPLE_SCORES in trial.user_attrs for trial in study.get_trials(deepcopy=False))


def test_a_stopped_trial_that_a_crash_left_running_ends_as_stopped() -> None:
    study = begin("random")
    search(study, Device(), 60)
    stopped = in_state(study, "PRUNED")[0]
    study.enqueue_trial(stopped.params)
    trial = study.ask()
    policy = SPACE.suggest(trial)
    trial.set_user_attr(OUTCOME, stopped.user_attrs[OUTCOME])
    seen = resume(study, SPACE)
    assert study.get_trials(deepcopy=False)[trial.number].state.name == "PRUNED"
    assert policy in seen
