"""Asking until a policy is new, and the study after a crash."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.space.space import Knob, SearchSpace
from search.study.asking import ask_unseen
from search.study.seen import Seen, resume
from search.study.study import open_study
from search.study.trials import DUPLICATE_OF, LABEL, OUTCOME, POSTPONED, REASON, Outcome, count_finished, is_unfinished

FIGURES: dict[str, Any] = {
    "latency_ms": 1.5, "latency_ratio": 0.5, "latency_ratio_low": 0.49, "latency_ratio_high": 0.51, "grade": "clean",
    "grade_reason": "", "metric": 0.9, "metric_drop": 0.01, "metric_drop_low": 0.0, "metric_drop_high": 0.02,
    "divergence": 0.1, "model_bytes": 1000,
}  # fmt: skip


def make_space(layers: int) -> SearchSpace:
    names = tuple(f"l{index}" for index in range(layers))
    knobs = tuple(Knob(name=f"bits/{name}", layers=(name,), choices=("fp32", "int8")) for name in names)
    return SearchSpace(layers=names, knobs=knobs)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "study.db"


@pytest.fixture
def study(path: Path) -> Iterator[optuna.Study]:
    with open_study(path, "random", 0) as study:
        yield study


SPACE = make_space(3)


def ask(study: optuna.Study, seen: Seen) -> optuna.Trial:
    asked = ask_unseen(study, SPACE, seen, 0)
    assert asked is not None
    return asked[0]


def finish(study: optuna.Study, trial: optuna.Trial) -> None:
    outcome = Outcome(digest=f"of {trial.params}", **FIGURES)
    trial.set_user_attr(OUTCOME, outcome.to_attribute())
    study.tell(trial, outcome.values)


def test_a_new_study_begins_with_the_starts(study: optuna.Study) -> None:
    seen = resume(study, SPACE)
    trials = [ask(study, seen) for _ in SPACE.starts()]
    assert [trial.user_attrs[LABEL] for trial in trials] == ["FP32", "all 8-bit"]
    assert [trial.params for trial in trials] == [start.params for start in SPACE.starts()]


def test_what_a_killed_process_was_at_comes_back_after_the_starts(study: optuna.Study) -> None:
    seen = resume(study, SPACE)
    first = ask(study, seen)
    for params in ({"bits/l0": "int8", "bits/l1": "fp32", "bits/l2": "fp32"}, {"bits/l0": "int8"}):
        study.enqueue_trial(params)
        trial = study.ask()
        for name in params:
            trial.suggest_categorical(name, ("fp32", "int8"))
    planned = resume(study, SPACE).planned
    assert [plan.attributes.get(LABEL) for plan in planned] == ["FP32", "all 8-bit", None]
    assert planned[2].params == {"bits/l0": "int8", "bits/l1": "fp32", "bits/l2": "fp32"}
    assert [trial.state.name for trial in study.trials] == ["FAIL"] * 3
    assert is_unfinished(study.trials[first.number])
    assert count_finished(study.trials) == 0


def test_what_waits_in_optunas_own_queue_is_taken_out(study: optuna.Study) -> None:
    """A process killed between putting a policy into the queue and taking it out again leaves it there."""
    study.enqueue_trial({"bits/l0": "int8", "bits/l1": "int8", "bits/l2": "fp32"})
    seen = resume(study, SPACE)
    assert ask(study, seen).user_attrs[LABEL] == "FP32"
    assert not [trial for trial in study.get_trials() if trial.state.name == "WAITING"]


@pytest.mark.parametrize(
    ("name", "value", "state", "finished"),
    [
        (OUTCOME, Outcome(digest="d", **FIGURES).to_attribute(), "COMPLETE", 1),
        (REASON, "no good", "FAIL", 1),
        (DUPLICATE_OF, "d", "FAIL", 0),
    ],
)
def test_a_trial_killed_between_its_last_words_and_its_end_has_ended(
    study: optuna.Study, name: str, value: object, state: str, finished: int
) -> None:
    seen = resume(study, SPACE)
    ask(study, seen).set_user_attr(name, value)
    again = resume(study, SPACE)
    assert [trial.state.name for trial in study.trials] == [state]
    assert count_finished(study.trials) == finished
    assert SPACE.policy({}) in again
    assert [plan.attributes[LABEL] for plan in again.planned] == ["all 8-bit"]


def test_a_second_try_survives_a_crash_and_stays_a_second_try(study: optuna.Study) -> None:
    seen = resume(study, SPACE)
    for _ in SPACE.starts():
        finish(study, ask(study, seen))
    seen = resume(study, SPACE)
    trial = ask(study, seen)
    trial.set_user_attr(POSTPONED, "noise")
    study.tell(trial, state=optuna.trial.TrialState.FAIL)
    for _ in range(2):
        (plan,) = resume(study, SPACE).planned
        assert plan.params == trial.params
        assert plan.attributes == {POSTPONED: "noise"}
        ask(study, resume(study, SPACE))  # and killed again


@settings(max_examples=12, deadline=None)
@given(st.lists(st.sampled_from(["finish", "fail", "kill"]), max_size=12))
def test_however_it_is_interrupted_no_policy_is_lost_or_finished_twice(events: list[str]) -> None:
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=optuna.samplers.RandomSampler(seed=0))
    seen, finished = resume(study, SPACE), []
    for event in [*events, *["finish"] * 8]:
        asked = ask_unseen(study, SPACE, seen, 0)
        if asked is None:
            break
        trial, policy = asked
        if event == "kill":
            seen = resume(study, SPACE)
            continue
        finished.append(policy.digest)
        if event == "finish":
            finish(study, trial)
        else:
            trial.set_user_attr(REASON, "no")
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        seen.add(policy, "d")
    assert len(finished) == len(set(finished)) == SPACE.size == count_finished(study.trials)


def test_every_policy_is_found_and_then_there_is_none(study: optuna.Study) -> None:
    seen = resume(study, SPACE)
    digests = set()
    while (asked := ask_unseen(study, SPACE, seen, 0)) is not None:
        finish(study, asked[0])
        seen.add(asked[1], "d")
        digests.add(asked[1].digest)
    assert len(digests) == SPACE.size
    assert all(DUPLICATE_OF in trial.user_attrs for trial in study.trials if trial.state.name == "FAIL")


class Stubborn(optuna.samplers.RandomSampler):
    def sample_independent(self, *_: object) -> str:
        return "int8"


def test_a_sampler_that_repeats_itself_does_not_stop_the_search(study: optuna.Study) -> None:
    study.sampler = Stubborn()
    seen = resume(study, SPACE)
    for _ in range(4):
        trial = ask(study, seen)
        finish(study, trial)
        seen.add(SPACE.policy(trial.params), "d")
    assert count_finished(study.trials) == 4


def test_a_space_without_knobs_has_one_policy(study: optuna.Study) -> None:
    space = SearchSpace(layers=("l0",), knobs=())
    seen = resume(study, space)
    asked = ask_unseen(study, space, seen, 0)
    assert asked is not None
    seen.add(asked[1], "d")
    assert ask_unseen(study, space, seen, 0) is None
