"""What share of a drop a training wins back, and how likely it does: assumed at first, then read off a run's trainings.

There is a size below which a network learns nothing again, however long it is trained, and above which most comes back
(seen on three: one that reads digits won back 0.35 of its drop at an eightieth of the cost and 0.98 at a thirtieth; a
transformer 0.2 at a sixtieth and a seventeenth, 0.8 at a sixth; EfficientNet-Lite0 all at a twelfth). Where that is
nobody knows beforehand. Each training of a ruined candidate tells on which side of it that lies, as a step of a
bisection does.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from search.point import TrialPoint

ASSUMED = 0.9
"""Of a candidate that learns again at all, before any training has said otherwise."""
USEFUL = 0.1
"""A network that lost more than this share of FP32's metric is of no use to anybody: it has to learn again."""
_LEARNS_AGAIN = 0.5
_BELOW_THE_CHEAPEST = math.log(2.0)
_NARROWEST = 1e-9


@dataclass(frozen=True, kw_only=True)
class WonBack:
    """What candidates win back, by their cost.

    What is left of a network decides how much it can learn again, so the share is held not to fall with the cost: an
    isotonic regression (Barlow et al. 1972) over the trainings so far, in which a drop of many points tells more than
    one of a few, whose share is mostly noise. Where it is below a half, ruined candidates do not learn again; one that
    had lost little has forgotten nothing, and says nothing of that.

    Attributes:
        log_costs: Of the trainings that won back half or more, ascending.
        shares: What they won back, not falling.
        nothing_below: The logarithm of the cost from which on downwards nothing comes back.
        surely_above: The logarithm of the cost from which on upwards it does.
    """

    log_costs: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()
    nothing_below: float
    surely_above: float = 0.0

    @classmethod
    def seen_in(cls, trainings: Iterable[tuple[TrialPoint, TrialPoint]], cheapest: float) -> "WonBack":
        """What these trainings say.

        Args:
            trainings: Each candidate before its training and after it; one that had no drop says nothing.
            cheapest: The cost, as a share of FP32's, of the cheapest candidate; half of it is held to be too little.
        """
        floor = min(math.log(cheapest), 0.0) - _BELOW_THE_CHEAPEST
        found = sorted(
            (
                math.log(before.cost_ratio),
                1.0 - after.metric_drop / before.metric_drop,
                before.metric_drop,
                before.metric_drop > USEFUL * abs(before.metric + before.metric_drop),
            )
            for before, after in trainings
            if before.metric_drop > 0
        )
        if not found:
            return cls(nothing_below=floor)
        from scipy.optimize import isotonic_regression  # half a second

        log_costs, shares, drops, ruined = zip(*found, strict=True)
        rising = isotonic_regression(np.clip(shares, 0.0, 1.0), weights=np.array(drops)).x
        trained = list(zip(log_costs, map(float, rising), ruined, strict=True))
        learned = [(cost, share) for cost, share, _ in trained if share >= _LEARNS_AGAIN]
        in_vain = [cost for cost, share, was_ruined in trained if share < _LEARNS_AGAIN and was_ruined]
        return cls(
            log_costs=tuple(cost for cost, _ in learned),
            shares=tuple(share for _, share in learned),
            nothing_below=max([floor, *in_vain]),
            surely_above=min([0.0, *(cost for cost, _ in learned)]),
        )

    def chance(self, cost_ratio: float) -> float:
        """How likely a candidate at a cost learns again, in [0, 1]: the size that it takes may be any, by logarithm."""
        cost = math.log(cost_ratio)
        if cost >= self.surely_above:
            return 1.0
        return max(0.0, cost - self.nothing_below) / max(self.surely_above - self.nothing_below, _NARROWEST)

    def share(self, cost_ratio: float) -> float:
        """What a candidate at a cost wins back if it learns again, in [0, 1].

        Between two trainings it is interpolated over the logarithm of the cost; below the cheapest it is that one's;
        above the dearest it rises to what was assumed, of the whole network.
        """
        if not self.shares:
            return ASSUMED
        log_costs, shares = [*self.log_costs], [*self.shares]
        if log_costs[-1] < 0.0:
            log_costs.append(0.0)
            shares.append(max(ASSUMED, shares[-1]))
        return float(np.interp(math.log(cost_ratio), log_costs, shares))
