"""How a trial ends in a study: with figures, with a part of them, as a repeat, to be tried again, or as a failure."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from compress.policy import Policy
from search.errors import SearchError
from search.point import FP32_LABEL
from search.stages import StageClock
from search.study.asking import tell_duplicate
from search.study.partial import PartialOutcome
from search.study.seen import Seen
from search.study.study import FP32_INSTRUCTIONS, FP32_MS
from search.study.trials import LABEL, OUTCOME, POSTPONED, REASON, Outcome

if TYPE_CHECKING:
    import optuna


@dataclass(kw_only=True)
class TrialEnds:
    """Ends a worker's trials, and counts them.

    Attributes:
        study: The Optuna study.
        seen: What it knows already.
        stages: Where the seconds are counted.
        count: Trials ended that count towards what was asked for.
        failures_in_a_row: Trials that have failed since the last one that came to figures.
    """

    study: "optuna.Study"
    seen: Seen
    stages: StageClock
    count: int = 0
    failures_in_a_row: int = 0
    _fp32_ms: float | None = None

    @property
    def fp32_ms(self) -> float | None:
        """The study's FP32 latency in ms; once it has one it keeps it."""
        if self._fp32_ms is None:
            with self.stages.stage("storage"):
                self._fp32_ms = self.study.user_attrs.get(FP32_MS)
        return self._fp32_ms

    def on_reference(self, outcome: Outcome) -> Outcome:
        """The outcome in terms of the study's FP32 cost, which the first that is completed gives it.

        Of workers that begin together several measure before there is one.
        """
        # A cost over its ratio is that of the baseline beside it.
        name = FP32_INSTRUCTIONS if outcome.is_emulated else FP32_MS
        reference = self.study.user_attrs.get(name) if outcome.is_emulated else self.fp32_ms
        if reference is None:
            fp32_cost = outcome.cost / outcome.cost_ratio
            self.study.set_user_attr(name, round(fp32_cost) if outcome.is_emulated else fp32_cost)
        elif not outcome.is_emulated:
            return replace(outcome, latency_ms=outcome.latency_ratio * reference)
        return outcome

    def repeat(self, trial: "optuna.Trial", policy: Policy, digest: str) -> None:
        """End a trial whose policy leads to the candidate `digest`, which is known already; it does not count."""
        self.seen.add(policy, digest)
        tell_duplicate(self.study, trial, digest)

    def complete(
        self,
        trial: "optuna.Trial",
        policy: Policy,
        digest: str,
        outcome: Outcome,
        *,
        keep: Callable[[Outcome], None] = lambda _: None,
    ) -> None:
        """End a trial whose policy gives the candidate `digest`, with all its figures.

        Args:
            trial: It.
            policy: Its policy.
            digest: The candidate's.
            outcome: Its figures.
            keep: Called with the outcome as the study gets it, while the trial still runs: what else it shall have.
        """
        with self.stages.stage("storage"):
            if self._is_known_by_now(digest):
                self.repeat(trial, policy, digest)
                return
            outcome = self.on_reference(outcome)
            keep(outcome)
            trial.set_user_attr(OUTCOME, outcome.to_attribute())
            self.study.tell(trial, outcome.values)
        self._came_to_figures(policy, digest)

    def stop(self, trial: "optuna.Trial", policy: Policy, outcome: PartialOutcome) -> None:
        """End a trial that was stopped on the way, with what was taken until then."""
        import optuna

        with self.stages.stage("storage"):
            trial.set_user_attr(OUTCOME, outcome.to_attribute())
            trial.set_user_attr(REASON, outcome.reason)
            self.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        self._came_to_figures(policy, outcome.digest)

    def postpone(self, trial: "optuna.Trial", policy: Policy, reason: str) -> str:
        """Have it tried once more after what is planned (`Seen.refresh` plans it); the second time it is a failure.

        Returns:
            What is worth a line about it.
        """
        import optuna

        if trial.user_attrs.get(POSTPONED):
            return self.fail(trial, policy, reason)
        trial.set_user_attr(POSTPONED, reason)
        self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return f"#{trial.number} will be tried again: {reason}"

    def fail(self, trial: "optuna.Trial", policy: Policy, reason: str) -> str:
        """End a trial whose candidate cannot be had, or gives no figures.

        Returns:
            What is worth a line about it.

        Raises:
            SearchError: It is FP32's.
        """
        import optuna

        if trial.user_attrs.get(LABEL) == FP32_LABEL:
            # It has no reason in the study, so that it is not counted: the next session must try it again.
            raise SearchError(f"the FP32 network itself cannot be evaluated: {reason}")
        trial.set_user_attr(REASON, reason)
        self.study.tell(trial, state=optuna.trial.TrialState.FAIL)
        self.seen.add(policy, "")
        self.count += 1
        self.failures_in_a_row += 1
        return f"#{trial.number} failed: {reason}"

    def _is_known_by_now(self, digest: str) -> bool:
        """Whether another worker has meanwhile come to the same candidate by another policy."""
        if not self.seen.elsewhere:
            return False
        self.seen.refresh(self.study)
        return digest in self.seen.candidates.values()

    def _came_to_figures(self, policy: Policy, digest: str) -> None:
        self.seen.add(policy, digest)
        self.count += 1
        self.failures_in_a_row = 0
