"""What policies are expected to add to a front, when nobody foresees their metric exactly."""

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr

from search.pareto import Pair, front
from search.samplers.frontier.energy import Array


def expected_gains(points: Sequence[Pair], reference: Pair, costs: Array, metrics: Array, spreads: Array) -> Array:
    """The hypervolume that each policy is expected to add to the points.

    The added hypervolume is a sum over the front's steps to the right of the cost: the width of each times how far the
    metric is above it. Of a normal metric that is the expected improvement (Mockus 1975), step by step. So what stands
    barely behind the front counts too: of several policies of about the same damage one is better than foreseen.

    Args:
        points: (cost ratio, metric) of what is known.
        reference: Where hypervolumes begin: the highest cost and the lowest metric that count.
        costs: Of the policies; not finite where one is to add nothing.
        metrics: What is expected of them.
        spreads: Standard deviations of the same; 0 where the metric is certain.
    """
    last, floor = reference
    kept = [points[position] for position in front(points)]
    steps = sorted((cost, metric) for cost, metric in kept if cost < last and metric > floor)
    ends = np.array([-np.inf, *(cost for cost, _ in steps), last])
    levels = np.array([floor, *(metric for _, metric in steps)])
    widths = np.minimum(ends[1:], last) - np.maximum(ends[:-1], costs[:, None])
    above = metrics[:, None] - levels
    gains = np.zeros(widths.shape)
    # Most steps lie to the left of a policy, or so far above it that nothing is to be hoped for.
    at = np.nonzero((widths > 0) & (above > -_HOPELESS * spreads[:, None]))
    over, spread = above[at], spreads[at[0]]
    z = np.divide(over, spread, out=np.full(len(over), np.inf), where=spread > 0)
    bell = np.exp(-0.5 * np.square(np.minimum(np.abs(z), _HOPELESS))) / np.sqrt(2.0 * np.pi)
    gains[at] = np.where(spread > 0, over * ndtr(z) + spread * bell, over)
    total: Array = (np.where(widths > 0, widths, 0.0) * gains).sum(axis=1)
    return np.where(np.isfinite(costs), total, 0.0)


_HOPELESS = 8.0
"""Standard deviations above what is expected: never seen."""
