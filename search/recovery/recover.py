"""After the search: candidates of the front, and close behind it, get their weights recovered, and new figures.

The best come first, each is kept as soon as it has figures, and what does not fit into the time is left for the same
command on another day.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from compress.policy import Policy
from compress.recovery.lessons import Lessons
from compress.recovery.settings import RecoverySettings
from compress.stitch import Compressor
from search.folder.run_folder import RunFolder
from search.point import TrialPoint
from search.progress import Listener
from search.recovery.attempt import Attempts, Pace
from search.recovery.lessons import said_of_lessons
from search.recovery.nominees import nominate
from search.recovery.plan import RecoveryPlan
from search.recovery.recoveries import (
    Recovery,
    read_recoveries,
    recovered_points,
    said_of_recovery,
    write_recoveries,
)
from search.recovery.relatives import Relatives
from search.recovery.rounds import Past, best_of, epochs_of, goes_on, past_of, share_of_another
from search.recovery.telling import Telling, said_of_rest
from search.recovery.training import Trainer
from search.recovery.trial_trainer import TrialTrainer
from search.stages import StageClock
from search.trial.evaluate import Evaluator
from workloads import Workload


@dataclass(kw_only=True, eq=False)
class Recoverer:
    """Recovers candidates of a run.

    Attributes:
        compressor: Builds them.
        workload: What they are of.
        lessons: What there is to learn from.
        folder: The run's folder.
        plan: What was asked for.
        threads: Most threads for the training; torch's own number (`OMP_NUM_THREADS`) may be lower.
        stages: Where the seconds are counted.
        listener: Told of every step.
        clock: Monotonic seconds.
    """

    compressor: Compressor
    workload: Workload
    lessons: Lessons
    folder: RunFolder
    plan: RecoveryPlan
    threads: int
    stages: StageClock
    listener: Listener
    clock: Callable[[], float] = time.monotonic

    def due(self, points: Sequence[TrialPoint]) -> list[TrialPoint]:
        """What is worth recovering, or another round of it, and has not been tried in this way, the best first.

        Args:
            points: The study's, as the search saw them.

        Raises:
            RunFolderError: The record of recoveries is damaged.
        """
        past = self._past()
        keys = {point.built_digest: point.key for point in points}
        done = [recovery for rounds in past.values() for recovery in rounds]
        became = {keys[point.recovered_from]: point for point in recovered_points(points, done)}
        again = {keys[digest] for digest, rounds in past.items() if keys.get(digest) in became and goes_on(rounds)}
        nominees = nominate(points, became, again=again, share_of_another=share_of_another(past))
        return [
            point
            for point in nominees
            if point.key in again or epochs_of(past.get(point.built_digest, ())) < self.plan.epochs
        ]

    def trial_trainer(self, evaluator: Evaluator) -> TrialTrainer | None:
        """Whoever trains candidates in the search; None where none are.

        Args:
            evaluator: On the part of the validation data that the search sees.
        """
        if self.plan.search_epochs is None:
            return None
        return TrialTrainer(
            compressor=self.compressor,
            lessons=self.lessons,
            evaluator=evaluator,
            settings=self._settings(self.plan.search_epochs, None),
            metric=self.workload.metric.name,
            folder=self.folder,
            stages=self.stages,
            clock=self.clock,
        )

    def run(
        self,
        points: Sequence[TrialPoint],
        policies: Mapping[str, Policy],
        evaluator: Evaluator,
        reference_ms: float | None,
        until_s: float,
    ) -> None:
        """Recover what is due, as far as the time allows.

        Args:
            points: The study's, as the search saw them.
            policies: Policy by candidate digest.
            evaluator: On the part of the validation data that the search sees.
            reference_ms: FP32's latency that ratios are multiplied with; None where instructions are counted.
            until_s: When all of it should be done, confirmation of what was recovered included.

        Raises:
            RunFolderError: The disk is full, or the record damaged.
            TargetError: The target is gone; what was recovered before is kept, and what was trained too.
        """
        due = self.due(points)
        if not due:
            return
        telling = Telling(
            folder=self.folder,
            listener=self.listener,
            candidates=len(due),
            metric=self.workload.metric.name,
            clock=self.clock,
        )
        pace = Pace(clock=self.clock)
        attempts = self._attempts(telling, evaluator, reference_ms, pace)
        for point in points:
            if point.trained_in_search:
                attempts.remember(point.digest)
        with telling:
            telling.say(f"recovering what compression cost, from {said_of_lessons(self.lessons, self.workload)}")
            position = 0
            while due:
                point, position = due[0], position + 1
                left_s = until_s - self.clock() - pace.confirming_s(position)
                if left_s <= pace.candidate_s:
                    telling.say(said_of_rest(due))
                    return
                telling.begin(point, until_s=until_s, typical_s=pace.candidate_s)
                with pace.recovering():
                    recovery = self._carry_out(attempts, point, policies[point.digest], left_s)
                write_recoveries(self.folder, [*read_recoveries(self.folder), recovery])
                attempts.trainer.forget(recovery.asked)
                due = self.due(points)  # a training tells what others are worth
                telling.end(said_of_recovery(point, recovery), left=len(due))

    def _carry_out(self, attempts: Attempts, point: TrialPoint, policy: Policy, left_s: float) -> Recovery:
        """A round for a point: the first, from what the search has trained it to if it has, or from the best so far."""
        rounds = self._past().get(point.built_digest, ())
        best, drop = best_of(rounds), point.metric_drop
        trained = point.digest if point.trained_in_search else None
        if best is not None:
            trained, drop = best.digest, min(drop, best.metric_drop)
        return attempts.carry_out(
            (point.built_digest, self._epochs(rounds), self.plan.seed, self.lessons.digest),
            policy,
            self._settings(self.plan.epochs, left_s, number=len(rounds)),
            drop_before=drop,
            trained=trained,
        )

    def _past(self) -> Past:
        return past_of(read_recoveries(self.folder), seed=self.plan.seed, data_digest=self.lessons.digest)

    def _epochs(self, rounds: Sequence[Recovery]) -> int:
        """What a round asks for: all epochs from the beginning, those of the rounds that it goes on from among them."""
        return self.plan.epochs + (0 if best_of(rounds) is None else epochs_of(rounds))

    def _attempts(self, telling: Telling, evaluator: Evaluator, reference_ms: float | None, pace: Pace) -> Attempts:
        trainer = Trainer(compressor=self.compressor, lessons=self.lessons, folder=self.folder, listener=telling.listen)
        attempts = Attempts(
            compressor=self.compressor,
            trainer=trainer,
            evaluator=evaluator,
            relatives=Relatives(self.compressor),
            folder=self.folder,
            stages=self.stages,
            reference_ms=reference_ms,
            pace=pace,
        )
        for recovery in read_recoveries(self.folder):
            if recovery.outcome is not None:
                attempts.remember(recovery.outcome.digest)
        return attempts

    def _settings(self, epochs: int, limit_s: float | None, *, number: int = 0) -> RecoverySettings:
        """Of the round of that number: each has orders of its own."""
        import torch

        threads = min(self.threads, torch.get_num_threads())
        return RecoverySettings(
            epochs=epochs, seed=self.plan.seed + number, threads=threads, time_limit_s=limit_s, device=self.plan.device
        )
