"""Around a solution: the least cost within a budget that weights cannot reach, what is next to it, and what is new."""

import heapq
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Self

import numpy as np

from search.samplers.frontier.energy import Array, Choices, Energy, Walk

_MOST_CHANGES = 200
_MOST_EXCHANGES = 5
_MOST_VISITED = 20_000

# Smaller improvements are rounding.
_NOTHING = 1e-12


def fill_budget(cost: Energy, damage: Energy, budget: float, starts: Choices) -> Choices | None:
    """An assignment of little damage that costs at most `budget`: a heuristic, from solutions on the convex hull.

    From each start, what is over the budget is bought back with the changes that damage least per cost saved, and what
    is left of it is spent on the changes, of one or of two variables, that take away most damage. The starts decide how
    good it is: the hull's neighbours on both sides of the budget.

    Args:
        cost: What is limited.
        damage: What is minimized.
        budget: The limit.
        starts: Shape (starts, variables).

    Returns:
        The best of the ends reached, None where none is within the budget.
    """
    best: tuple[float, Choices] | None = None
    for start in starts:
        costs, damages = Walk(cost, start), Walk(damage, start)
        _afford(costs, damages, budget)
        if costs.value > budget + _NOTHING:
            continue
        _improve(costs, damages, budget)
        if best is None or damages.value < best[0]:
            best = damages.value, damages.choices
    return None if best is None else best[1]


def _change(costs: Walk, damages: Walk, variable: int, choice: int) -> None:
    costs.change(variable, choice)
    damages.change(variable, choice)


def _afford(costs: Walk, damages: Walk, budget: float) -> None:
    """Lower the cost to the budget, if changes of single variables can."""
    for _ in range(_MOST_CHANGES):
        over = costs.value - budget
        if over <= 0:
            return
        dearer, harm = costs.changes(), damages.changes()
        allowed = dearer < 0
        if not allowed.any():
            return
        enough = dearer <= -over
        if enough.any():  # one change does it: the gentlest
            price = np.where(enough, harm, np.inf)
        else:
            price = np.divide(harm, -dearer, out=np.full(harm.shape, np.inf), where=allowed)
        variable, choice = np.unravel_index(price.argmin(), price.shape)
        _change(costs, damages, int(variable), int(choice))


def _improve(costs: Walk, damages: Walk, budget: float) -> None:
    """Lower the damage within the budget, by single changes as long as there are any, else by two together."""
    exchanges = 0
    for _ in range(_MOST_CHANGES):
        slack = budget - costs.value
        dearer, harm = costs.changes(), damages.changes()
        price = np.where(dearer <= slack, harm, np.inf)
        variable, choice = np.unravel_index(price.argmin(), price.shape)
        if price[variable, choice] < -_NOTHING:
            _change(costs, damages, int(variable), int(choice))
        elif exchanges == _MOST_EXCHANGES or not _exchange(costs, damages, budget, dearer, harm):
            return
        else:
            exchanges += 1


def _exchange(costs: Walk, damages: Walk, budget: float, dearer: Array, harm: Array) -> bool:
    """Make the best two changes, unless they turn out to be none: neighbours are not independent."""
    moves = _best_exchange(dearer, harm, budget - costs.value)
    if moves is None:
        return False
    before, old = damages.value, damages.choices[moves[:, 0]]
    for variable, choice in moves.tolist():
        _change(costs, damages, variable, choice)
    if costs.value <= budget + _NOTHING and damages.value < before - _NOTHING:
        return True
    for variable, choice in zip(moves[:, 0].tolist(), old.tolist(), strict=True):
        _change(costs, damages, variable, choice)
    return False


def _best_exchange(dearer: Array, harm: Array, slack: float) -> Choices | None:
    """Two changes that together fit into the slack and take away most damage, were they independent; None if none do.

    Shape (2, 2): the variable and the choice of each.
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
    if not joint[best] < -_NOTHING:
        return None
    pair = [with_partner[best], mates[best]]
    return np.stack([variables[pair], choices[pair]], axis=1).astype(np.int64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Neighbours:
    """All that differs from one of some assignments in a single variable.

    Attributes:
        bases: The assignments, shape (bases, variables).
        values: What each neighbour's sums are, shape (sums, neighbours): by base, variable and choice, infinite where
            the variable has no such choice. A base is its own neighbour, once per variable.
    """

    bases: Choices
    values: Array
    _shape: tuple[int, ...]

    @classmethod
    def of(cls, energies: Sequence[Energy], bases: Choices) -> Self:
        """The neighbours of `bases`, with the sums over the same tables that `energies` are."""
        layout = energies[0].layout
        entries, found = layout.alternatives(bases), []
        for energy in energies:
            around = layout.summed(energy.table[entries])
            own = np.take_along_axis(around, bases[:, :, None], axis=2)
            found.append(energy.values(bases)[:, None, None] + (around - own))
        return cls(bases=bases, values=np.stack([each.ravel() for each in found]), _shape=found[0].shape)

    def choices(self, position: int) -> Choices:
        """One neighbour, by its position in `values`."""
        base, variable, choice = np.unravel_index(position, self._shape)
        x: Choices = self.bases[base].copy()
        x[variable] = choice
        return x


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
