"""Damage before and after a training: two models, each of its own kind of observations."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from search.layers.effects import Effect
from search.layers.graph import record_layer_graph
from search.samplers.frontier import FrontierSampler, Knowledge, open_knowledge
from search.samplers.frontier.trained import LEAST_TRAINED, LEFT, trained_priors
from search.space.space import Choice
from search.study.space_record import adopt_space
from search.study.training_record import adopt_training
from search.study.trials import OUTCOME, TRAINED_FROM

from .test_sampler import GRAPH, LAYERS, LOSS, SPACE, figures

TRIALS = 40


def begin(*, trains: bool = True) -> optuna.Study:
    study = optuna.create_study(study_name="mine", directions=["minimize", "maximize"], sampler=FrontierSampler(0))
    adopt_training(study, 1 if trains else None, "mine")
    adopt_space(study, SPACE, Path("mine"))
    record_layer_graph(study, GRAPH)
    return study


def add(
    study: optuna.Study, params: dict[str, Choice], *, before: float, after: float | None, metric: float | None = None
) -> None:
    """A trial with its divergence before training and after it; without the latter it was not worth one."""
    cost, _ = figures(params)
    ends = {"latency_ratio": cost, "latency_ratio_low": 0.995 * cost, "latency_ratio_high": 1.005 * cost}
    untrained: dict[str, Any] = {**ends, "divergence": before, "metric": 0.1, "digest": "d"}
    attributes: dict[str, Any] = {OUTCOME: {**untrained, "samples": 16}}
    values = None
    if after is not None:
        metric = 0.9 - after if metric is None else metric
        attributes = {OUTCOME: {**ends, "divergence": after, "metric": metric}, TRAINED_FROM: {"outcome": untrained}}
        values = [cost, metric]
    study.add_trial(
        optuna.trial.create_trial(
            state=optuna.trial.TrialState.COMPLETE if values else optuna.trial.TrialState.PRUNED,
            values=values,
            params=params,
            distributions={
                knob.name: optuna.distributions.CategoricalDistribution(knob.choices) for knob in SPACE.knobs
            },
            user_attrs=attributes,
        )
    )


def policies() -> list[dict[str, Choice]]:
    generator = np.random.default_rng(0)
    return [SPACE.params(int(at)) for at in generator.choice(np.arange(1, SPACE.size), TRIALS, replace=False)]


def learned(study: optuna.Study) -> Knowledge:
    knowledge = open_knowledge(study)
    knowledge.learn(study.study_name, study.get_trials())
    return knowledge


def hopes(knowledge: Knowledge) -> list[float | None]:
    return [knowledge.hope_after_training(params) for params in policies()[:10]]


def harms(knowledge: Knowledge) -> list[float]:
    return [layer.divergence for layer in knowledge.layer_importance()]


def test_neither_kind_is_taken_for_the_other() -> None:
    """What trainings came to changes nothing of what is believed of policies untrained, nor the reverse."""
    studies = {name: begin() for name in ("as they are", "trained better", "untrained worse")}
    for params in policies():
        _, divergence = figures(params)
        for name, study in studies.items():
            before = 10 * divergence * (3 if name == "untrained worse" else 1)
            add(study, params, before=before, after=divergence * (0.2 if name == "trained better" else 1))
    first, better, worse = (learned(study) for study in studies.values())
    assert harms(first) == harms(better)
    assert harms(first) != harms(worse)
    assert hopes(first) == hopes(worse)
    assert hopes(first) != hopes(better)


def test_what_was_not_trained_tells_of_the_damage_without_training_alone() -> None:
    some, more = begin(), begin()
    for at, params in enumerate(policies()):
        _, divergence = figures(params)
        if at % 2:
            for study in (some, more):
                add(study, params, before=10 * divergence, after=divergence)
        else:
            add(more, params, before=20 * divergence, after=None)
    assert hopes(learned(some)) == hopes(learned(more))
    assert harms(learned(some)) != harms(learned(more))


def test_hope_follows_what_trainings_came_to() -> None:
    study = begin()
    for params in policies():
        _, divergence = figures(params)
        add(study, params, before=1.0, after=divergence)
    knowledge = learned(study)
    gentle, harsh = ({knob.name: choice for knob in SPACE.knobs} for choice in ("fp16", "int8"))
    hoped = [knowledge.hope_after_training(params) for params in (gentle, harsh)]
    assert hoped[0] is not None
    assert hoped[1] is not None
    assert hoped[0] - hoped[1] > 0.5 * (figures(harsh)[1] - figures(gentle)[1])
    assert hoped[1] < 0.9 - 0.5 * figures(harsh)[1], "untrained they all answered alike"


def test_nothing_is_hoped_before_enough_was_trained_or_where_nothing_is() -> None:
    study, other = begin(), begin(trains=False)
    for params in policies()[:LEAST_TRAINED]:
        assert learned(study).hope_after_training(params) is None
        add(study, params, before=1.0, after=0.1)
        add(other, params, before=1.0, after=0.1)
    assert learned(study).hope_after_training(policies()[0]) is not None
    assert learned(other).hope_after_training(policies()[0]) is None


def test_proposals_go_where_trained_candidates_are_good() -> None:
    """Untrained, 8 bits are ruin in the first layers; trained, in the last ones."""
    first, last = LAYERS[:3], LAYERS[3:]

    def harm(params: dict[str, Choice], layers: tuple[str, ...]) -> float:
        return 0.05 * sum(LOSS[str(params[f"bits/{name}"])] for name in layers)

    chosen = {}
    for trains in (True, False):
        study = begin(trains=trains)
        for params in policies():
            before = harm(params, first)
            add(study, params, before=before, after=harm(params, last) if trains else before)
        eight: list[str] = []
        for _ in range(10):
            trial = study.ask()
            policy = SPACE.suggest(trial)
            eight += [name for name in LAYERS if policy[name].weight_bits == 8]
            trial.set_user_attr(OUTCOME, {"divergence": harm(trial.params, first)})
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        chosen[trains] = sum(name in first for name in eight) / len(eight)
    assert chosen[True] > chosen[False] + 0.1


def test_the_second_model_begins_with_a_share_of_what_choices_do_untrained() -> None:
    effects = {("bits/l0", "int8"): Effect(mean=0.5, deviation=0.1)}
    believed = trained_priors(effects, 0.8).effects["bits/l0", "int8"]
    assert believed.mean == pytest.approx(LEFT * 0.5)
    assert believed.deviation > LEFT * 0.1
    assert math.isfinite(believed.deviation)
