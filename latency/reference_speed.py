"""Measurements taken at different speeds of one machine, looked at from one of them; and the speeds within one.

Each round has a level of its own, what FP32 took in it, so that a measurement during which the speed changed is looked
at rightly too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from latency.elasticity import Elasticity, SpeedReading

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from latency.measurement import Measurement

# Two groups of rounds are two speeds where they are further apart than this, and than their own spread so many times.
_GROUPS_APART = 0.15
_SPREADS_APART = 4.0
_FEWEST_ROUNDS = 6
_NORMAL_MAD = 1.4826  # standard deviation over median absolute deviation, normal distribution


@dataclass(frozen=True, kw_only=True, slots=True)
class ReferenceSpeed:
    """A speed of a machine, and how a model's ratio to FP32 follows it.

    Attributes:
        baseline_ms: What FP32 takes at this speed.
        elasticity: The model's.
    """

    baseline_ms: float
    elasticity: Elasticity

    def __post_init__(self) -> None:
        if not (math.isfinite(self.baseline_ms) and self.baseline_ms > 0):
            raise ValueError(f"baseline_ms must be finite and above 0, got {self.baseline_ms!r}")

    @property
    def certain(self) -> ReferenceSpeed:
        """As if the elasticity were known for certain: what is left of an interval is what more samples narrow."""
        return replace(self, elasticity=replace(self.elasticity, deviation=0.0))

    def corrected(self, log_ratios: NDArray[np.float64], log_baseline_ms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log ratios of rounds as they would be at this speed, from what FP32 took in each."""
        return log_ratios - self.elasticity.value * (log_baseline_ms - math.log(self.baseline_ms))

    def uncertainty(self, log_baseline_ms: Sequence[NDArray[np.float64]]) -> float:
        """The standard deviation that the elasticity's own adds to the log ratio over rounds of these levels."""
        import numpy as np

        apart = float(np.mean(np.concatenate(log_baseline_ms))) - math.log(self.baseline_ms)
        return abs(apart) * self.elasticity.deviation


def speeds_within(measurement: Measurement, share: float) -> tuple[SpeedReading, ...]:
    """What a measurement says of its model at each of the one or two speeds that the machine had meanwhile.

    Args:
        measurement: As it was taken; the speed that it is looked at from does not matter.
        share: Of the model's work, that in other formats than FP32.

    Returns:
        The speed of most rounds first.
    """
    import numpy as np

    clock = measurement.clock
    ratios = np.concatenate([process.log_ratios(clock) for process in measurement.processes])
    levels = np.concatenate([process.log_baseline_ms(clock) for process in measurement.processes])
    groups = sorted(_groups(levels), key=lambda rounds: -int(rounds.sum()))
    return tuple(
        SpeedReading(
            model=measurement.model_digest,
            ratio=math.exp(float(np.median(ratios[rounds]))),
            baseline_ms=math.exp(float(np.median(levels[rounds]))),
            share=share,
        )
        for rounds in groups
    )


def _groups(levels: NDArray[np.float64]) -> list[NDArray[np.bool_]]:
    """Masks of the rounds at each speed: the best cut in two (Otsu 1979), where that gives two speeds at all."""
    import numpy as np

    order = np.sort(levels)
    counts = np.arange(1, len(order))
    sums = np.cumsum(order)
    apart = (sums[-1] - sums[:-1]) / (len(order) - counts) - sums[:-1] / counts
    cut = int(np.argmax(counts * (len(order) - counts) * apart**2)) if len(counts) else 0
    fast = levels <= order[cut]
    groups = [fast, ~fast]
    if min(int(rounds.sum()) for rounds in groups) < _FEWEST_ROUNDS:
        return [np.ones(len(levels), bool)]
    spread = max(_spread(levels[rounds]) for rounds in groups)
    if float(np.median(levels[~fast]) - np.median(levels[fast])) < max(_GROUPS_APART, _SPREADS_APART * spread):
        return [np.ones(len(levels), bool)]
    return groups


def _spread(levels: NDArray[np.float64]) -> float:
    import numpy as np

    return _NORMAL_MAD * float(np.median(np.abs(levels - np.median(levels))))
