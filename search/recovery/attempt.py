"""One candidate's recovery, from its policy to figures: weights, bytes, check, samples, cost."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from compress.candidate import Candidate
from compress.errors import CompressionError
from compress.policy import Policy
from compress.recovery.build_recovered import build_recovered
from compress.recovery.lineage import Lineage
from compress.recovery.recovered_weights import RecoveredWeights
from compress.recovery.settings import RecoverySettings
from compress.stitch import Compressor
from latency import MeasurementError
from search.figures import is_fraction
from search.folder.disk_errors import disk_errors
from search.folder.run_folder import RunFolder
from search.notation import drop_text, drop_unit
from search.recovery.recoveries import Asked, Recovery
from search.recovery.relatives import Relatives
from search.recovery.remake import weights_path
from search.recovery.training import Trainer
from search.stages import StageClock
from search.study.trials import Outcome
from search.trial.evaluate import Evaluator
from search.trial.turns import in_turn
from search.typical import Typical
from workloads import WorkloadError

_CONFIRMING = 4.0
"""Confirming a candidate takes about as long as so many times taking its figures: more samples, in several passes."""


class Pace:
    """What candidates of this session take.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._whole, self._figures = Typical(clock=clock), Typical(clock=clock)

    def recovering(self) -> AbstractContextManager[None]:
        """The block recovers a candidate and takes its figures."""
        return self._whole.timing()

    def taking_figures(self) -> AbstractContextManager[None]:
        """The block takes a candidate's figures."""
        return self._figures.timing()

    @property
    def candidate_s(self) -> float:
        """What a candidate takes; 0 before there was one."""
        return self._whole.seconds or 0.0

    def confirming_s(self, count: int) -> float:
        """About how long it takes to confirm so many of them; 0 before there was one."""
        return _CONFIRMING * count * (self._figures.seconds or 0.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Attempts:
    """Recovers one candidate after the other.

    Attributes:
        compressor: Builds them.
        trainer: Recovers their weights.
        evaluator: Takes their figures, on the part of the validation data that the search sees.
        relatives: What was recovered before.
        folder: The run's folder, which gets the weights.
        stages: Where the seconds are counted.
        reference_ms: FP32's latency that ratios are multiplied with; None where instructions are counted.
        pace: What candidates take.
    """

    compressor: Compressor
    trainer: Trainer
    evaluator: Evaluator
    relatives: Relatives
    folder: RunFolder
    stages: StageClock
    reference_ms: float | None
    pace: Pace

    def remember(self, digest: str) -> None:
        """Let later candidates begin with the recovered weights of the candidate `digest`, if they are still there."""
        path = weights_path(self.folder, digest)
        if path.is_file():
            self.relatives.add(digest, RecoveredWeights.load(path))

    def carry_out(
        self,
        asked: Asked,
        policy: Policy,
        settings: RecoverySettings,
        *,
        drop_before: float,
        trained: str | None = None,
    ) -> Recovery:
        """What becomes of the candidate that was asked for; where it comes to nothing, the reason.

        A candidate that lost `drop_before` and loses no less now is no point beside what it was: at a cost that differs
        by noise alone it could only take a place on the front that it does not deserve. `trained` is the digest of what
        the search has trained it to already: its weights are the first ones then.

        Raises:
            RunFolderError: The disk is full.
            TargetError: The target is gone; what was trained is kept.
        """
        digest, epochs, seed, data_digest = asked
        lineage: Lineage | None = None
        outcome, reason = None, ""
        try:
            with self.stages.stage("recovery"):
                weights = self.trainer.recover(policy, asked, settings, start=self._start(policy, trained))
            lineage = weights.lineage
            candidate = self._build(weights, digest)
            with self.pace.taking_figures():
                found = self._figures(candidate)
            outcome = _if_better(found, drop_before)
        except (CompressionError, WorkloadError, MeasurementError) as error:
            reason = str(error)
        else:
            with disk_errors(self.folder.path):
                weights.save(weights_path(self.folder, candidate.digest))
            self.relatives.add(candidate.digest, weights)
        return Recovery(
            recovered_from=digest,
            epochs=epochs,
            seed=seed,
            data_digest=data_digest,
            lineage=lineage,
            outcome=outcome,
            reason=reason,
        )

    def _build(self, weights: RecoveredWeights, before: str) -> Candidate:
        with in_turn(self.stages, "building"):
            candidate = build_recovered(self.compressor, weights)
        if candidate.digest == before:
            raise CompressionError("recovery changed nothing")
        return candidate

    def _start(self, policy: Policy, trained: str | None) -> RecoveredWeights | None:
        nearest = self.relatives.nearest(policy) if trained is None else trained
        return None if nearest is None else RecoveredWeights.load(weights_path(self.folder, nearest))

    def _figures(self, candidate: Candidate) -> Outcome:
        """All figures of a candidate; an unreliable cost is taken once more.

        Raises:
            CompressionError: It does not load, or does not run as its policy says.
            WorkloadError: Its outputs or scores are not finite.
            MeasurementError: Its cost cannot be measured.
            TargetError: The target is gone.
        """
        found = self.evaluator.evaluate(candidate, self.reference_ms)
        if not isinstance(found, Outcome):
            found = self.evaluator.evaluate(candidate, self.reference_ms, again=True)
        if not isinstance(found, Outcome):
            raise MeasurementError(found.reason)
        return found


def _if_better(outcome: Outcome, drop_before: float) -> Outcome:
    if outcome.metric_drop < drop_before:
        return outcome
    fraction = is_fraction(outcome.metric + outcome.metric_drop)
    before, after = (drop_text(drop, is_fraction=fraction) for drop in (drop_before, outcome.metric_drop))
    raise CompressionError(f"it won nothing back: drop {before} → {after} {drop_unit(is_fraction=fraction)}".rstrip())
