"""What is best at each of a few costs, beyond where the metric still tells policies apart.

Among strongly compressed networks that all answer as badly as chance the metric ranks nothing. What adds up over layers
still says of which more is left, and that is what a training builds on.
"""

from collections.abc import Collection

import numpy as np

from search.samplers.frontier.elimination import minimize
from search.samplers.frontier.elimination_plan import Plan
from search.samplers.frontier.energy import Choices, Energy
from search.samplers.frontier.neighbourhood import fill_budget, key, nearest_unseen
from search.samplers.frontier.proposal import Drawn, excess, keeps

_TRADE_OFFS = 48
_LEAST, _MOST = 1e-3, 1e3
"""Weights of the damage, over what balances the ranges of cost and damage."""

# Smaller differences are rounding.
_NOTHING = 1e-12


def climb(expected: Drawn, plan: Plan, count: int, given_up: Collection[bytes]) -> Choices:
    """Policies of least damage at costs from the least possible one to the middle between it and the dearest corner.

    The costs lie evenly in their logarithm. Where a rung has no policy of its own there is none, and none breaks the
    constraints further than the corner that keeps them best.

    Args:
        expected: What is believed of cost, damage and constraints.
        plan: For their layout.
        count: Rungs.
        given_up: Keys of assignments that were tried and not carried through; their nearest neighbours that are none of
            them stand for them.

    Returns:
        One row per policy, the cheapest first; no row twice.
    """
    ends = _ends(expected, plan)
    balance = _balance(expected, ends)
    weights = np.zeros((_TRADE_OFFS, 2 + len(expected.constraints)))
    weights[:, 0], weights[:, 1] = 1.0, balance * np.geomspace(_LEAST, _MOST, _TRADE_OFFS)
    corners = np.unique(np.concatenate([ends, minimize(plan, expected.all, weights)]), axis=0)
    corners = corners[keeps(expected, corners)]
    allowed = float(excess(expected, corners).min()) + _NOTHING
    costs = expected.cost.values(corners)
    corners, costs = corners[np.argsort(costs)], np.sort(costs)
    rungs = np.geomspace(max(costs[0], _NOTHING), max(np.sqrt(max(costs[0], _NOTHING) * costs[-1]), _NOTHING), count)
    nearness = Energy.weighted((expected.cost, expected.damage), (1.0, balance))
    found: dict[bytes, Choices] = {}
    least = np.inf
    for rung in rungs:
        at = int(np.searchsorted(costs, rung + _NOTHING))
        best = fill_budget(expected.cost, expected.damage, float(rung), corners[max(0, at - 1) : at + 1])
        if best is None or expected.damage.values(best[None])[0] >= least:
            continue
        least = float(expected.damage.values(best[None])[0])
        x = nearest_unseen(nearness, best, given_up)
        if x is not None and excess(expected, x[None])[0] <= allowed:
            found.setdefault(key(x), x)
    return np.array(list(found.values()), np.int64).reshape(-1, corners.shape[1])


def _ends(expected: Drawn, plan: Plan) -> Choices:
    """The cheapest policy and the gentlest."""
    weights = np.zeros((2, 2 + len(expected.constraints)))
    weights[0, 0] = weights[1, 1] = 1.0
    return minimize(plan, expected.all, weights)


def _balance(expected: Drawn, ends: Choices) -> float:
    """Cost over damage, from one end to the other."""
    cost, damage = (abs(float(np.diff(energy.values(ends))[0])) for energy in (expected.cost, expected.damage))
    return cost / damage if cost > 0 and damage > 0 else 1.0
