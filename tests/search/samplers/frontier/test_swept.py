"""What the sampler makes of a sweep: its first proposals know which layers are delicate."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import optuna
import pytest

from search.layers.effects import Effect, Effects, record_damage_effects
from search.layers.graph import LayerGraph, record_layer_graph
from search.samplers.frontier import FrontierSampler, open_knowledge
from search.space.space import Choice, Knob, SearchSpace
from search.study.space_record import adopt_space
from search.study.trials import OUTCOME

LAYERS = tuple(f"l{index}" for index in range(8))
SPACE = SearchSpace(
    layers=LAYERS,
    knobs=tuple(Knob(name=f"bits/{name}", layers=(name,), choices=("fp32", "int8")) for name in LAYERS),
)
GRAPH = LayerGraph(macs=dict.fromkeys(LAYERS, 100), neighbours=tuple(pairwise(LAYERS)))
DELICATE = "bits/l3"


def swept(delicate: str = DELICATE) -> Effects:
    return {
        (knob.name, "int8"): Effect(mean=size, deviation=0.3 * size)
        for knob in SPACE.knobs
        for size in [0.5 if knob.name == delicate else 0.001]
    }


def begin(sampler: FrontierSampler) -> optuna.Study:
    study = optuna.create_study(study_name="s", directions=["minimize", "maximize"], sampler=sampler)
    adopt_space(study, SPACE, Path("s"))
    record_layer_graph(study, GRAPH)
    return study


def outcome(params: dict[str, Choice], exponent: float = 1.0) -> dict[str, float]:
    """A tenth of the cost per layer; what the sweep says of damage, in this power of which it adds up."""
    narrow = [key for key in params.items() if key[1] == "int8"]
    cost = 1.0 - 0.1 * len(narrow)
    divergence = sum(swept()[key].mean ** exponent for key in narrow) ** (1 / exponent)
    return {
        "latency_ratio": cost,
        "latency_ratio_low": 0.995 * cost,
        "latency_ratio_high": 1.005 * cost,
        "divergence": divergence,
        "metric": 0.9 - min(divergence, 0.5),
    }


def carry_out(study: optuna.Study, params: dict[str, Choice] | None = None, exponent: float = 1.0) -> dict[str, Choice]:
    if params is not None:
        study.enqueue_trial(params)
    trial = study.ask()
    SPACE.suggest(trial)
    found = outcome(trial.params, exponent)
    trial.set_user_attr(OUTCOME, found)
    study.tell(trial, (found["latency_ratio"], found["metric"]))
    return dict(trial.params)


def first_proposals(study: optuna.Study, count: int = 5) -> list[Choice]:
    """What becomes of the delicate layer after FP32 and all int8."""
    carry_out(study, {knob.name: "fp32" for knob in SPACE.knobs})
    carry_out(study, {knob.name: "int8" for knob in SPACE.knobs})
    return [carry_out(study)[DELICATE] for _ in range(count)]


def test_a_layer_that_the_sweep_found_delicate_stays_wide_from_the_first_proposal_on() -> None:
    study = begin(FrontierSampler(0))
    record_damage_effects(study, swept())
    assert first_proposals(study) == ["fp32"] * 5


def test_without_a_sweep_it_cannot_know() -> None:
    assert "int8" in first_proposals(begin(FrontierSampler(0)))


def test_what_is_given_by_hand_counts_for_more() -> None:
    study = begin(FrontierSampler(0, damage_effects=swept()))
    record_damage_effects(study, swept("bits/l0"))
    assert first_proposals(study) == ["fp32"] * 5


def test_a_sweep_that_ends_in_another_process_is_heard_of() -> None:
    sampler = FrontierSampler(0)
    study = begin(sampler)
    first_proposals(study, 1)
    record_damage_effects(study, swept())
    assert [carry_out(study)[DELICATE] for _ in range(4)] == ["fp32"] * 4


@pytest.mark.parametrize("exponent", [0.7, 1.0, 2.0])
def test_damage_adds_up_in_the_power_that_the_sweep_found(exponent: float) -> None:
    """Before any trial, the divergence of a policy is what the sweep makes of it; layers are told of in divergences."""
    study = begin(FrontierSampler(0))
    record_damage_effects(study, swept(), exponent=exponent)
    knowledge = open_knowledge(study)
    for importance in knowledge.layer_importance():
        expected = swept()[f"bits/{importance.layer}", "int8"].mean
        assert importance.divergence == pytest.approx(expected, rel=1e-3)
    for _ in range(3):
        carry_out(study, exponent=exponent)
    knowledge.learn("s", study.get_trials(deepcopy=False))
    divergences = [importance.divergence for importance in knowledge.layer_importance() if importance.layer != "l3"]
    assert np.allclose(divergences, 0.001, rtol=0.5)
