"""Every trial is read once, when it is over."""

from __future__ import annotations

import math

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.layers.graph import LayerGraph
from search.samplers.frontier.neighbourhood import key
from search.samplers.frontier.observations import TrialReader
from search.samplers.frontier.variables import lay_out
from search.space.space import Knob, SearchSpace
from search.study.trials import OUTCOME

SPACE = SearchSpace(layers=("a",), knobs=(Knob(name="bits/a", layers=("a",), choices=("fp32", "int8")),))
DISTRIBUTIONS: dict[str, BaseDistribution] = {"bits/a": CategoricalDistribution(("fp32", "int8"))}
OUTCOME_OF_INT8 = {
    "latency_ratio": 0.5,
    "latency_ratio_low": 0.45,
    "latency_ratio_high": 0.55,
    "divergence": 0.1,
    "metric": 0.9,
}


def reader() -> TrialReader:
    return TrialReader(variables=lay_out(SPACE, LayerGraph(macs={"a": 1}, neighbours=())))


def trial(state: TrialState, outcome: dict[str, float] | None = None, choice: str = "int8") -> FrozenTrial:
    return create_trial(
        state=state,
        params={"bits/a": choice},
        distributions=DISTRIBUTIONS,
        values=(1.0, 1.0) if state == TrialState.COMPLETE else None,
        user_attrs={} if outcome is None else {OUTCOME: outcome},
    )


def test_a_completed_trial_has_everything() -> None:
    (observed,) = reader().read("mine", [trial(TrialState.COMPLETE, OUTCOME_OF_INT8)])
    assert observed.choices.tolist() == [1]
    assert (observed.cost_ratio, observed.divergence, observed.metric) == (0.5, 0.1, 0.9)
    assert observed.cost_deviation == pytest.approx(0.1 / (2 * 1.96), rel=1e-3)


def test_instructions_are_a_cost_too() -> None:
    outcome = {"instructions_ratio": 0.5, "divergence": 0.1, "metric": 0.9}
    (observed,) = reader().read("mine", [trial(TrialState.COMPLETE, outcome)])
    assert (observed.cost_ratio, observed.cost_deviation) == (0.5, 0.0)


def test_what_runs_is_read_when_it_ends() -> None:
    read = reader()
    running = [trial(TrialState.RUNNING), trial(TrialState.COMPLETE, OUTCOME_OF_INT8)]
    assert len(list(read.read("mine", running))) == 1
    assert read.seen == {key(np.array([1]))}
    ended = [trial(TrialState.COMPLETE, OUTCOME_OF_INT8, "fp32"), running[1]]
    assert [observed.choices.tolist() for observed in read.read("mine", ended)] == [[0]]
    assert list(read.read("mine", ended)) == []


def test_a_failure_is_remembered_and_teaches_nothing() -> None:
    read = reader()
    assert list(read.read("mine", [trial(TrialState.FAIL, OUTCOME_OF_INT8)])) == []
    assert key(np.array([1])) in read.seen


def test_a_pruned_trial_has_what_it_has() -> None:
    (observed,) = reader().read("mine", [trial(TrialState.PRUNED, {"divergence": 0.3})])
    assert observed.divergence == 0.3
    assert observed.is_partial
    assert math.isnan(observed.cost_ratio)
    assert math.isnan(observed.metric)


def test_infinite_damage_is_great_damage() -> None:
    (observed,) = reader().read("mine", [trial(TrialState.COMPLETE, {**OUTCOME_OF_INT8, "divergence": math.inf})])
    assert observed.divergence == 10.0


def test_parameters_of_another_space_are_passed_over() -> None:
    stranger = optuna.trial.create_trial(
        params={"x": "y"}, distributions={"x": CategoricalDistribution(("y",))}, values=(1.0, 1.0)
    )
    read = reader()
    assert list(read.read("mine", [stranger])) == []
    assert read.seen == set()
