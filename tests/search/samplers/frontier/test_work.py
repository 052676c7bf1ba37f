"""Costs that are products of widths, ranks and formats: learned, solved, and weighed by layer."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import optuna
import pytest

from search.layers.effects import Effect, record_damage_effects
from search.layers.graph import LayerGraph, record_layer_graph
from search.layers.table import TimedPolicy, record_layer_table
from search.samplers.frontier import open_knowledge
from search.samplers.frontier.design import build_design
from search.samplers.frontier.elimination import minimize
from search.samplers.frontier.elimination_plan import interplay, plan_elimination
from search.samplers.frontier.features import Design
from search.samplers.frontier.knowledge import Knowledge
from search.samplers.frontier.priors import Priors
from search.samplers.frontier.regression import Regression
from search.samplers.frontier.variables import Variables, lay_out
from search.study.space_record import adopt_space
from search.study.trials import OUTCOME

from .energies import all_assignments
from .networks import GRAPH, LAYERS, SPACE, random_choices, true_cost

MISFITS = (0.002, 0.01, 0.05)


@pytest.fixture(scope="module")
def variables() -> Variables:
    return lay_out(SPACE, GRAPH)


@pytest.fixture(scope="module")
def design(variables: Variables) -> Design:
    return build_design(variables, Priors(kind="cost"))


def costs(variables: Variables, choices: np.ndarray) -> np.ndarray:
    whole = true_cost(SPACE.params(0))
    return np.array([true_cost(variables.decode(row)) / whole for row in choices])


def test_rows_and_tables_say_the_same(variables: Variables, design: Design) -> None:
    weights = np.abs(np.random.default_rng(0).normal(size=len(design.mean)))  # conversions are never negative
    choices = random_choices(variables, 60, seed=1)
    np.testing.assert_allclose(design.rows(choices) @ weights, design.energy(weights).values(choices))


def test_nothing_done_is_the_constant_whatever_the_weights(variables: Variables, design: Design) -> None:
    nothing = np.zeros((1, len(variables.knobs)), np.int64)
    weights = np.random.default_rng(0).normal(size=len(design.mean))
    assert design.rows(nothing) @ weights == pytest.approx([weights[0]])


def test_fewer_channels_lower_ranks_and_int8_are_believed_faster(variables: Variables, design: Design) -> None:
    policies = [variables.encode(start.params) for start in SPACE.starts()]
    labels = [start.label for start in SPACE.starts()]
    expected = dict(zip(labels, design.rows(np.stack(policies)) @ design.mean, strict=True))
    assert 0 < expected["all 8-bit, sparsity 0.5"] < expected["all 8-bit, sparsity 0.25"] < expected["all 8-bit"]
    assert expected["all 8-bit, rank 0.5"] < expected["all 8-bit"] < 0.6 * expected["FP32"]


def test_sixty_trials_tell_the_cost_of_unseen_policies(variables: Variables, design: Design) -> None:
    regression = Regression(design=design, misfits=MISFITS)
    rng = np.random.default_rng(0)
    seen = random_choices(variables, 60, seed=2)
    for row, cost in zip(seen, costs(variables, seen), strict=True):
        regression.add(row, float(cost * (1 + 0.005 * rng.normal())), 0.005 * float(cost))
    unseen = random_choices(variables, 200, seed=3)
    errors = np.abs(regression.predict(unseen)[0] / costs(variables, unseen) - 1.0)
    assert np.median(errors) < 0.02
    assert (errors < 0.1).mean() > 0.97


def test_layers_without_sizes_tell_less(variables: Variables) -> None:
    """What a study of the first version says: the same trials, and an error several times as large."""
    blind = lay_out(SPACE, LayerGraph(macs=GRAPH.macs, neighbours=GRAPH.neighbours))
    assert not blind.forms
    seen, unseen = random_choices(variables, 60, seed=2), random_choices(variables, 200, seed=3)
    errors = []
    for known in (variables, blind):
        regression = Regression(design=build_design(known, Priors(kind="cost")), misfits=MISFITS)
        for row, cost in zip(seen, costs(variables, seen), strict=True):
            regression.add(row, float(cost), 0.002)
        errors.append(float(np.median(np.abs(regression.predict(unseen)[0] / costs(variables, unseen) - 1.0))))
    assert errors[1] > 2 * errors[0]


def test_the_exact_solution_is_the_best_of_all_policies(variables: Variables, design: Design) -> None:
    rng = np.random.default_rng(4)
    energy = design.energy(design.mean + design.deviation * rng.normal(size=len(design.mean)))
    plan = plan_elimination(design.layout, interplay(energy))
    assert plan.is_exact
    found = minimize(plan, [energy], np.ones((1, 1)))
    assert energy.values(found)[0] == pytest.approx(energy.values(all_assignments(variables.sizes)).min())


def begin() -> optuna.Study:
    study = optuna.create_study(
        study_name="mine", directions=["minimize", "maximize"], sampler=optuna.samplers.RandomSampler(seed=0)
    )
    adopt_space(study, SPACE, Path("mine"))
    record_layer_graph(study, GRAPH)
    return study


def run(study: optuna.Study, trials: int) -> None:
    for _ in range(trials):
        trial = study.ask()
        SPACE.suggest(trial)
        ratio = true_cost(trial.params) / true_cost(SPACE.params(0))
        lost = 0.01 * sum(trial.params[f"bits/{name}"] == "int8" for name in LAYERS)
        trial.set_user_attr(OUTCOME, {"latency_ratio": ratio, "divergence": lost, "metric": 0.9 - lost})
        study.tell(trial, (ratio, 0.9 - lost))


def knowledge(study: optuna.Study) -> Knowledge:
    found = open_knowledge(study)
    found.learn(study.study_name, study.get_trials(deepcopy=False))
    return found


def error(found: Knowledge) -> float:
    unseen = random_choices(found.variables, 100, seed=5)
    expected, _ = found.predict_cost([found.variables.decode(row) for row in unseen])
    return float(np.median(np.abs(expected / costs(found.variables, unseen) - 1.0)))


def test_profiled_layers_say_what_no_trial_has_said_yet() -> None:
    """The runtime's profile found that int8 does not pay in one of the layers."""
    study = begin()
    params = {**SPACE.params(0), "bits/b": "int8"}
    assert knowledge(study).predict_cost([params])[0][0] < 0.85
    own = knowledge(study).predict_cost([SPACE.params(0)])[0][0] * 0.37
    stranger = TimedPolicy(params={"bits/b": "int8"}, shares={"b": 9.0})  # no policy of this space
    record_layer_table(
        study,
        [
            TimedPolicy(params=SPACE.params(0), shares={"b": own}),
            TimedPolicy(params=params, shares={"b": own}),
            stranger,
        ],
    )
    assert knowledge(study).predict_cost([params])[0][0] > 0.94


@pytest.mark.parametrize("has_sizes", [True, False])
def test_wholes_of_mixed_formats_say_what_conversions_cost(has_sizes: bool) -> None:
    """No layer is slower, and yet two that differ from their neighbours cost more than FP32."""
    study = begin()
    if not has_sizes:
        record_layer_graph(study, LayerGraph(macs=GRAPH.macs, neighbours=GRAPH.neighbours))
    neutral = SPACE.params(0)
    params = [{**neutral, "bits/a": "int8"}, {**neutral, "bits/b": "int8"}]
    before = knowledge(study).predict_cost(params)[0]
    rows = [TimedPolicy(params=each, shares={}, ratio=1.2) for each in params]
    record_layer_table(study, [TimedPolicy(params=neutral, shares={}, ratio=1.0), *rows])
    after = knowledge(study).predict_cost(params)[0]
    assert (before < 1.0).all()
    assert after == pytest.approx([1.2, 1.2], abs=0.06)


def test_what_runs_beside_the_layers_goes_with_them() -> None:
    """Of a network that spends most of its time between its layers half the channels are half of that too."""
    narrow = {knob.name: 0.5 if knob.kind == "sparsity" else knob.choices[0] for knob in SPACE.knobs}
    expected = {}
    for share in (1.0, 0.3):
        study = begin()
        shares = {name: share * GRAPH.share(name) for name in LAYERS}
        halved = {name: 0.3 * each for name, each in shares.items()}
        rows = [TimedPolicy(params=SPACE.params(0), shares=shares), TimedPolicy(params=narrow, shares=halved)]
        record_layer_table(study, rows)
        expected[share] = knowledge(study).predict_cost([narrow])[0][0]
    assert expected[1.0] == pytest.approx(0.3, abs=0.1)
    assert expected[0.3] == pytest.approx(0.3 * 0.3 + 0.7 * 0.5, abs=0.1)


def test_swept_times_of_single_choices_are_believed() -> None:
    effects = {("bits/b", "int8"): Effect(mean=0.1, deviation=0.01)}
    found = open_knowledge(begin(), cost_effects=effects)
    assert found.predict_cost([{**SPACE.params(0), "bits/b": "int8"}])[0] == pytest.approx([1.1], abs=0.03)


def test_any_sampler_s_study_is_known() -> None:
    study = begin()
    run(study, 50)
    assert error(knowledge(study)) < 0.03


def test_swept_damage_is_read_from_the_study() -> None:
    study = begin()
    record_damage_effects(study, {("bits/head", "int8"): Effect(mean=0.7, deviation=0.01)})
    weighed = {one.layer: one for one in open_knowledge(study).layer_importance()}
    assert weighed["head"].divergence == pytest.approx(0.7, abs=0.1)


def test_the_layers_that_can_save_most_come_first() -> None:
    study = begin()
    run(study, 60)
    weighed = knowledge(study).layer_importance()
    assert [one.saving for one in weighed] == sorted((one.saving for one in weighed), reverse=True)
    by_layer = {one.layer: one for one in weighed}
    assert set(by_layer) == set(LAYERS)
    # The inner channels of the branch: without them both its layers are gone.
    branch = by_layer["a"]
    assert branch.params["sparsity/a"] == 1.0
    without = true_cost({**SPACE.params(0), **branch.params}) / true_cost(SPACE.params(0))
    assert branch.saving == pytest.approx(1.0 - without, abs=0.05)
    assert by_layer["head"].cost_ratio < by_layer["b"].cost_ratio < 0.6
    assert by_layer["b"].divergence == pytest.approx(0.01, abs=0.02)
    assert all(0 <= one.divergence_per_saving < math.inf for one in weighed if one.saving > 0)


def test_profiles_tell_savings_where_sizes_are_not_known() -> None:
    """A study of the first version: what int8 saves in a layer is the difference to what FP32 took there."""
    study = optuna.create_study(study_name="mine", directions=["minimize", "maximize"])
    adopt_space(study, SPACE, Path("mine"))
    record_layer_graph(study, LayerGraph(macs=GRAPH.macs, neighbours=GRAPH.neighbours))
    params = {**SPACE.params(0), "bits/head": "int8"}
    before = knowledge(study).predict_cost([params])[0][0]
    rows = [TimedPolicy(params=SPACE.params(0), shares={"head": 0.4}), TimedPolicy(params=params, shares={"head": 0.1})]
    record_layer_table(study, rows)
    after = knowledge(study).predict_cost([params])[0][0]
    assert before - after > 0.1
