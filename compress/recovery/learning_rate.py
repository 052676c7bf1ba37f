"""How far weights move in a step: a peak that is tried out, and the schedule below it."""

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compress.recovery.lessons import Lesson, Lessons

if TYPE_CHECKING:
    from compress.recovery.training import Training

RATES = (3e-3, 1e-3, 3e-4)
"""Of AdamW, at their peak."""
UNTRIED = 1e-3
"""Where there is no time to try them."""
TOLERATED = 1.35
"""Between what a rate may lose by in its trial and still end lowest (up to 1.29, seen on chars-transformer) and what it
does not make up for (from 1.4 on EfficientNet-Lite0, from 2 on mnist-resnet)."""
_MOST_STEPS = 24
_FEWEST_STEPS = 8
_SHARE = 1 / 16
_OF_TRIAL = 2**31
_WARM_UP = 0.05
_LAST_RATE = 0.01


def try_rates(
    training: "Training",
    weights: Mapping[str, NDArray[np.float32]],
    lessons: Lessons,
    *,
    batch_size: int,
    seed: int,
    steps: int,
    told: Callable[[float], None],
    is_late: Callable[[], bool],
) -> float:
    """The largest rate that does not tear the network apart, of `RATES`; the training is left at `weights`.

    A few dozen steps favour small rates and a whole training large ones: over 1,500 steps 3e-3 ends below 1e-3 although
    it is above it for the first thousand (seen on chars-transformer, mildly compressed and strongly). What is too large
    shows at once, though: on the networks that read digits the loss jumps and stays up. So from the same start, on
    the same batches, rates are tried from the smallest on, and the largest is taken that comes within a factor of
    `TOLERATED` of the least loss before it; beyond the first that does not, none is tried.

    Args:
        training: In floats still.
        weights: Where every trial starts.
        lessons: What to learn from.
        batch_size: Samples per step.
        seed: Of the batches.
        steps: Of the whole training; a sixteenth of them is tried, between 8 and 24.
        told: Told the loss after each step.
        is_late: Whether trials have taken too long already: then it is `UNTRIED`.
    """
    count = max(_FEWEST_STEPS, min(_MOST_STEPS, int(steps * _SHARE)))
    batches = list(islice(_endless(lessons, batch_size, seed), count))

    def loss_of(rate: float) -> float:
        training.begin_with(weights)
        losses = []
        for number, lesson in enumerate(batches):
            climb = min(1.0, (number + 1) / (len(batches) / 4))
            losses.append(training.step(lesson, number, rate * climb)[0])
            told(losses[-1])
            if is_late():
                raise _TooLateError
        found = float(np.mean(losses[-len(losses) // 4 :]))  # the first ones tell of the start, not of the rate
        return found if math.isfinite(found) else math.inf

    try:
        return _largest_bearable(loss_of)
    except _TooLateError:
        return UNTRIED
    finally:
        training.begin_with(weights)


def _largest_bearable(loss_of: Callable[[float], float]) -> float:
    chosen, least = RATES[-1], math.inf
    for rate in reversed(RATES):
        loss = loss_of(rate)
        if not math.isfinite(loss) or loss > TOLERATED * least:
            break
        chosen, least = rate, min(least, loss)
    return chosen


class _TooLateError(Exception):
    """Trials have taken too long."""


def share_of_peak(progress: float) -> float:
    """The learning rate as a share of its peak: a short climb, then half a cosine.

    (Loshchilov & Hutter 2017, arXiv:1608.03983.)

    Args:
        progress: Share of the training that is done.
    """
    climb = min(1.0, (progress + 1e-3) / _WARM_UP)
    fall = _LAST_RATE + (1.0 - _LAST_RATE) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
    return climb * fall


def _endless(lessons: Lessons, batch_size: int, seed: int) -> Iterator[Lesson]:
    generator = np.random.default_rng((seed, _OF_TRIAL))
    while True:
        yield from lessons.epoch(batch_size, generator)
