"""What follows a search on the same target: its front recovered, if asked, and confirmed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from latency import Target, TargetError
from search.confirmation.confirm import confirm, unconfirmed
from search.confirmation.target_validation import TargetValidator
from search.errors import SearchError, TargetLostError
from search.folder.run_folder import RunFolder
from search.outlook import Budget
from search.prepare import Prepared
from search.progress import Listener, Progress
from search.recovery.recover import Recoverer
from search.recovery.recoveries import with_recovered
from search.recovery.remake import Remaker
from search.stages import StageClock
from search.study.study import FP32_MS
from search.study.trials import policies_by_digest, read_points
from search.trial.evaluate import Evaluator
from search.trial.timed_input import timed_feeds
from search.trial.workbench import Workbench

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, kw_only=True)
class Conclusion:
    """Recovers and confirms.

    Attributes:
        prepared: What the run works on.
        folder: The run's folder.
        time_s: The seconds that the caller gave the session; None for no such limit.
        target_samples: How many unseen samples the confirmation runs on the target itself.
        stages: Where the seconds are counted.
        listener: Told of every step.
    """

    prepared: Prepared
    folder: RunFolder
    time_s: float | None
    target_samples: int | str | None
    stages: StageClock
    listener: Listener

    def recover(
        self, recoverer: Recoverer, study: "optuna.Study", evaluator: Evaluator, budget: Budget
    ) -> SearchError | None:
        """Recover what is due; what ended it early, if something did."""
        trials = study.get_trials(deepcopy=False)
        until_s = time.monotonic() + recoverer.plan.seconds_of(self.time_s)
        try:
            recoverer.run(
                read_points(trials, self.prepared.space),
                policies_by_digest(trials, self.prepared.space),
                evaluator,
                study.user_attrs.get(FP32_MS),
                until_s if budget.deadline_s is None else min(until_s, budget.deadline_s),
            )
        except TargetError as error:
            return TargetLostError(f"the target went away in the recovery: {error}")
        return None

    def confirm(self, study: "optuna.Study", bench: Workbench) -> SearchError | None:
        """Confirm what is not confirmed; what ended it early, if something did."""
        try:
            self._confirm(study, bench)
        except TargetError as error:  # what was concluded before is kept; the rest can be confirmed later
            return TargetLostError(f"the target went away in the confirmation: {error}")
        return None

    def _confirm(self, study: "optuna.Study", bench: Workbench) -> None:
        workload, profile = self.prepared.workload, self.prepared.profile
        trials = study.get_trials(deepcopy=False)
        points = with_recovered(read_points(trials, self.prepared.space), self.folder)
        if not unconfirmed(points, self.folder):
            return
        self.listener(Progress(stage="confirmation", done=0, total=None))
        with TargetValidator(
            profile,
            self.prepared.network,
            workload.confirmation_part,
            workload.metric,
            timed_feeds(workload, profile.engine.batch_size),
            asked=self.target_samples,
            stages=self.stages,
            make_target=partial(Target, built=self.folder.engines_path),  # what was timed is what answers
        ) as validator:
            confirm(
                points,
                self._remaker(trials),
                bench.evaluator_on(workload.confirmation_part),
                validator,
                self.folder,
                study.user_attrs.get(FP32_MS),
                self.listener,
            )

    def _remaker(self, trials: "Sequence[optuna.trial.FrozenTrial]") -> Remaker:
        return Remaker(
            compressor=self.prepared.compressor,
            policies=policies_by_digest(trials, self.prepared.space),
            folder=self.folder,
            stages=self.stages,
        )
