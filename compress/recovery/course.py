"""A training's way from its first step, or its checkpoint, to its last; the best weights on it are what it leaves."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from compress.recovery.checkpoint import Checkpoint
from compress.recovery.judgement import Judgement
from compress.recovery.learning_rate import share_of_peak, try_rates
from compress.recovery.lessons import Lesson, Lessons
from compress.recovery.lineage import LossPoint, TrainingProgress
from compress.recovery.settings import RecoverySettings

if TYPE_CHECKING:
    from compress.recovery.training import Training

Listener = Callable[[TrainingProgress], None]

_CHECKPOINT_EVERY_S = 15.0
_POINTS_PER_EPOCH = 8
_MEMORY = 0.95
_TRIALS_SHARE = 0.125
_SMALLEST = 1e-9


class Course:
    """When to step, to round, to look at what has been reached, and to stop.

    Args:
        training: What takes the steps.
        lessons: What to learn from.
        held_out: By what the best weights are known.
        settings: How long.
        key: What decides how the training goes.
        checkpoint: Where to write now and then, and to go on from if there is one.
        clock: Seconds.

    Raises:
        CompressionError: The checkpoint is another training's.
    """

    def __init__(
        self,
        *,
        training: "Training",
        lessons: Lessons,
        held_out: Lessons,
        settings: RecoverySettings,
        key: str,
        checkpoint: Path | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.step = 0
        self.history: list[LossPoint] = []
        self.kept_step = 0
        self.rate = math.nan
        self._kept: Judgement | None = None
        self._training = training
        self._lessons = lessons
        self._held_out = held_out
        self._settings = settings
        self._key = key
        self._checkpoint = checkpoint
        self._clock = clock
        self._per_epoch = lessons.batch_count(settings.batch_size)
        self._steps = self._per_epoch * settings.epochs
        self._before_s = 0.0
        self._began = clock()
        self._saved = clock()
        if checkpoint is not None and checkpoint.exists():
            self._go_on(Checkpoint.load(checkpoint, key))

    @property
    def seconds(self) -> float:
        """Spent on this training, interruptions left out."""
        return self._before_s + self._clock() - self._began

    @property
    def progress(self) -> float:
        """The share that is done: of the steps, or of the time where that is nearer to its end."""
        limit_s = self._settings.time_limit_s  # of this call: another day, another limit
        by_time = 0.0 if limit_s is None else self.seconds / (self._before_s + limit_s)
        return max(self.step / self._steps, by_time)

    @property
    def kept(self) -> Judgement:
        """The best on the way, the first weights included."""
        assert self._kept is not None  # noqa: S101  # it has been run
        return self._kept

    def run(self, listener: Listener | None) -> None:
        """Train to the end."""
        loss, score, since = math.nan, math.nan, _Sums()
        if self._kept is None:
            self._kept = self._training.judge(self._held_out)
            self.rate = self._settings.learning_rate or self._try_rates(self._kept, listener)
        try:
            for lesson in self._batches():
                progress = self.progress
                if progress >= 1.0:
                    break
                if progress >= self._settings.float_share and not self._training.is_rounded:
                    self._training.set_rounding_in()
                found, scored = self._training.step(lesson, self.step, self.rate * share_of_peak(progress))
                self.step += 1
                since.add(found, scored)
                loss = found if math.isnan(loss) else _MEMORY * loss + (1 - _MEMORY) * found
                if scored is not None:
                    score = scored if math.isnan(score) else _MEMORY * score + (1 - _MEMORY) * scored
                if self.step % math.ceil(self._per_epoch / _POINTS_PER_EPOCH) == 0:
                    self.history.append(since.point(self.step))
                    since = _Sums()
                if self.step % self._per_epoch == 0 and self._training.is_rounded and self.step < self._steps:
                    self._look()
                if listener is not None:
                    listener(self._said(loss, None if math.isnan(score) else score))
                if self._clock() - self._saved >= _CHECKPOINT_EVERY_S:
                    self._save()
            self._look()
        finally:
            self._save()

    def _try_rates(self, first: Judgement, listener: Listener | None) -> float:
        began, done, limit_s = self._clock(), 0, self._settings.time_limit_s

        def tell(loss: float) -> None:
            nonlocal done
            done += 1
            if listener is not None:
                left_s = (self._clock() - began) / done * self._steps
                listener(replace(self._said(loss, None), seconds_left=left_s))

        return try_rates(
            self._training,
            first.weights,
            self._lessons,
            batch_size=self._settings.batch_size,
            seed=self._settings.seed,
            steps=self._steps,
            told=tell,
            is_late=lambda: limit_s is not None and self._clock() - began > _TRIALS_SHARE * limit_s,
        )

    def _look(self) -> None:
        """Keep the weights as they are now if they are the best so far."""
        found = self._training.judge(self._held_out)
        if found.loss < self.kept.loss:  # which no loss is that is not a number
            self._kept, self.kept_step = found, self.step

    def _batches(self) -> Iterator[Lesson]:
        """What is left of all epochs, in each one's own order."""
        for epoch in range(self.step // self._per_epoch, self._settings.epochs):
            generator = np.random.default_rng((self._settings.seed, epoch))
            done = self.step - epoch * self._per_epoch
            for index, lesson in enumerate(self._lessons.epoch(self._settings.batch_size, generator)):
                if index >= done:
                    yield lesson

    def _said(self, loss: float, score: float | None) -> TrainingProgress:
        progress = self.progress
        return TrainingProgress(
            epoch=max(self.step - 1, 0) // self._per_epoch + 1,
            epochs=self._settings.epochs,
            step=self.step,
            steps=self._steps,
            loss=loss,
            score=score,
            seconds_left=max(0.0, self.seconds * (1.0 - progress) / max(progress, _SMALLEST)),
        )

    def _save(self) -> None:
        self._saved = self._clock()
        if self._checkpoint is not None and self._kept is not None:
            Checkpoint(
                key=self._key,
                step=self.step,
                seconds=self.seconds,
                rate=self.rate,
                arrays=self._training.state(),
                ranges=self._training.first_ranges,
                kept=self._kept,
                kept_step=self.kept_step,
                history=tuple(self.history),
            ).save(self._checkpoint)

    def _go_on(self, found: Checkpoint) -> None:
        if found.ranges is not None:
            self._training.set_rounding_in(found.ranges)
        self._training.restore(found.arrays)
        self.step, self._before_s, self.history = found.step, found.seconds, list(found.history)
        self._kept, self.kept_step, self.rate = found.kept, found.kept_step, found.rate


class _Sums:
    """Losses and scores since the last point."""

    def __init__(self) -> None:
        self._losses: list[float] = []
        self._scores: list[float] = []

    def add(self, loss: float, score: float | None) -> None:
        self._losses.append(loss)
        if score is not None:
            self._scores.append(score)

    def point(self, step: int) -> LossPoint:
        score = float(np.mean(self._scores)) if self._scores else None
        return LossPoint(step=step, loss=float(np.mean(self._losses)), score=score)
