"""Around a solution: the least cost within a budget that weights cannot reach, and the next best that is new."""

import heapq
from collections.abc import Collection
from itertools import count

import numpy as np

from search.samplers.frontier.energy import Array, Choices, Energy

_MOST_IMPROVEMENTS = 200
_MOST_VISITED = 20_000


def fill_budget(cost: Energy, damage: Energy, budget: float, starts: Choices) -> Choices | None:
    """An assignment of little damage that costs at most `budget`: a heuristic, from solutions on the convex hull.

    From each start, what is over the budget is bought back with the changes that damage least per cost saved, and what
    is left of it is spent on the changes, one or two at a time, that take away most damage. The starts decide how good
    it is: the hull's neighbours on both sides of the budget.

    Args:
        cost: What is limited.
        damage: What is minimized.
        budget: The limit.
        starts: Shape (starts, variables).

    Returns:
        The best of the ends reached, None where none is within the budget.
    """
    ends = [_improve(cost, damage, budget, _afford(cost, damage, budget, start)) for start in starts]
    feasible = [end for end in ends if cost.values(end[None])[0] <= budget]
    if not feasible:
        return None
    return feasible[int(damage.values(np.stack(feasible)).argmin())]


def _afford(cost: Energy, damage: Energy, budget: float, start: Choices) -> Choices:
    """Lower the cost to the budget."""
    x = start.copy()
    for _ in range(_MOST_IMPROVEMENTS):
        over = float(cost.values(x[None])[0]) - budget
        if over <= 0:
            break
        cheaper, harm = cost.changes(x), damage.changes(x)
        saving = -cheaper
        allowed = (saving > 0) & np.isfinite(cheaper)
        if not allowed.any():
            break
        enough = allowed & (saving >= over)
        if enough.any():  # one change does it: the gentlest
            price = np.where(enough, harm, np.inf)
        else:
            price = np.where(allowed, harm / np.where(allowed, saving, 1.0), np.inf)
        variable, choice = np.unravel_index(price.argmin(), price.shape)
        x[variable] = choice
    return x


def _improve(cost: Energy, damage: Energy, budget: float, start: Choices) -> Choices:
    """Lower the damage within the budget, by one change or by two together."""
    x = start.copy()
    slack = budget - float(cost.values(x[None])[0])
    for _ in range(_MOST_IMPROVEMENTS if slack >= 0 else 0):
        dearer, harm = cost.changes(x), damage.changes(x)
        price = np.where(dearer <= slack, harm, np.inf)
        moves = [np.array(np.unravel_index(price.argmin(), price.shape))[None]]
        exchange = _best_exchange(dearer, harm, slack)
        if exchange is not None:
            moves.append(exchange)
        after = []
        for move in moves:
            changed = x.copy()
            changed[move[:, 0]] = move[:, 1]
            after.append(changed)
        options = np.stack(after)
        gains = np.where(cost.values(options) <= budget, damage.values(options), np.inf)
        best = int(gains.argmin())
        if not gains[best] < damage.values(x[None])[0] - 1e-12:
            break
        x = options[best]
        slack = budget - float(cost.values(x[None])[0])
    return x


def _best_exchange(dearer: Array, harm: Array, slack: float) -> Choices | None:
    """Two changes that together fit into the slack and take away most damage, were they independent; None if none do.

    Shape (2, 2): variable and choice of each.
    """
    variables, choices = np.nonzero(np.isfinite(dearer))
    order = np.argsort(dearer[variables, choices], kind="stable")
    variables, choices = variables[order], choices[order]
    prices, harms = dearer[variables, choices], harm[variables, choices]
    lowest = np.minimum.accumulate(harms)
    at = np.zeros(len(harms), np.int64)  # where the prefix's lowest stands
    np.maximum.accumulate(np.where(harms <= lowest, np.arange(len(harms)), 0), out=at)
    partner = np.searchsorted(prices, slack - prices, side="right") - 1
    with_partner = np.flatnonzero(partner >= 0)
    if not with_partner.size:
        return None
    mates = at[partner[with_partner]]
    joint = harms[with_partner] + harms[mates]
    joint[variables[with_partner] == variables[mates]] = np.inf
    best = int(joint.argmin())
    if not joint[best] < 0:
        return None
    pair = [with_partner[best], mates[best]]
    return np.stack([variables[pair], choices[pair]], axis=1).astype(np.int64)


def nearest_unseen(energy: Energy, start: Choices, seen: Collection[bytes]) -> Choices | None:
    """An assignment that is not in `seen`, found by single changes from `start`, the least energy first.

    Args:
        energy: What a change costs.
        start: A seen assignment, or not.
        seen: `key` of each assignment.

    Returns:
        It, or None when all that can be reached in a bounded search is seen.
    """
    order = count()
    visited = {key(start)}
    heap = [(0.0, next(order), start)]
    while heap and len(visited) < _MOST_VISITED:
        level, _, x = heapq.heappop(heap)
        if key(x) not in seen:
            return x
        changes = energy.changes(x)
        for variable, choice in np.argwhere(np.isfinite(changes)):
            if x[variable] == choice:
                continue
            changed = x.copy()
            changed[variable] = choice
            name = key(changed)
            if name not in visited:
                visited.add(name)
                heapq.heappush(heap, (level + float(changes[variable, choice]), next(order), changed))
    return None


def key(choices: Choices) -> bytes:
    """The assignment as something to remember it by: a byte or two per variable."""
    return choices.astype(np.uint16).tobytes()
