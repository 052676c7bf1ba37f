"""The overnight loop: ask, evaluate, tell, until the trials or the time are used up."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from compress.errors import CompressionError
from compress.policy import Policy
from latency import MeasurementError
from search import pareto
from search.errors import FailingTrialsError, SearchError
from search.evaluate import Evaluator
from search.figures import is_fraction
from search.point import FP32_LABEL
from search.progress import Listener, Progress, silent
from search.results import FP32_INSTRUCTIONS, FP32_MS
from search.space import SearchSpace
from search.stages import StageClock
from search.study import Planned, Seen, ask_unseen, kept_attributes, mark_interrupted, tell_duplicate
from search.trials import LABEL, OUTCOME, POSTPONED, REASON, Outcome, count_finished, outcomes_of
from workloads import WorkloadError

if TYPE_CHECKING:
    import optuna

_FAILURES_IN_A_ROW = 10


@dataclass(frozen=True, kw_only=True)
class Budget:
    """When to stop starting trials.

    Attributes:
        trials: Finished trials wanted in the study, those of earlier sessions included; None for no such limit.
        deadline_s: On the loop's clock; confirmation has to be over by then. None for no such limit.
    """

    trials: int | None = None
    deadline_s: float | None = None


@dataclass(kw_only=True)
class SearchLoop:
    """Runs trials on a study.

    Attributes:
        study: The Optuna study.
        space: What it searches.
        seen: What it knows already.
        evaluator: Takes a candidate's figures.
        budget: When to stop.
        seed: For unseen policies drawn at random when the sampler repeats itself.
        stages: Where the seconds are counted.
        confirmation_s: Estimates the seconds that confirming a front of the given size takes, from the median
            seconds per trial.
        listener: Told after every trial.
        clock: Monotonic seconds.
    """

    study: "optuna.Study"
    space: SearchSpace
    seen: Seen
    evaluator: Evaluator
    budget: Budget
    seed: int
    stages: StageClock
    confirmation_s: Callable[[int, float], float]
    listener: Listener = silent
    clock: Callable[[], float] = time.monotonic
    _trial_seconds: list[float] = field(default_factory=list)
    _failures_in_a_row: int = 0

    def run(self) -> None:
        """Run trials until the budget is used up or the space is exhausted.

        Raises:
            SearchError: FP32 itself fails.
            FailingTrialsError: Trials fail one after another.
            TargetError: The target is gone; the trial that was at it counts as interrupted and is tried again.
        """
        trials = self.study.get_trials(deepcopy=False)
        self._outcomes = outcomes_of(trials)
        self._finished = count_finished(trials)
        while not self._is_over():
            with self.stages.stage("sampler"):
                asked = ask_unseen(self.study, self.space, self.seen, self.seed)
            if asked is None:
                self._report("every policy of the space has been tried")
                return
            started, finished = self.clock(), self._finished
            note = self._run_trial(*asked)
            if self._finished > finished:
                self._trial_seconds.append(self.clock() - started)
            if self._finished > finished or note:
                self._report(note)
            if self._failures_in_a_row >= _FAILURES_IN_A_ROW:
                raise FailingTrialsError(f"{_FAILURES_IN_A_ROW} trials failed one after another; {note}")

    def _is_over(self) -> bool:
        if self.budget.trials is not None and self._finished >= self.budget.trials:
            return True
        if self.budget.deadline_s is None or not self._outcomes:  # without FP32's figures there is nothing to report
            return False
        typical_s = statistics.median(self._trial_seconds) if self._trial_seconds else 0.0
        needed_s = typical_s + self.confirmation_s(len(self._front()), typical_s)
        return self.clock() + needed_s >= self.budget.deadline_s

    def _run_trial(self, trial: "optuna.Trial", policy: Policy) -> str:
        """Run a trial and say what is worth a line about it."""
        try:
            outcome = self._evaluate(trial, policy)
        except (CompressionError, WorkloadError, MeasurementError) as error:
            return self._fail(trial, policy, str(error))
        except BaseException:
            mark_interrupted(self.study, trial.number)
            raise
        if outcome is None:
            return ""
        if outcome.grade == "unreliable":
            return self._postpone(trial, policy, f"latency is unreliable: {outcome.grade_reason}")
        self._complete(trial, policy, outcome)
        return ""

    def _evaluate(self, trial: "optuna.Trial", policy: Policy) -> Outcome | None:
        """The outcome, or None when the policy leads to a candidate that is known already."""
        candidate = self.evaluator.build(policy)
        known = set(self.seen.candidates.values())
        if candidate.digest in known:
            self.seen.add(policy, candidate.digest)
            tell_duplicate(self.study, trial, candidate.digest)
            return None
        again = bool(trial.user_attrs.get(POSTPONED))
        return self.evaluator.evaluate(candidate, self.study.user_attrs.get(FP32_MS), again=again)

    def _complete(self, trial: "optuna.Trial", policy: Policy, outcome: Outcome) -> None:
        with self.stages.stage("storage"):
            # A cost over its ratio is that of the baseline beside it.
            name = FP32_INSTRUCTIONS if outcome.is_emulated else FP32_MS
            if name not in self.study.user_attrs:
                fp32_cost = outcome.cost / outcome.cost_ratio
                self.study.set_user_attr(name, round(fp32_cost) if outcome.is_emulated else fp32_cost)
            trial.set_user_attr(OUTCOME, outcome.to_attribute())
            self.study.tell(trial, outcome.values)
        self.seen.add(policy, outcome.digest)
        self._outcomes.append(outcome)
        self._finished += 1
        self._failures_in_a_row = 0

    def _postpone(self, trial: "optuna.Trial", policy: Policy, reason: str) -> str:
        """Try once more after what is planned; the second time it is a failure."""
        import optuna

        if trial.user_attrs.get(POSTPONED):
            return self._fail(trial, policy, reason)
        trial.set_user_attr(POSTPONED, reason)
        self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
        again = Planned(params=trial.params, attributes=kept_attributes(trial.user_attrs))
        if trial.user_attrs.get(LABEL) == FP32_LABEL:
            self.seen.planned.appendleft(again)  # everything else is reported against it
        else:
            self.seen.planned.append(again)
        return f"#{trial.number} will be tried again: {reason}"

    def _fail(self, trial: "optuna.Trial", policy: Policy, reason: str) -> str:
        import optuna

        if trial.user_attrs.get(LABEL) == FP32_LABEL:
            mark_interrupted(self.study, trial.number)  # not counted: the next session must try it again
            raise SearchError(f"the FP32 network itself cannot be evaluated: {reason}")
        trial.set_user_attr(REASON, reason)
        self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
        self.seen.add(policy, "")
        self._finished += 1
        self._failures_in_a_row += 1
        return f"#{trial.number} failed: {reason}"

    def _front(self) -> list[int]:
        return pareto.front([(outcome.cost_ratio, outcome.metric) for outcome in self._outcomes])

    def _report(self, note: str) -> None:
        total = self.budget.trials
        typical_s = statistics.median(self._trial_seconds) if self._trial_seconds else 0.0
        confirming_s = self.confirmation_s(len(self._front()), typical_s)
        by_trials = None if total is None else (total - self._finished) * typical_s + confirming_s
        by_clock = None if self.budget.deadline_s is None else self.budget.deadline_s - self.clock()
        known = [seconds for seconds in (by_trials, by_clock) if seconds is not None]
        self.listener(
            Progress(
                stage="search",
                done=self._finished,
                total=total,
                front_size=len(self._front()),
                best_speedup=best_speedup(self._outcomes),
                close=closeness(self._outcomes)[1],
                remaining_s=max(0.0, min(known)) if known else None,
                note=note,
            )
        )


def closeness(outcomes: Sequence[Outcome]) -> tuple[float, str]:
    """The drop, in the metric's unit, up to which a candidate is close to FP32, and its name.

    One percentage point where FP32's metric is a fraction. An error or a score has another scale: there it is 1% of
    FP32's own.
    """
    fp32 = next((outcome.metric + outcome.metric_drop for outcome in outcomes), 0.0)
    return (0.01, "1 point") if is_fraction(fp32) else (0.01 * abs(fp32), "1% of FP32's metric")


def best_speedup(outcomes: Sequence[Outcome]) -> float | None:
    """The largest gain, FP32's cost over the candidate's, among outcomes that are close to FP32; None where none is."""
    tolerance, _ = closeness(outcomes)
    ratios = [outcome.cost_ratio for outcome in outcomes if outcome.metric_drop <= tolerance]
    return 1.0 / min(ratios) if ratios else None
