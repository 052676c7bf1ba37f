"""How much more than FP32 a model slows down when the processor does: its elasticity, learned and applied.

A processor has no one speed: it throttles, its clock moves, neighbours on a host share its units. Formats lose by that
unequally (measured on a shared host: FP32 takes 1.55 times as long, 8-bit networks 1.85 times), so that the ratio of
one candidate to FP32 depends on the speed it was taken at. How fast FP32 itself runs says which speed that is. The
*elasticity* of a candidate is d log(ratio) / d log(FP32's time): 0 for FP32 by definition. Of two candidates of one
network it is taken to be in proportion to their `share`, that of the work which is done in other formats than FP32.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    from numpy.typing import NDArray

LEVELS_APART = 0.08
"""Logarithms of FP32's time that differ by so much are two speeds. Without any, it wanders by 2% to 3%."""

# Before anything is known: one speed tells nothing of another.
_PRIOR_DEVIATION = 0.5
# What a ratio that is taken again differs by within one speed, as a standard deviation, worth so many pairs.
_PRIOR_NOISE, _PRIOR_PAIRS = 0.025, 4.0
# How far candidates' own elasticities lie from what their shares say, over the share: the standard deviation over 66
# measurements of a residual network within which a host's speed changed, 0.07 over those that tell best. Slow moments
# of one level differ by as much.
_OWN_DEVIATION = 0.1
_HUBER = 1.5
_NORMAL_MEDIAN = 0.6745  # of a normal's absolute value, in standard deviations
_ITERATIONS, _CONVERGED = 50, 1e-5


@dataclass(frozen=True, kw_only=True, slots=True)
class SpeedReading:
    """One model's ratio at one moment.

    Attributes:
        model: What identifies the model, such as its digest.
        ratio: Its time over FP32's.
        baseline_ms: What FP32 took meanwhile.
        share: Of the model's work, that in other formats than FP32; between 0 and 1.
    """

    model: str
    ratio: float
    baseline_ms: float
    share: float

    def __post_init__(self) -> None:
        for name in ("ratio", "baseline_ms"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be finite and above 0, got {value!r}")
        if not 0.0 <= self.share <= 1.0:
            raise ValueError(f"share must be between 0 and 1, got {self.share!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Elasticity:
    """By which power of FP32's time a ratio grows; the default says that nothing is known, and changes nothing.

    Attributes:
        value: d log(ratio) / d log(FP32's time).
        deviation: Its standard deviation.
    """

    value: float = 0.0
    deviation: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.value) and math.isfinite(self.deviation) and self.deviation >= 0):
            raise ValueError(f"an elasticity must be finite, its deviation not negative, got {self!r}")

    def of_share(self, share: float) -> Elasticity:
        """Where this is that of a model all of whose work is in other formats: that of one with this share of it."""
        return Elasticity(value=self.value * share, deviation=share * math.hypot(self.deviation, self._own))

    @property
    def _own(self) -> float:
        return _OWN_DEVIATION if self.deviation else 0.0


UNKNOWN = Elasticity()
"""Of a machine that has shown one speed only: its ratios stay as they were read."""


def fit_elasticity(readings: Iterable[SpeedReading], *, levels_apart: float = LEVELS_APART) -> Elasticity:
    """The elasticity of a model all of whose work is in other formats, from models that were read at several speeds.

    A regression through the origin of the differences of log ratios on those of log levels times shares, within models:
    what one model has of its own cancels. Readings are robustly weighted (Huber 1964, Annals of Mathematical Statistics
    35), since now and then one is spoilt by a fifth, and the slope starts from 0 with a wide prior.

    Args:
        readings: Any number of any models, in any order.
        levels_apart: Two readings of a model whose log levels are closer than this say nothing: what two sessions of
            FP32 differ by is in level and ratio alike, and would look like a slope.

    Returns:
        `UNKNOWN` where no model was read at two speeds.
    """
    import numpy as np

    by_model: dict[str, list[SpeedReading]] = defaultdict(list)
    for reading in readings:
        if reading.share > 0:
            by_model[reading.model].append(reading)
    rows = [row for mine in by_model.values() for row in _differences(mine, levels_apart)]
    if not rows:
        return UNKNOWN
    x, y, weights = np.array(rows).T
    precision = 1.0 / _PRIOR_DEVIATION**2
    slope, variance, robust = 0.0, _PRIOR_NOISE**2, np.ones(len(rows))
    for _ in range(_ITERATIONS):
        told, before = float((weights * robust * x * x).sum()) / variance, slope
        slope = float((weights * robust * x * y).sum()) / variance / (told + precision)
        if abs(slope - before) < _CONVERGED:
            break
        off = np.abs(y - slope * x)
        # A difference has twice the variance of a reading.
        variance = _noise_variance(off, weights)
        robust = np.minimum(1.0, _HUBER * math.sqrt(2.0 * variance) / np.maximum(off, 1e-12))
    told = float((weights * robust * x * x).sum()) / variance
    return Elasticity(value=slope, deviation=1.0 / math.sqrt(told + precision))


def ratio_at(ratio: float, *, taken_at_ms: float, baseline_ms: float, elasticity: Elasticity) -> tuple[float, float]:
    """A ratio as it would be at another speed, and by how much of itself the elasticity leaves it uncertain.

    Args:
        ratio: A model's time over FP32's.
        taken_at_ms: What FP32 took beside it.
        baseline_ms: What FP32 takes at the speed that is asked about.
        elasticity: The model's own (`Elasticity.of_share`).

    Returns:
        The ratio there, and the relative standard deviation that the correction adds.
    """
    apart = math.log(baseline_ms / taken_at_ms)
    return ratio * math.exp(elasticity.value * apart), abs(apart) * elasticity.deviation


def _noise_variance(off: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Of one log ratio, from residuals of differences: the median one counts, moderated by what is usual."""
    import numpy as np

    order = np.argsort(off)
    reached = np.cumsum(weights[order])
    middle = float(off[order][np.searchsorted(reached, reached[-1] / 2)])
    pairs = 2.0 * float(reached[-1])
    found = (middle / _NORMAL_MEDIAN) ** 2 / 2.0
    return (_PRIOR_PAIRS * _PRIOR_NOISE**2 + pairs * found) / (_PRIOR_PAIRS + pairs)


def _differences(mine: list[SpeedReading], levels_apart: float) -> list[tuple[float, float, float]]:
    """Of each two readings of one model at different speeds: level times share, log ratio, weight.

    All pairs of n readings with weight 1/n say as much as the n - 1 that are independent.
    """
    found = []
    for one, other in combinations(mine, 2):
        level = math.log(one.baseline_ms / other.baseline_ms)
        if abs(level) >= levels_apart:
            found.append((level * (one.share + other.share) / 2, math.log(one.ratio / other.ratio), 1.0 / len(mine)))
    return found
