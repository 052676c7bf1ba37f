"""What every sampler that `--sampler` names must do."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from compress.policy import Policy
from search.layers.graph import LayerGraph, record_layer_graph
from search.samplers import SAMPLERS, make_sampler
from search.space.space import Choice, Knob, SearchSpace
from search.study.asking import ask_unseen
from search.study.partial import PartialOutcome
from search.study.seen import resume
from search.study.space_record import adopt_space
from search.study.study import open_study
from search.study.trials import OUTCOME, REASON, Outcome

LAYERS = tuple(f"l{index}" for index in range(5))


def space_of(layers: tuple[str, ...], *, ranks: tuple[float, ...] = (1.0, 0.5, 0.25)) -> SearchSpace:
    """Two formats and some ranks for each layer."""
    bits = [Knob(name=f"bits/{name}", layers=(name,), choices=("fp32", "int8")) for name in layers]
    low_rank = [Knob(name=f"rank/{name}", layers=(name,), choices=ranks) for name in layers]
    return SearchSpace(layers=layers, knobs=tuple(knob for pair in zip(bits, low_rank, strict=True) for knob in pair))


SPACE = space_of(LAYERS)

Params = dict[str, Choice]
Judge = Callable[[int], bool]
"""Whether the trial of this number is stopped."""


def begin(study: optuna.Study, space: SearchSpace, path: Path) -> None:
    """Record what a search records."""
    names = space.layers
    skips = ((names[1], names[4]),) if len(names) > 4 else ()
    adopt_space(study, space, path)
    record_layer_graph(study, LayerGraph(macs=dict.fromkeys(names, 1000), neighbours=(*pairwise(names), *skips)))


def evaluate(policy: Policy) -> Outcome:
    """A made-up outcome: what stands for the device."""
    choices = list(policy.layers.values())
    ratio = sum((choice.weight_bits / 32) * choice.rank for choice in choices) / len(choices)
    damage = sum((choice.weight_bits == 8) * 0.01 + (1 - choice.rank) * 0.1 for choice in choices)
    return Outcome(
        digest=policy.digest,
        latency_ms=2.0 * ratio,
        latency_ratio=ratio,
        latency_ratio_low=0.99 * ratio,
        latency_ratio_high=1.01 * ratio,
        grade="clean",
        grade_reason="",
        divergence=damage,
        metric=1.0 - damage,
        metric_drop=damage,
        metric_drop_low=damage - 0.01,
        metric_drop_high=damage + 0.01,
        model_bytes=1000,
    )


def stop(study: optuna.Study, trial: optuna.Trial, whole: Outcome) -> None:
    """End a trial as a search does that has seen enough: by turns before its latency and before its accuracy."""
    taken: dict[str, float] = {"metric": whole.metric, "metric_drop": whole.metric_drop, "divergence": whole.divergence}
    if trial.number % 2:
        names = ("latency_ms", "latency_ratio", "latency_ratio_low", "latency_ratio_high")
        taken = {name: getattr(whole, name) for name in names}
    partial = PartialOutcome(
        digest=whole.digest, samples=0 if trial.number % 2 else 64, model_bytes=1000, reason="it is dominated", **taken
    )
    trial.set_user_attr(OUTCOME, partial.to_attribute())
    trial.set_user_attr(REASON, partial.reason)
    study.tell(trial, state=TrialState.PRUNED)


def search(
    path: Path,
    name: str,
    trials: int,
    seed: int = 3,
    *,
    space: SearchSpace = SPACE,
    is_stopped: Judge = lambda number: False,
    limit: float | None = None,
) -> list[Params]:
    """What one session proposes: a made-up latency and metric stand for the device.

    Args:
        path: The study.
        name: The sampler's.
        trials: How many at most; fewer where the space is exhausted.
        seed: The sampler's.
        space: What is searched.
        is_stopped: Which trials are stopped.
        limit: The damage that is allowed; None for any.
    """
    proposed = []
    with open_study(path, name, seed) as study:
        begin(study, space, path)
        seen = resume(study, space)
        while len(proposed) < trials and (asked := ask_unseen(study, space, seen, seed)) is not None:
            trial, policy = asked
            outcome = evaluate(policy)
            if limit is not None:
                trial.set_constraint("damage", outcome.metric_drop - limit)
            if is_stopped(trial.number):
                stop(study, trial, outcome)
            else:
                trial.set_user_attr(OUTCOME, outcome.to_attribute())
                study.tell(trial, outcome.values)
            seen.add(policy, policy.digest)
            proposed.append(dict(trial.params))
    return proposed


def digests(proposed: list[Params], space: SearchSpace = SPACE) -> set[str]:
    """The policies that parameters stand for."""
    return {space.policy(params).digest for params in proposed}


def fewer(name: str, trials: int) -> int:
    """A Gaussian process takes two seconds for each proposal after its tenth trial: it gets a third of the rest."""
    return 10 + (trials - 10) // 3 if name == "gp" else trials


@pytest.fixture(params=SAMPLERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_it_proposes_new_policies_of_the_space(name: str, tmp_path: Path) -> None:
    trials = fewer(name, 22)
    proposed = search(tmp_path / "study.db", name, trials)
    for params in proposed:
        assert set(params) == {knob.name for knob in SPACE.knobs}
        assert all(params[knob.name] in knob.choices for knob in SPACE.knobs)
    assert len(digests(proposed)) == trials


def test_it_tries_each_policy_of_a_small_space_once_and_ends(name: str, tmp_path: Path) -> None:
    space = space_of(LAYERS[:2], ranks=(1.0, 0.5))
    proposed = search(tmp_path / "study.db", name, 1000, space=space)
    assert len(proposed) == space.size == 16
    assert len(digests(proposed, space)) == space.size


def test_the_seed_decides_what_it_proposes(name: str, tmp_path: Path) -> None:
    trials = fewer(name, 16)
    one, same, other = (search(tmp_path / f"{number}.db", name, trials, seed) for number, seed in enumerate((3, 3, 4)))
    assert one == same
    assert one != other


def test_it_goes_on_in_a_study_that_another_session_began(name: str, tmp_path: Path) -> None:
    trials = fewer(name, 14)
    first = search(tmp_path / "study.db", name, trials)
    second = search(tmp_path / "study.db", name, 4)
    assert len(second) == 4
    assert len(digests(first + second)) == trials + 4


def test_trials_that_run_at_once_differ(name: str, tmp_path: Path) -> None:
    """Whoever asks sees what the others are at; of its own, a sampler that knows nothing may meet one by chance."""
    search(tmp_path / "study.db", name, 12)
    with open_study(tmp_path / "study.db", name, 3) as study:
        alone = {SPACE.suggest(study.ask()).digest for _ in range(4)}
    assert len(alone) >= 3
    with open_study(tmp_path / "study.db", name, 4) as study:
        seen = resume(study, SPACE)
        asked = [ask_unseen(study, SPACE, seen, 4) for _ in range(6)]
    assert len({policy.digest for _, policy in filter(None, asked)}) == 6


def test_trials_without_a_result_do_not_stop_it(name: str, tmp_path: Path) -> None:
    search(tmp_path / "study.db", name, 10)
    distributions = {knob.name: optuna.distributions.CategoricalDistribution(knob.choices) for knob in SPACE.knobs}
    with open_study(tmp_path / "study.db", name, 3) as study:
        for state in (TrialState.FAIL, TrialState.PRUNED, None):
            trial = study.ask()
            SPACE.suggest(trial)
            trial.set_constraint("drop", 0.1)
            if state is not None:
                study.tell(trial, state=state)
        assert set(study.ask(dict(distributions)).params) == {knob.name for knob in SPACE.knobs}


def test_stopped_trials_count_as_tried(name: str, tmp_path: Path) -> None:
    """Two of three trials are stopped, half of them before their latency and half before their accuracy."""
    path = tmp_path / "study.db"
    first = search(path, name, 16, is_stopped=lambda number: number % 3 > 0)
    second = search(path, name, 8, is_stopped=lambda number: number % 3 > 0)
    assert len(digests(first + second)) == 24
    with open_study(path, name, 3) as study:
        states = [trial.state for trial in study.get_trials(deepcopy=False)]
    assert states.count(TrialState.PRUNED) >= 12


def test_it_turns_to_what_a_constraint_allows(name: str, tmp_path: Path) -> None:
    """Every sampler that learns from trials learns constraints from them too; one that does not is not stopped."""
    limit = 0.17
    trials = fewer(name, 44)
    proposed = search(tmp_path / "study.db", name, trials, limit=limit)
    assert len(digests(proposed)) == trials
    if name == "random":
        return
    late = [evaluate(SPACE.policy(params)).metric_drop <= limit for params in proposed[-trials // 2 :]]
    share = sum(evaluate(SPACE.policy(SPACE.params(p))).metric_drop <= limit for p in range(SPACE.size)) / SPACE.size
    assert sum(late) / len(late) > 1.5 * share


def test_no_other_name_is_taken() -> None:
    with pytest.raises(KeyError):
        make_sampler("grid", 0)
