"""Training in the midst of a search: every candidate that promises something is trained before it gets its values.

So all values of such a study are of one kind, whichever sampler learns from them: those of candidates after recovery.
What is not known to have lost anything, as FP32, is its own recovered self, and so is what a training wins nothing back
of; what is not worth a training (`search.recovery.promise`) ends without values. What each policy gives untrained
stands beside in the trial.

A training that is interrupted goes on from its checkpoint when its trial is tried again, and what was trained but not
measured is not trained again.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from compress.candidate import Candidate
from compress.errors import CompressionError
from compress.policy import Policy
from compress.recovery.build_recovered import build_recovered
from compress.recovery.lessons import Lessons
from compress.recovery.lineage import TrainingProgress
from compress.recovery.recovered_weights import RecoveredWeights
from compress.recovery.settings import RecoverySettings
from compress.stitch import Compressor
from latency import MeasurementError
from search.errors import SearchError
from search.figures import is_fraction
from search.folder.disk_errors import disk_errors
from search.folder.run_folder import RunFolder
from search.notation import drop_text, drop_unit
from search.recovery.recoveries import Asked
from search.recovery.relatives import Relatives
from search.recovery.remake import weights_path
from search.recovery.training import Trainer
from search.stages import StageClock
from search.study.partial import PartialOutcome
from search.study.trials import NOT_TRAINED, OUTCOME, TRAINED_FROM, Outcome, built_digest
from search.trial.evaluate import Evaluator
from search.trial.stopping import Watch
from search.trial.training import OutOfTimeError
from search.trial.turns import in_turn
from search.typical import Typical
from workloads import WorkloadError

if TYPE_CHECKING:
    import optuna

_TELL_EVERY_S = 1.0
_NOTHING_LOST = "what it lost is within one standard error, and too little to see a training win it back"
_ENDS = 1.959964
"""A 95% interval ends so many standard errors from its middle."""


@dataclass(kw_only=True, eq=False)
class TrialTrainer:
    """Trains the candidates of a study's trials, one after the other.

    Attributes:
        compressor: Builds them.
        lessons: What there is to learn from.
        evaluator: Takes figures, on the part of the validation data that the search sees.
        settings: How candidates are trained; without a limit of time, so that one policy gets the same weights whenever
            it is tried.
        metric: What the score is called.
        folder: The run's folder, which gets the weights.
        stages: Where the seconds are counted.
        clock: Monotonic seconds.
        spent_s: What all of it has taken.
    """

    compressor: Compressor
    lessons: Lessons
    evaluator: Evaluator
    settings: RecoverySettings
    metric: str
    folder: RunFolder
    stages: StageClock
    clock: Callable[[], float] = time.monotonic
    spent_s: float = 0.0
    _trainer: Trainer = field(init=False)
    _relatives: Relatives = field(init=False)
    _typical: Typical = field(init=False)
    _listen: Callable[[TrainingProgress], None] = field(init=False)
    _done: list[Asked] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._typical = Typical(clock=self.clock)
        self._relatives = Relatives(self.compressor)
        self._trainer = Trainer(
            compressor=self.compressor,
            lessons=self.lessons,
            folder=self.folder,
            listener=self._hear,
        )

    @property
    def typical_s(self) -> float:
        """What training a candidate typically takes, figures included; 0 before there was one."""
        return self._typical.seconds or 0.0

    def begin(self, trials: "Sequence[optuna.trial.FrozenTrial]") -> None:
        """Take in what earlier sessions have trained, and clear away what they did not come to.

        Raises:
            SearchError: They did so in another folder, where the weights are.
        """
        ended = [trial for trial in trials if trial.state.name in {"COMPLETE", "PRUNED"}]
        self._done += [self._asked(built_digest(trial)) for trial in ended]
        paths = [
            weights_path(self.folder, trial.user_attrs[OUTCOME]["digest"])
            for trial in ended
            if TRAINED_FROM in trial.user_attrs
        ]
        there = [path for path in paths if path.is_file()]
        if paths and not there:
            raise SearchError(
                f"the weights of the {len(paths)} candidates that this study has trained are not in "
                f"{str(self.folder.recovered_path)!r}; go on in the folder in which the search was begun, or copy its "
                f"{self.folder.recovered_path.name}/ there"
            )
        for path in there:
            self._relatives.add(path.stem, RecoveredWeights.load(path))
        self.tidy()

    def tidy(self) -> None:
        """Remove what was kept of trainings whose trials have ended."""
        for asked in self._done:
            self._trainer.forget(asked)
        self._done.clear()

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
        """What the trial comes to; `search.trial.training.TrainsTrials` has the contract."""
        self.tidy()
        reason = "" if watch is None else watch.verdict(watch.scores, untrained.cost_ratio_low)
        if reason:
            return _stopped(untrained, len(self.evaluator.samples), reason)
        if untrained.metric_drop - _standard_error(untrained) <= 0:
            return _as_it_is(trial, untrained, _NOTHING_LOST)
        asked = self._asked(candidate.digest)
        self._listen = self._listener(trial.number, until_s, tell)
        try:
            with self._counted():
                weights = self._train(candidate.policy, asked)
                with in_turn(self.stages, "building"):
                    trained = build_recovered(self.compressor, weights)
                found = self.evaluator.evaluate(trained, reference_ms, again=again)
        except (CompressionError, WorkloadError, MeasurementError):
            self._done.append(asked)
            raise
        if isinstance(found, PartialOutcome):  # its cost is unreliable: the weights are kept for the second try
            return found
        self._done.append(asked)
        if found.metric_drop >= untrained.metric_drop:
            return _as_it_is(trial, untrained, _said_of_loss(untrained, found))
        self._keep(trial, untrained, trained, weights)
        return found

    def _hear(self, progress: TrainingProgress) -> None:
        self._listen(progress)

    def _listener(
        self, number: int, until_s: float | None, tell: Callable[[str], None]
    ) -> Callable[[TrainingProgress], None]:
        told_s = self.clock()
        tell(f"training #{number}")

        def listen(progress: TrainingProgress) -> None:
            nonlocal told_s
            now_s = self.clock()
            if until_s is not None and now_s >= until_s:
                raise OutOfTimeError
            if now_s - told_s >= _TELL_EVERY_S:
                told_s = now_s
                tell(said_of_training(number, progress, self.metric))

        return listen

    def _train(self, policy: Policy, asked: Asked) -> RecoveredWeights:
        nearest = self._relatives.nearest(policy)
        start = None if nearest is None else RecoveredWeights.load(weights_path(self.folder, nearest))
        with self.stages.stage("recovery"):
            return self._trainer.recover(policy, asked, self.settings, start=start)

    def _keep(self, trial: "optuna.Trial", untrained: Outcome, trained: Candidate, weights: RecoveredWeights) -> None:
        """The weights first, so that no trial can have values without them."""
        with disk_errors(self.folder.path):
            weights.save(weights_path(self.folder, trained.digest))
        self._relatives.add(trained.digest, weights)
        lineage = weights.lineage.as_dict()
        trial.set_user_attr(TRAINED_FROM, {"outcome": untrained.to_attribute(), "lineage": lineage})

    @contextmanager
    def _counted(self) -> Iterator[None]:
        began_s = self.clock()
        try:
            with self._typical.timing():
                yield
        finally:
            self.spent_s += self.clock() - began_s

    def _asked(self, digest: str) -> Asked:
        return digest, self.settings.epochs, self.settings.seed, self.lessons.digest


def said_of_training(number: int, progress: TrainingProgress, metric: str) -> str:
    """What a training is at: 'training #12, epoch 1/1, loss 0.21, top1 0.93'."""
    score = "" if progress.score is None else f", {metric} {progress.score:.4g}"
    return f"training #{number}, epoch {progress.epoch}/{progress.epochs}, loss {progress.loss:.3g}{score}"


def _standard_error(outcome: Outcome) -> float:
    return (outcome.metric_drop - outcome.metric_drop_low) / _ENDS


def _as_it_is(trial: "optuna.Trial", untrained: Outcome, reason: str) -> Outcome:
    trial.set_user_attr(NOT_TRAINED, reason)
    return untrained


def _stopped(untrained: Outcome, samples: int, reason: str) -> PartialOutcome:
    shared = {each.name for each in fields(PartialOutcome)} - {"samples", "reason"}
    figures = {name: value for name, value in vars(untrained).items() if name in shared}
    return PartialOutcome(samples=samples, reason=reason, **figures)


def _said_of_loss(untrained: Outcome, trained: Outcome) -> str:
    fraction = is_fraction(untrained.metric + untrained.metric_drop)
    before, after = (drop_text(drop, is_fraction=fraction) for drop in (untrained.metric_drop, trained.metric_drop))
    return f"training won nothing back: drop {before} → {after} {drop_unit(is_fraction=fraction)}".rstrip()
