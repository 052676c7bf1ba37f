"""What every sampler that `--sampler` names must do."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import optuna
import pytest

from compress.policy import Policy
from search.asking import ask_unseen
from search.layer_graph import LayerGraph, record_layer_graph
from search.samplers import SAMPLERS, make_sampler
from search.seen import resume
from search.space import Choice, Knob, SearchSpace
from search.space_record import adopt_space
from search.study import open_study
from search.trials import OUTCOME

LAYERS = tuple(f"l{index}" for index in range(5))
SPACE = SearchSpace(
    layers=LAYERS,
    knobs=tuple(
        knob
        for name in LAYERS
        for knob in (
            Knob(name=f"bits/{name}", layers=(name,), choices=("fp32", "int8")),
            Knob(name=f"rank/{name}", layers=(name,), choices=(1.0, 0.5, 0.25)),
        )
    ),
)

GRAPH = LayerGraph(macs=dict.fromkeys(LAYERS, 1000), neighbours=(*pairwise(LAYERS), (LAYERS[1], LAYERS[4])))

Params = dict[str, Choice]


def begin(study: optuna.Study, path: Path) -> None:
    """Record what a search records."""
    adopt_space(study, SPACE, path)
    record_layer_graph(study, GRAPH)


def evaluate(policy: Policy) -> dict[str, float | str]:
    """A made-up outcome: what stands for the device."""
    ratio = sum((c.weight_bits / 32) * c.rank for c in policy.layers.values()) / len(LAYERS)
    damage = sum((c.weight_bits == 8) * 0.01 + (1 - c.rank) * 0.1 for c in policy.layers.values())
    interval = {"latency_ratio_low": 0.99 * ratio, "latency_ratio_high": 1.01 * ratio}
    metric = 1.0 - damage
    return {"digest": policy.digest, "latency_ratio": ratio, **interval, "divergence": damage, "metric": metric}


def search(path: Path, name: str, trials: int, seed: int = 3) -> list[Params]:
    """What one session proposes: a made-up latency and metric stand for the device."""
    proposed = []
    with open_study(path, name, seed) as study:
        begin(study, path)
        seen = resume(study, SPACE)
        for _ in range(trials):
            asked = ask_unseen(study, SPACE, seen, seed)
            assert asked is not None
            trial, policy = asked
            outcome = evaluate(policy)
            trial.set_user_attr(OUTCOME, outcome)
            study.tell(trial, (float(outcome["latency_ratio"]), float(outcome["metric"])))
            seen.add(policy, policy.digest)
            proposed.append(dict(trial.params))
    return proposed


@pytest.fixture(params=SAMPLERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_it_proposes_new_policies_of_the_space(name: str, tmp_path: Path) -> None:
    proposed = search(tmp_path / "study.db", name, 22)
    for params in proposed:
        assert set(params) == {knob.name for knob in SPACE.knobs}
        assert all(params[knob.name] in knob.choices for knob in SPACE.knobs)
    assert len({SPACE.policy(params).digest for params in proposed}) == len(proposed)


def test_the_seed_decides_what_it_proposes(name: str, tmp_path: Path) -> None:
    one, same, other = (search(tmp_path / f"{number}.db", name, 16, seed) for number, seed in enumerate((3, 3, 4)))
    assert one == same
    assert one != other


def test_it_goes_on_in_a_study_that_another_session_began(name: str, tmp_path: Path) -> None:
    first = search(tmp_path / "study.db", name, 14)
    second = search(tmp_path / "study.db", name, 6)
    assert len({SPACE.policy(params).digest for params in first + second}) == 20


def test_trials_that_run_at_once_differ(name: str, tmp_path: Path) -> None:
    search(tmp_path / "study.db", name, 12)
    with open_study(tmp_path / "study.db", name, 3) as study:
        policies = {SPACE.suggest(study.ask()).digest for _ in range(4)}
    assert len(policies) >= 3  # who knows nothing of the others may meet one by chance


def test_trials_without_a_result_do_not_stop_it(name: str, tmp_path: Path) -> None:
    from optuna.trial import TrialState

    search(tmp_path / "study.db", name, 10)
    with open_study(tmp_path / "study.db", name, 3) as study:
        for state in (TrialState.FAIL, TrialState.PRUNED, None):
            trial = study.ask()
            SPACE.suggest(trial)
            trial.set_constraint("drop", 0.1)
            if state is not None:
                study.tell(trial, state=state)
        assert set(study.ask(dict(_distributions())).params) == {knob.name for knob in SPACE.knobs}


def _distributions() -> dict[str, optuna.distributions.CategoricalDistribution]:
    return {knob.name: optuna.distributions.CategoricalDistribution(knob.choices) for knob in SPACE.knobs}


def test_no_other_name_is_taken() -> None:
    with pytest.raises(KeyError):
        make_sampler("grid", 0)
