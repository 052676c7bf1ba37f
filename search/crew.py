"""Trials on a study that any number of workers share, through a storage that may be away for a moment."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from search.confirmation.confirm import ENOUGH_POINTS, PASSES
from search.loop import SearchLoop
from search.outlook import Budget
from search.progress import Listener
from search.recovery.promise import training_fidelity
from search.recovery.trial_trainer import TrialTrainer
from search.space.space import SearchSpace
from search.stages import StageClock
from search.study.liveness import Heart
from search.study.seen import Planned, resume
from search.study.storage import is_disconnect
from search.trial.evaluate import Evaluator
from search.trial.fidelity import open_fidelity

if TYPE_CHECKING:
    import optuna

# Confirming a point takes about this many trials' time: more samples, in several passes.
_CONFIRMATION_COST = 2.0 * PASSES

# A storage whose connections are cut again and again without a trial in between is not one to work with.
_CUTS_IN_A_ROW = 5

# How long the main search waits for trials that other workers are at when it has nothing more to do itself.
_PATIENCE_S = 300.0
_LOOK_S = 0.2

_log = logging.getLogger(__name__)


def confirmation_s(front_size: int, typical_s: float) -> float:
    """About how long confirming a front of that size takes, where a trial typically takes `typical_s`."""
    return max(front_size, ENOUGH_POINTS) * typical_s * _CONFIRMATION_COST


@dataclass(kw_only=True)
class CrewMember:
    """One worker's trials on a study.

    Attributes:
        study: The study.
        space: What it searches.
        heart: Says that this worker lives.
        evaluator: Takes a candidate's figures.
        budget: When to stop.
        seed: For unseen policies drawn at random.
        stages: Where the seconds are counted.
        confirmation_s: Seconds that the confirmation takes of the deadline, from the front's size and a trial's time.
        joins: Whether another process owns the study.
        is_over: Asked before every trial whether there is nothing more to do.
        listener: Told after every trial.
        plans: What to try before the sampler is asked.
        trainer: Trains candidates before they get their values; None where values are of what policies give.
        trials_run: Trials that this worker has run to their end.
    """

    study: "optuna.Study"
    space: SearchSpace
    heart: Heart
    evaluator: Evaluator
    budget: Budget
    seed: int
    stages: StageClock
    listener: Listener
    confirmation_s: Callable[[int, float], float] = confirmation_s
    joins: bool = False
    is_over: Callable[[], bool] = lambda: False
    plans: Sequence[Planned] = ()
    trainer: TrialTrainer | None = None
    trials_run: int = 0

    def run(self) -> None:
        """Run trials until the budget is used up.

        A connection that is cut in the middle of a transaction costs at most the trial that this worker was at: it is
        put right as after a crash, and the search goes on.

        Raises:
            SearchError, TargetError: As `SearchLoop.run`.
            StorageLostError: The storage stays away.
        """
        from optuna.exceptions import StorageInternalError

        cuts = 0
        while True:
            before = self.trials_run
            try:
                self._run_once()
            except StorageInternalError as error:
                cuts = 1 if self.trials_run > before else cuts + 1
                if not is_disconnect(error) or cuts > _CUTS_IN_A_ROW:
                    raise
                _log.warning("the storage was away in the middle of a trial; going on")
            else:
                return

    def _run_once(self) -> None:
        with self.stages.stage("storage"):
            self.seen = resume(self.study, self.space, joins=self.joins, end_stale=self.heart.end_stale)
            self.seen.planned.extend(plan for plan in self.plans if self.space.policy(plan.params) not in self.seen)
            self._learn_speeds()
        fidelity = open_fidelity(self.study, self.evaluator.samples)
        if self.trainer is not None:
            self.trainer.begin(self.study.get_trials(deepcopy=False))
            fidelity = training_fidelity(fidelity)
        left = None if self.budget.own_trials is None else self.budget.own_trials - self.trials_run
        budget = Budget(trials=self.budget.trials, deadline_s=self.budget.deadline_s, own_trials=left)
        loop = SearchLoop(
            study=self.study,
            space=self.space,
            seen=self.seen,
            evaluator=self.evaluator,
            fidelity=fidelity,
            trainer=self.trainer,
            budget=budget,
            seed=self.seed,
            stages=self.stages,
            confirmation_s=self.confirmation_s,
            listener=self.listener,
            beating=self.heart.beating,
            is_over=self.is_over,
        )
        try:
            loop.run()
        finally:
            self.trials_run += loop.trials_run
            if self.trainer is not None:
                self.trainer.tidy()

    def await_others(self) -> None:
        """Wait for the trials that other workers are at, for some minutes at most, and not beyond the deadline."""
        deadline_s = time.monotonic() + _PATIENCE_S
        if self.budget.deadline_s is not None:
            deadline_s = min(deadline_s, self.budget.deadline_s)
        with self.stages.stage("waiting for other workers"):
            self.seen.refresh(self.study)
            while self.seen.elsewhere and time.monotonic() < deadline_s:
                time.sleep(_LOOK_S)
                self.seen.refresh(self.study)
            self._learn_speeds()

    def _learn_speeds(self) -> None:
        """What other workers and earlier sessions have read of the target's speeds."""
        if self.evaluator.speeds is not None:
            self.evaluator.speeds.learn_trials(self.study.get_trials(deepcopy=False))
