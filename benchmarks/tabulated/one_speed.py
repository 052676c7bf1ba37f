"""Readings that were taken at several speeds of the processor, as they would be at its full one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.tabulated.readings import Timing
from latency.elasticity import Elasticity, SpeedReading, fit_elasticity, ratio_at

_FULL = 0.05
"""Of all readings, so many are taken at full speed at least, and are faster than that by chance at most."""

_SAME = 0.15
"""A processor's speeds lie further apart than this, and readings at one of them nearer together."""

_ENOUGH = 2
"""Readings at full speed, of a candidate: what a correction from another speed would add is more noise than figure."""


@dataclass(frozen=True, kw_only=True)
class OneSpeed:
    """What the readings say at one speed.

    Attributes:
        ratios: Of each candidate, by digest, all its readings.
        fp32_ms: What FP32 takes at that speed.
        elasticity: By which ratios of candidates without any FP32 layer follow FP32's time.
    """

    ratios: Mapping[str, Sequence[float]]
    fp32_ms: float
    elasticity: Elasticity


def at_one_speed(timings: Mapping[str, Sequence[Timing]], shares: Mapping[str, float]) -> OneSpeed:
    """All readings at the processor's full speed; those taken there alone, of a candidate that has enough of them.

    Args:
        timings: Of each candidate, by digest; at least one in all.
        shares: Of each candidate's work, that in other formats than FP32.
    """
    elasticity = fit_elasticity(
        SpeedReading(model=digest, ratio=each.ratio, baseline_ms=each.fp32_ms, share=shares[digest])
        for digest, taken in timings.items()
        for each in taken
    )
    fp32_ms = float(np.quantile([each.fp32_ms for taken in timings.values() for each in taken], _FULL))
    ratios = {
        digest: [
            ratio_at(
                each.ratio,
                taken_at_ms=each.fp32_ms,
                baseline_ms=fp32_ms,
                elasticity=elasticity.of_share(shares[digest]),
            )[0]
            for each in at_full_speed(taken, fp32_ms)
        ]
        for digest, taken in timings.items()
    }
    return OneSpeed(ratios=ratios, fp32_ms=fp32_ms, elasticity=elasticity)


def at_full_speed(taken: Sequence[Timing], fp32_ms: float) -> Sequence[Timing]:
    """Those readings of one candidate that were taken at full speed if they are enough, else all of them.

    Args:
        taken: All of the candidate.
        fp32_ms: What FP32 takes at full speed.
    """
    fast = [each for each in taken if each.fp32_ms <= (1.0 + _SAME) * fp32_ms]
    return fast if len(fast) >= _ENOUGH else taken
