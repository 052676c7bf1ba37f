"""What the sampler makes of studies: its own, another's, pruned trials, and whether it finds a front."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import optuna
import pytest

from search.errors import SearchError
from search.layers.graph import LayerGraph, record_layer_graph
from search.pareto import front
from search.samplers.frontier import FrontierSampler
from search.samplers.frontier.knowledge import Knowledge
from search.samplers.frontier.priors import Priors
from search.samplers.frontier.variables import lay_out
from search.space.space import Choice, Knob, SearchSpace
from search.study.space_record import adopt_space
from search.study.trials import OUTCOME

LAYERS = tuple(f"l{index}" for index in range(6))
SPACE = SearchSpace(
    layers=LAYERS,
    knobs=tuple(Knob(name=f"bits/{name}", layers=(name,), choices=("fp32", "fp16", "int8")) for name in LAYERS),
)
GRAPH = LayerGraph(macs=dict.fromkeys(LAYERS, 100), neighbours=(*pairwise(LAYERS), ("l0", "l3")))
SPEED = {"fp32": 1.0, "fp16": 0.6, "int8": 0.3}
LOSS = {"fp32": 0.0, "fp16": 0.2, "int8": 1.0}


def figures(params: dict[str, Choice]) -> tuple[float, float]:
    """Cost ratio and divergence: sums over layers, and a price for every change of format."""
    formats = dict(zip(LAYERS, (str(params[f"bits/{name}"]) for name in LAYERS), strict=True))
    changes = sum(formats[one] != formats[other] for one, other in GRAPH.neighbours)
    cost = sum(SPEED[name] for name in formats.values()) / len(LAYERS) + 0.05 * changes
    return cost, sum((1 + at) * 0.01 * LOSS[name] for at, name in enumerate(formats.values()))


def outcome(params: dict[str, Choice]) -> dict[str, float]:
    cost, divergence = figures(params)
    ends = {"latency_ratio_low": 0.995 * cost, "latency_ratio_high": 1.005 * cost}
    return {"latency_ratio": cost, **ends, "divergence": divergence, "metric": 0.9 - divergence}


def begin(sampler: FrontierSampler | None = None) -> optuna.Study:
    study = optuna.create_study(
        study_name="mine", directions=["minimize", "maximize"], sampler=sampler or FrontierSampler(0)
    )
    adopt_space(study, SPACE, Path("mine"))
    record_layer_graph(study, GRAPH)
    return study


def run(study: optuna.Study, trials: int) -> list[tuple[float, float]]:
    found = []
    for _ in range(trials):
        trial = study.ask()
        SPACE.suggest(trial)
        trial.set_user_attr(OUTCOME, outcome(trial.params))
        found.append((outcome(trial.params)["latency_ratio"], outcome(trial.params)["metric"]))
        study.tell(trial, found[-1])
    return found


def test_it_finds_the_whole_front_of_a_small_problem() -> None:
    everything = [figures(SPACE.params(position)) for position in range(SPACE.size)]
    pairs = [(cost, 0.9 - divergence) for cost, divergence in everything]
    wanted = {pairs[position] for position in front(pairs)}
    found = run(begin(), 80)
    assert SPACE.size == 729
    assert len(wanted & set(found)) >= 0.9 * len(wanted)


def test_it_repeats_nothing_until_everything_was_tried() -> None:
    space = SearchSpace(layers=LAYERS, knobs=SPACE.knobs[:3])
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=FrontierSampler(0))
    adopt_space(study, space, Path("mine"))
    record_layer_graph(study, GRAPH)
    tried = []
    for _ in range(space.size):
        trial = study.ask()
        space.suggest(trial)
        full = {**SPACE.params(0), **trial.params}
        trial.set_user_attr(OUTCOME, outcome(full))
        study.tell(trial, figures(full))
        tried.append(tuple(trial.params.values()))
    assert len(set(tried)) == space.size == 27


def test_it_learns_what_policies_cost() -> None:
    variables = lay_out(SPACE, GRAPH)
    knowledge = Knowledge(variables, cost=Priors(kind="cost"), damage=Priors(kind="damage"))
    study = begin()
    run(study, 40)
    knowledge.learn(study.study_name, study.get_trials(deepcopy=False))
    others = [SPACE.params(position) for position in range(0, SPACE.size, 13)]
    expected, _ = knowledge.predict_cost(others)
    errors = np.abs(expected / [figures(params)[0] for params in others] - 1.0)
    assert np.median(errors) < 0.02
    with pytest.raises(ValueError, match=r"must be one choice of every knob, got \{'bits/l0': 'fp32'\}"):
        knowledge.predict_cost([{"bits/l0": "fp32"}])


def test_a_pruned_trial_teaches_what_it_has() -> None:
    """A latency without an accuracy is enough to know that int8 is fast here, or slow."""
    expected = []
    for ratio in (0.3, 2.0):
        study = begin()
        trial = study.ask()
        int8 = {knob.name: "int8" for knob in SPACE.knobs}
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(int8)
        trial = study.ask()
        SPACE.suggest(trial)
        trial.set_user_attr(OUTCOME, {"latency_ratio": ratio})
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        knowledge = Knowledge(lay_out(SPACE, GRAPH), cost=Priors(kind="cost"), damage=Priors(kind="damage"))
        knowledge.learn(study.study_name, study.get_trials(deepcopy=False))
        expected.append(knowledge.predict_cost([int8])[0][0])
    assert expected[0] < 0.5
    assert expected[1] > 1.2


def test_it_goes_where_constraints_are_kept() -> None:
    study = begin()
    kept = []
    for _ in range(50):
        trial = study.ask()
        SPACE.suggest(trial)
        found = outcome(trial.params)
        trial.set_constraint("drop", found["divergence"] - 0.08)
        trial.set_user_attr(OUTCOME, found)
        study.tell(trial, (found["latency_ratio"], found["metric"]))
        kept.append(found["divergence"] <= 0.08)
    everywhere = np.mean([figures(SPACE.params(position))[1] <= 0.08 for position in range(SPACE.size)])
    assert np.mean(kept[-25:]) > max(0.6, 1.5 * everywhere)


def test_a_study_without_a_space_is_not_its_own() -> None:
    study = optuna.create_study(study_name="other", directions=["minimize", "maximize"], sampler=FrontierSampler(0))
    with pytest.raises(SearchError, match="'other' is not the frontier sampler's: it does not say which space"):
        study.ask().suggest_categorical("bits/l0", ("fp32", "int8"))


def test_trials_without_an_outcome_are_not_its_own() -> None:
    study = begin()
    study.enqueue_trial(SPACE.params(0))
    trial = study.ask()
    SPACE.suggest(trial)
    study.tell(trial, (1.0, 0.9))
    with pytest.raises(SearchError, match="'mine' is not the frontier sampler's: trial 0 has no outcome"):
        SPACE.suggest(study.ask())


def test_a_parameter_that_the_space_lacks_is_said() -> None:
    with pytest.raises(SearchError, match="'momentum' is no knob of its space"):
        begin().ask().suggest_float("momentum", 0.0, 1.0)


def test_a_seed_forgotten_is_another_search() -> None:
    proposed = []
    for forget in (False, False, True):
        sampler = FrontierSampler(5)
        study = begin(sampler)
        if forget:
            sampler.reseed_rng()
        trials = [study.ask() for _ in range(4)]
        proposed.append([SPACE.suggest(trial).digest for trial in trials])
    assert proposed[0] == proposed[1] != proposed[2]
