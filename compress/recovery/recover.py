"""Training what a policy leaves of a network until it answers like the whole one again."""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compress.policy import Policy
from compress.recovery.course import Course, Listener
from compress.recovery.float_structure import FloatStructure
from compress.recovery.lessons import Lessons
from compress.recovery.lineage import Lineage
from compress.recovery.reconstruct import refitted_weights
from compress.recovery.recovered_weights import RecoveredWeights
from compress.recovery.relatives import first_weights, masks_of
from compress.recovery.settings import RecoverySettings
from compress.stitch import Compressor

METHOD = "trained by distillation from the original network"

_MOST_HELD_OUT = 256


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
    `compress.recovery.device.steady` says. An exception of the listener ends it; called again, it goes on from the
    checkpoint. A few of the lessons, a sixteenth at most, are held out: by them the best weights on the way are known,
    the first ones included, so that training leaves nothing worse than it found.

    Args:
        compressor: Of the original network.
        policy: What to train.
        lessons: What to learn from.
        settings: How.
        start: A relative whose weights are the first ones wherever it has the channels; None for the candidate's own,
            refitted layer after layer (`compress.recovery.reconstruct`).
        checkpoint: Where to write now and then, and to go on from if there is one; whoever has kept the result
            removes it.
        listener: Told after each step.
        clock: Seconds.

    Raises:
        UntrainableError: An operator has no form in torch that we know.
        PolicyError: The policy does not fit the network or the target.
        CompressionError: torch does not have the device, or the checkpoint is another training's.
    """
    from compress.recovery.device import find_device, steady
    from compress.recovery.training import Training

    structure = FloatStructure.of(compressor, policy)
    key = _key(compressor, policy, lessons, settings, start)
    learned, held_out = lessons.hold_out(_MOST_HELD_OUT, settings.seed)
    began = clock()
    with steady(find_device(settings.device), settings.threads):
        training = Training(compressor, structure, learned, settings)
        if checkpoint is None or not checkpoint.exists():  # which has weights of its own
            training.begin_with(_first_weights(compressor, structure, lessons, settings, start, clock))
        before_s = clock() - began
        limit_s = settings.time_limit_s
        if limit_s is not None:
            settings = replace(settings, time_limit_s=max(limit_s - before_s, 1e-3))
        course = Course(
            training=training,
            lessons=learned,
            held_out=held_out,
            settings=settings,
            key=key,
            checkpoint=checkpoint,
            clock=clock,
        )
        course.run(listener)
    lineage = Lineage(
        recovered_from=compressor.build(policy).digest,
        method=METHOD,
        epochs=course.step // learned.batch_count(settings.batch_size),
        steps=course.step,
        seed=settings.seed,
        data_digest=lessons.digest,
        started_from=None if start is None else start.digest,
        seconds=before_s + course.seconds,
        device=settings.device,
        learning_rate=course.rate,
        kept_step=course.kept_step,
    )
    return RecoveredWeights(
        policy=policy,
        network_digest=compressor.network.digest,
        weights=course.kept.weights,
        ranges=course.kept.ranges,
        lineage=lineage,
        history=tuple(course.history),
    )


def _first_weights(
    compressor: Compressor,
    structure: FloatStructure,
    lessons: Lessons,
    settings: RecoverySettings,
    start: RecoveredWeights | None,
    clock: Callable[[], float],
) -> dict[str, NDArray[np.float32]]:
    if start is not None:
        return first_weights(structure, FloatStructure.of(compressor, start.policy), start.weights)
    own, masks = structure.learnable(), masks_of(structure)
    refitted = refitted_weights(compressor, structure, lessons, settings, clock)
    return own | {name: array * masks[name] if name in masks else array for name, array in refitted.items()}


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
