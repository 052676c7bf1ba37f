"""Training what a policy leaves of a network until it answers like the whole one again."""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from compress.policy import Policy
from compress.recovery.checkpoint import Checkpoint
from compress.recovery.float_structure import FloatStructure
from compress.recovery.lessons import Lesson, Lessons
from compress.recovery.lineage import Lineage, LossPoint, TrainingProgress
from compress.recovery.reconstruct import refitted_weights
from compress.recovery.recovered_weights import RecoveredWeights
from compress.recovery.relatives import first_weights
from compress.recovery.settings import RecoverySettings
from compress.stitch import Compressor

if TYPE_CHECKING:
    from compress.recovery.training import Training

METHOD = "trained by distillation from the original network"

Listener = Callable[[TrainingProgress], None]

_CHECKPOINT_EVERY_S = 15.0
_POINTS_PER_EPOCH = 8
_MEMORY = 0.95


def recover(
    compressor: Compressor,
    policy: Policy,
    lessons: Lessons,
    settings: RecoverySettings,
    *,
    start: RecoveredWeights | None = None,
    checkpoint: Path | None = None,
    listener: Listener | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> RecoveredWeights:
    """Train the policy's network.

    With the same arguments and threads, and no time limit, it gives the same weights; on CUDA as far as
    `compress.recovery.device.steady` says. An exception of the listener ends
    it; called again, it goes on from the checkpoint.

    Args:
        compressor: Of the original network.
        policy: What to train.
        lessons: What to learn from.
        settings: How.
        start: A relative whose weights are the first ones wherever they fit; None for the candidate's own, refitted
            layer after layer (`compress.recovery.reconstruct`).
        checkpoint: Where to write now and then, and to go on from if there is one; whoever has kept the result
            removes it.
        listener: Told after each step.
        clock: Seconds.

    Raises:
        UntrainableError: An operator has no form in torch that we know.
        PolicyError: The policy does not fit the network or the target.
        CompressionError: torch does not have the device, the checkpoint is another training's, or training came to no
            finite numbers.
    """
    from compress.recovery.device import find_device, steady
    from compress.recovery.training import Training

    structure = FloatStructure.of(compressor, policy)
    key = _key(compressor, policy, lessons, settings, start)
    began = clock()
    with steady(find_device(settings.device), settings.threads):
        training = Training(compressor, structure, lessons, settings)
        if checkpoint is None or not checkpoint.exists():  # which has weights of its own
            begun = (
                refitted_weights(compressor, structure, lessons, settings, clock) if start is None else start.weights
            )
            training.begin_with(first_weights(structure, begun))
        before_s = clock() - began
        limit_s = settings.time_limit_s
        if limit_s is not None:
            settings = replace(settings, time_limit_s=max(limit_s - before_s, 1e-3))
        course = _Course(
            training=training,
            lessons=lessons,
            settings=settings,
            key=key,
            checkpoint=checkpoint,
            clock=clock,
        )
        course.run(listener)
    lineage = Lineage(
        recovered_from=compressor.build(policy).digest,
        method=METHOD,
        epochs=course.step // lessons.batch_count(settings.batch_size),
        steps=course.step,
        seed=settings.seed,
        data_digest=lessons.digest,
        started_from=None if start is None else start.digest,
        seconds=before_s + course.seconds,
        device=settings.device,
    )
    return RecoveredWeights(
        policy=policy,
        network_digest=compressor.network.digest,
        weights=course.training.recovered_weights(),
        ranges=course.ranges(),
        lineage=lineage,
        history=tuple(course.history),
    )


class _Course:
    """A training's way from its first step, or its checkpoint, to its last."""

    def __init__(
        self,
        *,
        training: "Training",
        lessons: Lessons,
        settings: RecoverySettings,
        key: str,
        checkpoint: Path | None,
        clock: Callable[[], float],
    ) -> None:
        self.training = training
        self.step = 0
        self.history: list[LossPoint] = []
        self._lessons = lessons
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

    def run(self, listener: Listener | None) -> None:
        """Train to the end."""
        loss, score, since = math.nan, math.nan, _Sums()
        try:
            for lesson in self._batches():
                progress = self.progress
                if progress >= 1.0:
                    break
                if progress >= self._settings.float_share and not self.training.is_rounded:
                    self.training.set_rounding_in()
                found, scored = self.training.step(lesson, self.step, progress)
                self.step += 1
                since.add(found, scored)
                loss = found if math.isnan(loss) else _MEMORY * loss + (1 - _MEMORY) * found
                if scored is not None:
                    score = scored if math.isnan(score) else _MEMORY * score + (1 - _MEMORY) * scored
                if self.step % math.ceil(self._per_epoch / _POINTS_PER_EPOCH) == 0:
                    self.history.append(since.point(self.step))
                    since = _Sums()
                if listener is not None:
                    listener(self._said(loss, None if math.isnan(score) else score))
                if self._clock() - self._saved >= _CHECKPOINT_EVERY_S:
                    self._save()
        finally:
            self._save()

    def ranges(self) -> dict[str, tuple[float, float]]:
        """Learned ranges, those of rounding that never set in included."""
        if not self.training.is_rounded:
            self.training.set_rounding_in()
        return self.training.ranges()

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
            epoch=(self.step - 1) // self._per_epoch + 1,
            epochs=self._settings.epochs,
            step=self.step,
            steps=self._steps,
            loss=loss,
            score=score,
            seconds_left=max(0.0, self.seconds * (1.0 - progress) / progress),
        )

    def _save(self) -> None:
        self._saved = self._clock()
        if self._checkpoint is not None:
            Checkpoint(
                key=self._key,
                step=self.step,
                seconds=self.seconds,
                arrays=self.training.state(),
                ranges=self.training.first_ranges,
                history=tuple(self.history),
            ).save(self._checkpoint)

    def _go_on(self, found: Checkpoint) -> None:
        if found.ranges is not None:
            self.training.set_rounding_in(found.ranges)
        self.training.restore(found.arrays)
        self.step, self._before_s, self.history = found.step, found.seconds, list(found.history)


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


def _key(
    compressor: Compressor,
    policy: Policy,
    lessons: Lessons,
    settings: RecoverySettings,
    start: RecoveredWeights | None,
) -> str:
    # How long, and on what, is each call's own affair.
    parts = [
        compressor.network.digest,
        policy.digest,
        lessons.digest,
        {name: value for name, value in asdict(settings).items() if name not in ("time_limit_s", "threads")},
        None if start is None else start.digest,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
