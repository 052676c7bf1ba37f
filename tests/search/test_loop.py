"""The loop: failures, duplicates, second tries, and when it stops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import optuna
import pytest

from compress.errors import PolicyError
from compress.policy import Policy
from latency import MeasurementError
from search.errors import FailingTrialsError, SearchError
from search.loop import SearchLoop
from search.outlook import Budget
from search.progress import Progress
from search.space.space import Knob, SearchSpace
from search.stages import StageClock
from search.study.asking import ask_unseen
from search.study.seen import resume
from search.study.study import FP32_MS, open_study
from search.study.trials import DUPLICATE_OF, OUTCOME, REASON, Outcome, count_finished, outcomes_of
from workloads import WorkloadError

Run = Callable[..., SearchLoop]


def make_space(layers: int = 3) -> SearchSpace:
    names = tuple(f"l{index}" for index in range(layers))
    knobs = tuple(Knob(name=f"bits/{name}", layers=(name,), choices=("fp32", "int8")) for name in names)
    return SearchSpace(layers=names, knobs=knobs)


def make_outcome(digest: str = "d", **changes: Any) -> Outcome:
    figures: dict[str, Any] = {
        "latency_ms": 1.0, "latency_ratio": 0.5, "latency_ratio_low": 0.49, "latency_ratio_high": 0.51,
        "grade": "clean", "grade_reason": "", "metric": 0.9, "metric_drop": 0.01, "metric_drop_low": 0.0,
        "metric_drop_high": 0.02, "divergence": 0.1, "model_bytes": 1000,
    }  # fmt: skip
    return Outcome(digest=digest, **{**figures, **changes})


@dataclass(frozen=True)
class FakeCandidate:
    policy: Policy
    digest: str


@dataclass
class FakeEvaluator:
    """Each 8-bit layer takes a tenth off the ratio and a hundredth off the metric.

    Attributes:
        before: Called with every candidate; may raise, or return changes to its outcome.
        digest: The candidate's digest by policy.
        evaluated: The policies that were evaluated.
    """

    before: Callable[[FakeCandidate], dict[str, Any] | None] = lambda _: None
    digest: Callable[[Policy], str] = lambda policy: f"candidate of {policy.digest}"
    evaluated: list[Policy] = field(default_factory=list)

    def build(self, policy: Policy) -> FakeCandidate:
        return FakeCandidate(policy, self.digest(policy))

    def evaluate(
        self, candidate: FakeCandidate, reference_ms: float | None = None, *, again: bool = False, watch: Any = None
    ) -> Outcome:
        self.evaluated.append(candidate.policy)
        changes = self.before(candidate) or {}
        eight = sum(choice.weight_bits == 8 for choice in candidate.policy.layers.values())
        ratio = 1.01 - eight / 10
        figures = {
            "latency_ratio": ratio, "latency_ratio_low": ratio, "latency_ratio_high": ratio,
            "latency_ms": ratio * (reference_ms or 2.0), "metric": 1 - eight / 100, "metric_drop": eight / 100,
            "metric_drop_high": 1.0,
        }  # fmt: skip
        return make_outcome(candidate.digest, **{**figures, **changes})


@pytest.fixture
def study(tmp_path: Path) -> Iterator[optuna.Study]:
    with open_study(tmp_path / "study.db", "random", 0) as study:
        yield study


@pytest.fixture
def run(study: optuna.Study) -> Run:
    """Run a loop on the study to its end."""

    def session(evaluator: FakeEvaluator, **settings: Any) -> SearchLoop:
        space = settings.pop("space", make_space(4))
        options = {
            "budget": Budget(trials=6), "confirmation_s": lambda front, typical_s: 0.0, "stages": StageClock(),
            **settings,
        }  # fmt: skip
        loop = SearchLoop(study=study, space=space, seen=resume(study, space), evaluator=evaluator, seed=0, **options)
        loop.run()
        return loop

    return session


def states(study: optuna.Study) -> list[str]:
    return [trial.state.name for trial in study.trials]


def is_fp32(candidate: FakeCandidate) -> bool:
    return all(choice.weight_bits == 32 for choice in candidate.policy.layers.values())


def failing_when(condition: Callable[[FakeCandidate], bool], error: Exception) -> FakeEvaluator:
    def before(candidate: FakeCandidate) -> None:
        if condition(candidate):
            raise error

    return FakeEvaluator(before)


def test_it_runs_as_many_trials_as_asked_and_counts_those_of_earlier_sessions(study: optuna.Study, run: Run) -> None:
    run(FakeEvaluator())
    assert states(study).count("COMPLETE") == 6
    again = FakeEvaluator()
    run(again)
    assert again.evaluated == []
    run(again, budget=Budget(trials=8))
    assert len(again.evaluated) == 2
    assert len({outcome.digest for outcome in outcomes_of(study.trials)}) == 8


def test_what_of_a_trial_nobody_counts_is_bookkeeping(run: Run) -> None:
    now = 0.0

    def evaluated(_: FakeCandidate) -> None:
        nonlocal now
        now += 10.0

    def told(_: Progress) -> None:
        nonlocal now
        now += 1.0

    loop = run(FakeEvaluator(evaluated), listener=told, stages=StageClock(clock=lambda: now))
    assert loop.stages.seconds["bookkeeping"] == pytest.approx(6 * 11.0)
    assert sum(loop.stages.seconds.values()) == pytest.approx(now)


@pytest.mark.parametrize(
    "error", [PolicyError("cannot be built"), WorkloadError("not finite"), MeasurementError("worker died")]
)
def test_a_candidate_that_fails_is_a_failed_trial_with_its_reason(
    study: optuna.Study, run: Run, error: Exception
) -> None:
    steps: list[Progress] = []
    run(failing_when(lambda c: c.policy["l1"].weight_bits == 8, error), listener=steps.append)
    failed = [trial for trial in study.trials if trial.state.name == "FAIL" and REASON in trial.user_attrs]
    assert failed
    assert {trial.user_attrs[REASON] for trial in failed} == {str(error)}
    assert count_finished(study.trials) == 6
    assert [step.note for step in steps if step.note] == [f"#{trial.number} failed: {error}" for trial in failed]


def test_a_failed_policy_is_not_tried_again(study: optuna.Study, run: Run) -> None:
    evaluator = failing_when(lambda c: c.policy["l1"].weight_bits == 8, WorkloadError("no"))
    for trials in (4, 8, 12):
        run(evaluator, budget=Budget(trials=trials))
    assert len({policy.digest for policy in evaluator.evaluated}) == len(evaluator.evaluated) == 12


def test_fp32_failing_ends_the_run_at_once_and_is_tried_again_by_the_next(study: optuna.Study, run: Run) -> None:
    with pytest.raises(SearchError, match="the FP32 network itself cannot be evaluated: out of reach"):
        run(failing_when(is_fp32, MeasurementError("out of reach")))
    assert states(study) == ["FAIL"]
    assert count_finished(study.trials) == 0
    run(FakeEvaluator(), budget=Budget(trials=2))
    assert [trial.user_attrs["label"] for trial in study.trials] == ["FP32", "FP32", "all 8-bit"]


def test_ten_failures_in_a_row_end_the_run(study: optuna.Study, run: Run) -> None:
    evaluator = failing_when(lambda candidate: not is_fp32(candidate), WorkloadError("no"))
    with pytest.raises(FailingTrialsError, match=r"10 trials failed one after another; #\d+ failed: no"):
        run(evaluator, budget=Budget(trials=16))
    assert len(evaluator.evaluated) == 11


def test_an_unexpected_error_leaves_nothing_running_and_the_policy_comes_first_next_time(
    study: optuna.Study, run: Run
) -> None:
    calls: list[FakeCandidate] = []

    def interrupt(candidate: FakeCandidate) -> None:
        calls.append(candidate)
        if len(calls) == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(FakeEvaluator(interrupt))
    assert states(study) == ["COMPLETE"] * 3 + ["FAIL"]
    again = FakeEvaluator()
    run(again, budget=Budget(trials=4))
    assert again.evaluated == [calls[-1].policy]


def test_an_interrupt_between_a_trials_beginning_and_its_evaluation_leaves_nothing_running(
    study: optuna.Study, run: Run
) -> None:
    def interrupt(number: int) -> AbstractContextManager[None]:
        if number == 3:
            raise KeyboardInterrupt
        return nullcontext()

    with pytest.raises(KeyboardInterrupt):
        run(FakeEvaluator(), beating=interrupt)
    assert states(study) == ["COMPLETE"] * 3 + ["FAIL"]


def test_an_interrupt_between_a_trials_figures_and_its_end_loses_none(
    study: optuna.Study, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell, told = study.tell, []

    def interrupt(*arguments: Any, **settings: Any) -> Any:
        told.append(arguments)
        if len(told) == 3:
            raise KeyboardInterrupt
        return tell(*arguments, **settings)

    monkeypatch.setattr(study, "tell", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(FakeEvaluator())
    assert states(study) == ["COMPLETE"] * 3


def test_the_reference_is_fp32s_latency_even_if_fp32_is_not_the_first_to_finish(study: optuna.Study, run: Run) -> None:
    tries: list[FakeCandidate] = []

    def unreliable_at_first(candidate: FakeCandidate) -> dict[str, Any] | None:
        tries.append(candidate)
        return {"grade": "unreliable", "grade_reason": "noise"} if len(tries) == 1 else None

    steps: list[Progress] = []
    run(FakeEvaluator(unreliable_at_first), listener=steps.append)
    assert study.user_attrs[FP32_MS] == pytest.approx(2.0)
    outcomes = outcomes_of(study.trials)
    assert all(outcome.latency_ms == pytest.approx(2.0 * outcome.latency_ratio) for outcome in outcomes)
    assert sum(is_fp32(candidate) for candidate in tries) == 2
    assert steps[0].note == "#0 will be tried again: latency is unreliable: noise"


def test_twice_unreliable_is_a_failure(study: optuna.Study, run: Run) -> None:
    def noisy(candidate: FakeCandidate) -> dict[str, Any] | None:
        return None if is_fp32(candidate) else {"grade": "unreliable", "grade_reason": "noise"}

    evaluator = FakeEvaluator(noisy)
    run(evaluator, budget=Budget(trials=4))
    reasons = [trial.user_attrs[REASON] for trial in study.trials if REASON in trial.user_attrs]
    assert reasons == ["latency is unreliable: noise"] * 3
    assert all(OUTCOME not in trial.user_attrs for trial in study.trials if trial.state.name == "FAIL")


def test_another_policy_with_the_same_bytes_is_a_duplicate_and_is_not_told_twice(study: optuna.Study, run: Run) -> None:
    def digest(policy: Any) -> str:
        return str([choice.weight_bits for name, choice in policy.layers.items() if name != "l0"])

    steps: list[Progress] = []
    evaluator = FakeEvaluator(digest=digest)
    run(evaluator, budget=Budget(trials=100), listener=steps.append)
    assert len(evaluator.evaluated) == 8
    assert {trial.user_attrs[DUPLICATE_OF] for trial in study.trials if DUPLICATE_OF in trial.user_attrs} <= {
        outcome.digest for outcome in outcomes_of(study.trials)
    }
    assert [step.done for step in steps if not step.note] == list(range(1, 9))
    assert steps[-1].note == "every policy of the space has been tried"


class Clock:
    """Every trial takes ten seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def tick(self, _: FakeCandidate) -> None:
        self.now += 10.0


def test_a_deadline_leaves_time_for_the_confirmation(study: optuna.Study, run: Run) -> None:
    clock = Clock()
    steps: list[Progress] = []
    run(
        FakeEvaluator(clock.tick), budget=Budget(deadline_s=100.0), clock=clock,
        confirmation_s=lambda front, typical_s: 3 * typical_s, listener=steps.append,
    )  # fmt: skip
    assert clock.now == 60.0  # one more would leave less than the 30 seconds of the confirmation
    assert [step.remaining_s for step in steps] == [90.0, 80.0, 70.0, 60.0, 50.0, 40.0]
    assert {step.total for step in steps} == {None}


def test_whichever_limit_comes_first_ends_it(study: optuna.Study, run: Run) -> None:
    clock = Clock()
    steps: list[Progress] = []
    run(FakeEvaluator(clock.tick), budget=Budget(trials=3, deadline_s=1e6), clock=clock, listener=steps.append)
    assert clock.now == 30.0
    assert [step.remaining_s for step in steps] == [20.0, 10.0, 0.0]


def test_the_time_left_counts_the_confirmation(study: optuna.Study, run: Run) -> None:
    clock = Clock()
    steps: list[Progress] = []
    run(
        FakeEvaluator(clock.tick), budget=Budget(trials=3), clock=clock,
        confirmation_s=lambda front, typical_s: 7 * typical_s, listener=steps.append,
    )  # fmt: skip
    assert [step.remaining_s for step in steps] == [90.0, 80.0, 70.0]


def test_fp32_is_evaluated_however_late_it_is(study: optuna.Study, run: Run) -> None:
    clock = Clock()
    clock.now = 500.0
    evaluator = FakeEvaluator(clock.tick)
    run(evaluator, budget=Budget(deadline_s=100.0), clock=clock)
    assert len(evaluator.evaluated) == 1


def at_trial_of_another(study: optuna.Study, space: SearchSpace) -> optuna.Trial:
    """A trial that a worker on another machine is at."""
    seen = resume(study, space, joins=True)
    seen.here = replace(seen.here, machine="elsewhere")
    asked = ask_unseen(study, space, seen, 0)
    assert asked is not None
    return asked[0]


def test_what_others_finish_counts_towards_the_trials_wanted(study: optuna.Study, run: Run) -> None:
    others = at_trial_of_another(study, make_space(4))
    looks = []

    def before(_: FakeCandidate) -> None:
        if not looks:
            looks.append(1)
            outcome = make_outcome("another's")
            others.set_user_attr(OUTCOME, outcome.to_attribute())
            study.tell(others, outcome.values)

    evaluator = FakeEvaluator(before)
    loop = run(evaluator)
    assert (loop.trials_run, len(evaluator.evaluated), states(study).count("COMPLETE")) == (5, 5, 6)


def test_what_others_are_at_is_waited_for_instead_of_one_trial_too_many(study: optuna.Study, run: Run) -> None:
    others = at_trial_of_another(study, make_space(4))
    evaluator = FakeEvaluator()

    def end_it() -> bool:
        if len(evaluator.evaluated) == 5 and study.trials[others.number].state.name == "RUNNING":
            outcome = make_outcome("another's")
            others.set_user_attr(OUTCOME, outcome.to_attribute())
            study.tell(others, outcome.values)
        return False

    run(evaluator, is_over=end_it)
    assert (len(evaluator.evaluated), states(study).count("COMPLETE")) == (5, 6)


def test_all_latencies_are_in_terms_of_the_reference_that_came_first(study: optuna.Study, run: Run) -> None:
    def before(_: FakeCandidate) -> None:
        if FP32_MS not in study.user_attrs:
            study.set_user_attr(FP32_MS, 4.0)  # another worker's first trial is done while this one is measured

    run(FakeEvaluator(before))
    outcomes = outcomes_of(study.trials)
    assert len(outcomes) == 6
    assert [outcome.latency_ms for outcome in outcomes] == [outcome.latency_ratio * 4.0 for outcome in outcomes]
    completed = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    assert [trial.values[0] for trial in completed] == [outcome.latency_ms for outcome in outcomes]


def test_a_trial_that_was_taken_away_costs_that_trial_alone(study: optuna.Study, run: Run) -> None:
    steps: list[Progress] = []
    taken: list[int] = []

    def before(_: FakeCandidate) -> None:
        if not taken:
            taken.append(study.trials[-1].number)
            study.tell(taken[0], state=optuna.trial.TrialState.FAIL)  # as for one whose heartbeats did not come through

    run(FakeEvaluator(before), listener=steps.append)
    assert states(study).count("COMPLETE") == 6
    assert [step.note for step in steps if "was taken for lost" in step.note]
    assert study.trials[taken[0]].params in [t.params for t in study.trials if t.state.name == "COMPLETE"]


def test_an_own_limit_ends_the_loop_before_the_studys(study: optuna.Study, run: Run) -> None:
    assert run(FakeEvaluator(), budget=Budget(trials=6, own_trials=2)).trials_run == 2
    assert states(study).count("COMPLETE") == 2
