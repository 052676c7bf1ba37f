"""What share of a drop a training wins back: assumed at first, then read off the trainings of the run."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from search.point import TrialPoint

ASSUMED = 0.9
"""Before any training has said otherwise. Networks that read digits came back by 0.98 from answering like chance."""


@dataclass(frozen=True, kw_only=True)
class WonBack:
    """The share of its drop that a candidate wins back, by its cost.

    What is left of a network decides how much it can learn again, so the share is held not to fall with the cost: an
    isotonic regression (Barlow et al. 1972) over the trainings so far, in which a drop of many points tells more than
    one of a few, whose share is mostly noise. Between two trainings it is interpolated over the logarithm of the cost;
    below the cheapest it is that one's; above the dearest it rises to what was assumed, of the whole network.

    Attributes:
        log_costs: Of the trainings, ascending.
        shares: What they won back, not falling.
    """

    log_costs: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()

    @classmethod
    def seen_in(cls, trainings: Iterable[tuple[TrialPoint, TrialPoint]]) -> "WonBack":
        """What these trainings say.

        Args:
            trainings: Each candidate before its training and after it; one that had no drop says nothing.
        """
        found = sorted(
            (math.log(before.cost_ratio), 1.0 - after.metric_drop / before.metric_drop, before.metric_drop)
            for before, after in trainings
            if before.metric_drop > 0
        )
        if not found:
            return cls()
        from scipy.optimize import isotonic_regression  # half a second

        log_costs, shares, drops = zip(*found, strict=True)
        rising = isotonic_regression(np.clip(shares, 0.0, 1.0), weights=np.array(drops)).x
        return cls(log_costs=log_costs, shares=tuple(map(float, rising)))

    def at(self, cost_ratio: float) -> float:
        """The share at a cost, in [0, 1]."""
        if not self.shares:
            return ASSUMED
        log_costs, shares = [*self.log_costs], [*self.shares]
        if log_costs[-1] < 0.0:
            log_costs.append(0.0)
            shares.append(max(ASSUMED, shares[-1]))
        return float(np.interp(math.log(cost_ratio), log_costs, shares))
