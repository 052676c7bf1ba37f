"""What a loop asks of whoever trains its candidates before they get their values."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from compress.candidate import Candidate
from search.study.partial import PartialOutcome
from search.study.trials import Outcome
from search.trial.stopping import Watch

if TYPE_CHECKING:
    import optuna


class OutOfTimeError(Exception):
    """A training was left off because its time was up; it can be gone on with."""


class TrainsTrials(Protocol):
    """Trains the candidates of trials (`search.recovery.trial_trainer`)."""

    @property
    def typical_s(self) -> float:
        """What training a candidate typically takes, figures included; 0 before there was one."""

    @property
    def spent_s(self) -> float:
        """What all of it has taken so far."""

    def go_on(
        self,
        trial: "optuna.Trial",
        candidate: Candidate,
        untrained: Outcome,
        *,
        reference_ms: float | None,
        again: bool,
        watch: Watch | None,
        until_s: float | None,
        tell: Callable[[str], None],
    ) -> Outcome | PartialOutcome:
        """What the trial comes to.

        Args:
            trial: It; what is to be known of it besides is written into it.
            candidate: As its policy gives it.
            untrained: That candidate's figures.
            reference_ms: FP32's latency that ratios are multiplied with.
            again: Whether an earlier measurement could not tell enough.
            watch: What watched the candidate; None where nothing did.
            until_s: When to leave off, on a monotonic clock; None for never.
            tell: Told now and then what the training is at.

        Raises:
            OutOfTimeError: The time was up.
            CompressionError, WorkloadError, MeasurementError: The trial fails.
            TargetError: The target is gone.
        """
