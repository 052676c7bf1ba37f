"""What was measured of single choices, and what that says of all of them."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from search.layers.effects import Effect, Effects
from search.space.space import Choice, Knob, SearchSpace
from search.sweep.axes import Axis, axes_of

MISFIT = 0.3
"""How far a single choice's damage is off in the midst of others, relative: sums of single divergences missed 66 random
policies of a residual network by a factor of 1.5, and subsets of a mobile network's convolutions by one of 1.4."""

# How far an interpolated logarithm is off, over its distance between the ends and the product of its ways to them: 0.5
# over 48 choices of a residual network that were interpolated and measured.
_CURVATURE = 0.5

# A divergence below this is the arithmetic's, not the choice's.
_SMALLEST = 1e-12
_SMALLEST_DEVIATION = 1e-9


@dataclass(frozen=True, kw_only=True)
class Reading:
    """The divergence from FP32 that one choice alone causes.

    Attributes:
        mean: Over the samples.
        standard_error: Of the mean; the mean itself where a single sample tells none.

    Raises:
        ValueError: One of them is negative or not finite.
    """

    mean: float
    standard_error: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) and value >= 0 for value in (self.mean, self.standard_error)):
            raise ValueError(f"a reading is finite and not negative, got {self.mean} and {self.standard_error}")


Key = tuple[str, Choice]
"""Knob name and choice."""

Readings = Mapping[Key, Reading | None]
"""By knob and choice; None for a choice that could not be measured."""


@dataclass(frozen=True, kw_only=True)
class _Between:
    """A choice between two measured ones; `log_deviation` says how far its logarithm may be off."""

    log_mean: float
    log_deviation: float


def effects_of(space: SearchSpace, readings: Readings) -> Effects:
    """What the readings say of every choice that they say something of.

    A choice between two measured ones is interpolated, and the further from both the less is known of it. What lies
    beyond the measured ones, or could not be measured, is left to the sampler's own beliefs.
    """
    effects: dict[Key, Effect] = {}
    for knob in space.knobs:
        for choice in knob.choices[1:]:
            reading = readings.get((knob.name, choice))
            if reading is not None:
                effects[knob.name, choice] = _effect(reading.mean, reading.standard_error, 0.0)
        for choice, between in _interpolated(knob, readings):
            effects[knob.name, choice] = _effect(math.exp(between.log_mean), 0.0, between.log_deviation)
    return effects


def next_between(space: SearchSpace, readings: Readings) -> Key | None:
    """The choice on an axis that is known worst; None where interpolating is as good as adding up is anyway."""
    worst: tuple[float, Key] | None = None
    for knob in space.knobs:
        for key, deviation in _unmeasured(knob, readings):
            if deviation > MISFIT and (worst is None or deviation > worst[0]):
                worst = deviation, key
    return None if worst is None else worst[1]


def count_settled(space: SearchSpace, readings: Readings) -> int:
    """How many choices are known as well as a sweep wants to know them."""
    measured = sum((knob.name, choice) in readings for knob in space.knobs for choice in knob.choices[1:])
    return measured + sum(deviation <= MISFIT for knob in space.knobs for _, deviation in _unmeasured(knob, readings))


def _unmeasured(knob: Knob, readings: Readings) -> Iterator[tuple[Key, float]]:
    """The choices on the knob's axes without a reading, and how far their logarithms may be off."""
    between = dict(_interpolated(knob, readings))
    for axis in axes_of(knob):
        for choice in axis.choices:
            if (knob.name, choice) not in readings:
                yield (knob.name, choice), between[choice].log_deviation if choice in between else math.inf


def _interpolated(knob: Knob, readings: Readings) -> Iterator[tuple[Choice, _Between]]:
    for axis in axes_of(knob):
        known = [
            (place, math.log(max(reading.mean, _SMALLEST)))
            for place, choice in enumerate(axis.choices)
            if (reading := readings.get((knob.name, choice))) is not None
        ]
        for (start, low), (stop, high) in pairwise(known):
            for place in range(start + 1, stop):
                if (knob.name, axis.choices[place]) not in readings:
                    yield axis.choices[place], _between(axis, (start, low), place, (stop, high))


def _between(axis: Axis, before: tuple[int, float], place: int, behind: tuple[int, float]) -> _Between:
    (start, low), (stop, high) = before, behind
    positions = axis.positions
    way = (positions[place] - positions[start]) / (positions[stop] - positions[start])
    log_deviation = _CURVATURE * abs(high - low) * way * (1.0 - way)
    return _Between(log_mean=low + way * (high - low), log_deviation=log_deviation)


def _effect(mean: float, standard_error: float, log_deviation: float) -> Effect:
    deviation = math.hypot(MISFIT * mean, standard_error, log_deviation * mean)
    return Effect(mean=mean, deviation=max(deviation, _SMALLEST_DEVIATION))
