"""From one sample of the models to one policy: the sample's own front, and what of it would add most to ours."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from search.pareto import Pair
from search.samplers.frontier.elimination import minimize
from search.samplers.frontier.elimination_plan import Plan
from search.samplers.frontier.energy import Array, Choices, Energy
from search.samplers.frontier.gain import expected_gains
from search.samplers.frontier.link import Link
from search.samplers.frontier.neighbourhood import Neighbours, fill_budget, key, nearest_unseen

# More find no better policies, since what is beside the solutions is looked at too (12 as good as 24).
_TRADE_OFFS = 12

# The corners of a hull over many layers lie close together; where they do not, a budget per proposal comes round often
# enough (all of a front of 729 policies found after 40 trials, with one as with three).
_BUDGETS = 1

# Policies that are looked at beside the solutions. Where there are few knobs all around each of them, where there are
# hundreds those around a few.
_NEIGHBOURS = 4000

# Weightings of the constraints per trade-off, besides the one that does without.
_MULTIPLIERS = 3
_MULTIPLIER_LOGS = (-3.0, 4.0)

# Trade-offs worth asking for: from the fastest of all, whatever the damage, to the least damage that trials have shown.
_LEAST, _MOST = 0.02, 20.0

_REFERENCE_COST = 1.05


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn:
    """One sample of everything that is modelled.

    Attributes:
        cost: Ratio to FP32's.
        damage: What adds up over layers: a power of the divergence from FP32.
        constraints: Up to 0 is allowed; in units of the largest value seen.
    """

    cost: Energy
    damage: Energy
    constraints: tuple[Energy, ...] = ()

    @property
    def all(self) -> tuple[Energy, ...]:
        """All of them."""
        return (self.cost, self.damage, *self.constraints)


@dataclass(frozen=True, kw_only=True, eq=False)
class Known:
    """What the finished trials have shown.

    Attributes:
        points: (cost ratio, metric) of each that keeps the constraints.
        floor: The lowest metric.
        link: From damage to the metric.
        damages: Least and largest above 0.
        seen: Keys of what was asked for.
    """

    points: Sequence[Pair]
    floor: float
    link: Link
    damages: tuple[float, float]
    seen: Collection[bytes]


def propose(drawn: Drawn, known: Known, plan: Plan, generator: np.random.Generator) -> Choices:
    """A new policy; a seen one only where nothing new is near.

    Every trade-off of the sample is solved at once, then budgets between the solutions, since weights reach the corners
    of the convex hull alone. To these come policies that differ from the best of them in one knob: where the sample's
    own front is known already, what is next to it is what may be better than the sample has it. Of what is new and
    within the constraints, that which is expected to add most hypervolume is taken, as in TSEMO (Bradford, Schweidtmann
    and Lapkin 2018), or one at random where none would add any.
    """
    weights = _weightings(drawn, known, generator)
    corners = minimize(plan, drawn.all, weights)
    pool = np.concatenate([corners, *_between(drawn, corners, generator)])
    pool = pool[np.sort(np.unique(pool, axis=0, return_index=True)[1])]
    values = np.stack([energy.values(pool) for energy in drawn.all])
    near = Neighbours.of(drawn.all, pool[_most_promising(known, values, drawn.cost.layout.sizes)])
    around = np.concatenate([values, near.values], axis=1)
    gains = np.where(_allowed(around[2:]), _gains(known, around), 0.0)
    for position in np.argsort(-gains, kind="stable"):
        if not gains[position] > 0:
            break
        x = pool[position] if position < len(pool) else near.choices(position - len(pool))
        if key(x) not in known.seen:
            return x
    new = [x for x in pool[_allowed(values[2:])] if key(x) not in known.seen]
    if new:
        return np.asarray(new[int(generator.integers(len(new)))], np.int64)
    position = int(generator.integers(len(corners)))
    nearest = nearest_unseen(Energy.weighted(drawn.all, weights[position]), corners[position], known.seen)
    return corners[position] if nearest is None else nearest


def _most_promising(known: Known, values: Array, sizes: Choices) -> Choices:
    """Positions of those in whose neighbourhood to look, as many as `_NEIGHBOURS` allows; at least one."""
    count = max(1, _NEIGHBOURS // max(1, int(sizes.sum())))
    return np.argsort(-_gains(known, values), kind="stable")[:count]


def _allowed(constraints: Array) -> "np.typing.NDArray[np.bool_]":
    """Of values of constraints, one row each: which keep them all; where none does, those that break them least."""
    over = np.maximum(constraints, 0.0).sum(axis=0)
    return np.asarray(over <= np.min(over) + 1e-12)


def _weightings(drawn: Drawn, known: Known, generator: np.random.Generator) -> Array:
    """Shape (weightings, energies), 1 for the cost."""
    least, most = np.log(_LEAST / known.damages[1]), np.log(_MOST / known.damages[0])
    steps = (np.arange(_TRADE_OFFS) + generator.random(_TRADE_OFFS)) / _TRADE_OFFS
    damage = np.exp(least + (most - least) * steps)
    count = len(drawn.constraints)
    repeats = 1 + _MULTIPLIERS * bool(count)
    weights = np.ones((repeats * _TRADE_OFFS, 2 + count))
    weights[:, 1] = np.tile(damage, repeats)
    if count:
        multipliers = np.exp(generator.uniform(*_MULTIPLIER_LOGS, (len(weights), count)))
        multipliers[:_TRADE_OFFS] = 0.0
        weights[:, 2:] = multipliers
    return weights


def _between(drawn: Drawn, corners: Choices, generator: np.random.Generator) -> list[Choices]:
    """Solutions for budgets drawn between the corners' costs, shape (1, variables) each."""
    corners = np.unique(corners[keeps(drawn, corners)], axis=0)
    costs = drawn.cost.values(corners)
    order = np.argsort(costs)
    found = []
    for budget in generator.uniform(costs.min(), costs.max(), _BUDGETS):
        at = int(np.searchsorted(costs[order], budget))
        x = fill_budget(drawn.cost, drawn.damage, budget, corners[order[max(0, at - 1) : at + 1]])
        if x is not None:
            found.append(x[None])
    return found


def keeps(drawn: Drawn, pool: Choices) -> "np.typing.NDArray[np.bool_]":
    """Which assignments keep the constraints; where none does, those that break them least."""
    return _allowed(np.stack([np.zeros(len(pool)), *(energy.values(pool) for energy in drawn.constraints)]))


def excess(drawn: Drawn, pool: Choices) -> Array:
    """By how much assignments break the constraints, summed over these."""
    over = np.zeros(len(pool))
    for energy in drawn.constraints:
        over += np.maximum(energy.values(pool), 0.0)
    return over


def _gains(known: Known, values: Array) -> Array:
    """Hypervolume that each policy is expected to add to the points; its cost, damage and so on are `values`."""
    cost, damage = values[:2]
    damage = np.where(np.isfinite(cost), damage, 0.0)
    reference = (_REFERENCE_COST, known.floor)
    return expected_gains(known.points, reference, cost, known.link(damage), known.link.spread(damage))
