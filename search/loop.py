"""The overnight loop: ask, evaluate, tell, until the trials or the time are used up."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from compress.candidate import Candidate
from compress.errors import CompressionError
from compress.policy import Policy
from latency import MeasurementError
from search import pareto
from search.errors import FailingTrialsError
from search.outlook import Budget, Outlook
from search.progress import Listener, Progress, silent
from search.space.space import SearchSpace
from search.speedup import best_speedup, closeness
from search.stages import StageClock
from search.study.asking import ask_unseen
from search.study.ends import TrialEnds
from search.study.partial import PartialOutcome
from search.study.seen import Seen, end_own, mark_interrupted
from search.study.trials import POSTPONED, Outcome
from search.trial.evaluate import Evaluator
from search.trial.fidelity import Fidelity
from search.trial.stopping import Watch
from search.trial.training import OutOfTimeError, TrainsTrials
from search.trial.turns import WaitNotice
from workloads import WorkloadError

if TYPE_CHECKING:
    import optuna

_FAILURES_IN_A_ROW = 10

# How often it is looked whether other workers have finished what they are at.
_LOOK_S = 0.2


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
        fidelity: Decides how much of a candidate must be known; None has every trial carried out in full.
        trainer: Trains candidates before they get their values; None where values are of what policies give.
        listener: Told after every trial.
        beating: Says of a trial's number, as long as its block lasts, that this worker is at it.
        is_over: Asked before every trial whether there is nothing more to do, whatever the budget says.
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
    fidelity: Fidelity | None = None
    trainer: TrainsTrials | None = None
    listener: Listener = silent
    beating: Callable[[int], AbstractContextManager[None]] = lambda _: nullcontext()
    is_over: Callable[[], bool] = lambda: False
    clock: Callable[[], float] = time.monotonic
    _ends: TrialEnds = field(init=False)
    _outlook: Outlook = field(init=False)
    _waits: WaitNotice = field(init=False)
    _is_out_of_time: bool = False

    def __post_init__(self) -> None:
        self._ends = TrialEnds(study=self.study, seen=self.seen, stages=self.stages)
        self._waits = WaitNotice(self.stages)
        self._outlook = Outlook(
            budget=self.budget, confirmation_s=self.confirmation_s, trainer=self.trainer, clock=self.clock
        )

    @property
    def trials_run(self) -> int:
        """Trials that this loop has run to their end."""
        return self._ends.count

    def run(self) -> None:
        """Run trials until the budget is used up or the space is exhausted.

        Raises:
            SearchError: FP32 itself fails.
            FailingTrialsError: Trials fail one after another.
            TargetError: The target is gone; the trial that was at it counts as interrupted and is tried again.
        """
        self._refresh()
        goes_on = True
        try:
            while goes_on and not self._is_over():
                with self.stages.stage("bookkeeping"):  # what of a trial is counted as nothing else
                    goes_on = self._go_on()
        except BaseException:
            # Anywhere: also between a trial's beginning and its evaluation, or its figures and its end.
            end_own(self.study, self.seen.here)
            raise

    def _go_on(self) -> bool:
        """Run the next trial, or wait for it; whether there is one."""
        if self._others_suffice():
            self._await_others()
            return True
        with self.stages.stage("sampler"):
            asked = ask_unseen(self.study, self.space, self.seen, self.seed)
        if asked is None and self.seen.elsewhere:
            self._await_others()
            return True
        if asked is None:
            self._report("every policy of the space has been tried")
            return False
        own = self.trials_run
        with self._outlook.timing(lambda: self.trials_run > own):
            note = self._run_trial(*asked)
            self._refresh()
        if self.trials_run > own or note:
            self._report(note or self._waits.take())
        if self._ends.failures_in_a_row >= _FAILURES_IN_A_ROW:
            raise FailingTrialsError(f"{_FAILURES_IN_A_ROW} trials failed one after another; {note}")
        return True

    def _refresh(self) -> None:
        with self.stages.stage("storage"):
            self.seen.refresh(self.study)

    def _others_suffice(self) -> bool:
        """Whether what other workers are at completes the trials wanted, if it comes to something."""
        wanted = self.budget.trials
        return wanted is not None and bool(self.seen.elsewhere) and self._finished + self.seen.elsewhere >= wanted

    def _await_others(self) -> None:
        with self.stages.stage("waiting for other workers"):
            time.sleep(_LOOK_S)
        self._refresh()

    def _is_over(self) -> bool:
        if self._is_out_of_time or self.is_over():
            return True
        if self.budget.own_trials is not None and self.trials_run >= self.budget.own_trials:
            return True
        if self.budget.trials is not None and self._finished >= self.budget.trials:
            return True
        # Without FP32's figures there is nothing to report.
        return bool(self._outcomes) and self._outlook.is_late(len(self._front()))

    @property
    def _finished(self) -> int:
        return self.seen.finished

    @property
    def _outcomes(self) -> list[Outcome]:
        return self.seen.outcomes

    def _run_trial(self, trial: "optuna.Trial", policy: Policy) -> str:
        """Run a trial and say what is worth a line about it."""
        from optuna.exceptions import UpdateFinishedTrialError

        try:
            with self.beating(trial.number):
                return self._carry_out(trial, policy)
        except UpdateFinishedTrialError:
            return f"#{trial.number} was taken for lost while this worker was at it, and goes to another"

    def _carry_out(self, trial: "optuna.Trial", policy: Policy) -> str:
        try:
            candidate = self._build(trial, policy)
            if candidate is None:
                return ""
            watch = self._watch(trial)
            again = bool(trial.user_attrs.get(POSTPONED))
            outcome = self.evaluator.evaluate(candidate, self._ends.fp32_ms, again=again, watch=watch)
            if self.trainer is not None and isinstance(outcome, Outcome):
                outcome = self._train(self.trainer, trial, candidate, outcome, watch)
        except OutOfTimeError:
            mark_interrupted(self.study, trial.number)
            self._is_out_of_time = True
            return f"no time is left to train #{trial.number}; the same command goes on with it"
        except (CompressionError, WorkloadError, MeasurementError) as error:
            return self._ends.fail(trial, policy, str(error))
        if outcome.grade == "unreliable":
            return self._ends.postpone(trial, policy, f"latency is unreliable: {outcome.grade_reason}")
        if isinstance(outcome, PartialOutcome):
            self._ends.stop(trial, policy, outcome)
        else:
            keep = partial(self._keep_scores, trial, watch=watch)
            self._ends.complete(trial, policy, candidate.digest, outcome, keep=keep)
        return ""

    def _train(
        self, trainer: TrainsTrials, trial: "optuna.Trial", candidate: Candidate, outcome: Outcome, watch: Watch | None
    ) -> Outcome | PartialOutcome:
        return trainer.go_on(
            trial,
            candidate,
            self._ends.on_reference(outcome),
            reference_ms=self._ends.fp32_ms,
            again=bool(trial.user_attrs.get(POSTPONED)),
            watch=watch,
            until_s=self._outlook.ends_s(len(self._front())),
            tell=lambda detail: self._report("", detail),
        )

    def _build(self, trial: "optuna.Trial", policy: Policy) -> Candidate | None:
        """The candidate, or None when the policy leads to one that is known already."""
        candidate = self.evaluator.build(policy)
        if candidate.digest in set(self.seen.candidates.values()):
            self._ends.repeat(trial, policy, candidate.digest)
            return None
        return candidate

    def _watch(self, trial: "optuna.Trial") -> Watch | None:
        if self.fidelity is None:
            return None
        with self.stages.stage("prediction"):
            return self.fidelity.watch(trial)

    def _keep_scores(self, trial: "optuna.Trial", outcome: Outcome, watch: Watch | None) -> None:
        if self.fidelity is not None and watch is not None:
            self.fidelity.keep_scores(trial, outcome, watch)

    def _front(self) -> list[int]:
        return pareto.front([(outcome.cost_ratio, outcome.metric) for outcome in self._outcomes])

    def _report(self, note: str, detail: str = "") -> None:
        front_size = len(self._front())
        self.listener(
            Progress(
                stage="search",
                done=self._finished,
                total=self.budget.trials,
                front_size=front_size,
                best_speedup=best_speedup(self._outcomes),
                close=closeness(self._outcomes)[1],
                remaining_s=self._outlook.remaining_s(
                    finished=self._finished, own=self.trials_run, front_size=front_size
                ),
                detail=detail,
                note=note,
            )
        )
