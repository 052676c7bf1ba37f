"""Exact minimization over a graph of small treewidth: dynamic programming by variable elimination.

(Bertele and Brioschi 1972; Dechter 1999.) Many weightings of the same tables are solved at once. A chain of layers
costs as much as Viterbi's algorithm, each skip a little more. Where a table would pass a bound, the weakest edges are
left out of the exact pass and come back in a descent over one variable at a time (iterated conditional modes, Besag
1986) from its solution: a heuristic then, and the plan says so.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from search.samplers.frontier.energy import Array, Choices, Energy

TABLE_LIMIT = 20_000
"""Entries of the largest table, per weighting."""

_DESCENTS = 20


@dataclass(frozen=True, kw_only=True)
class Part:
    """A table that a step sums up.

    Attributes:
        source: Which: variables' tables come first, then the edges', then what each step left.
        axes: Their order in the step's table, the weightings' first.
        shape: With the axes of the step's table, without the weightings'.
    """

    source: int
    axes: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Step:
    """Eliminates one variable.

    Attributes:
        variable: It.
        neighbours: Those that its best choice depends on, in ascending order; all are eliminated later.
        parts: What its table is the sum of.
    """

    variable: int
    neighbours: tuple[int, ...]
    parts: tuple[Part, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """In which order to eliminate.

    Attributes:
        steps: One per variable.
        dropped: Positions of the edges that the exact pass leaves out; with none the solution is exact.
    """

    steps: tuple[Step, ...]
    dropped: frozenset[int]

    @property
    def is_exact(self) -> bool:
        """Whether solutions are certainly optimal."""
        return not self.dropped


def plan_elimination(
    sizes: Choices, edges: Choices, strengths: Sequence[float] | None = None, *, table_limit: int = TABLE_LIMIT
) -> Plan:
    """A min-fill order, edges left out until every table has at most `table_limit` entries.

    Args:
        sizes: Choices of each variable.
        edges: Shape (edges, 2).
        strengths: How much each edge matters; of a table that is too large the weakest edge goes first. Equal if None.
        table_limit: At least the largest product of two sizes.
    """
    weights = [1.0] * len(edges) if strengths is None else list(strengths)
    dropped: set[int] = set()
    while True:
        kept = {position: (int(u), int(v)) for position, (u, v) in enumerate(edges) if position not in dropped}
        order, crowd = _order(sizes, list(kept.values()), table_limit)
        if not crowd:
            return Plan(steps=_steps(sizes, kept, len(edges), order), dropped=frozenset(dropped))
        inside = [position for position, (u, v) in kept.items() if u in crowd and v in crowd]
        touching = inside or [position for position, (u, v) in kept.items() if u in crowd or v in crowd]
        dropped.add(min(touching, key=lambda position: (weights[position], -position)))


def _order(
    sizes: Choices, edges: Sequence[tuple[int, int]], table_limit: int
) -> tuple[list[tuple[int, tuple[int, ...]]], set[int]]:
    """Each variable with its neighbours when its turn comes; or where a table is too large, the variables in it."""
    around: list[set[int]] = [set() for _ in sizes]
    for u, v in edges:
        around[u].add(v)
        around[v].add(u)

    def price(variable: int) -> tuple[int, float, int]:
        others = around[variable]
        fill = sum(b not in around[a] for a, b in combinations(others, 2))
        return fill, math.prod(int(sizes[v]) for v in others), variable

    prices = {variable: price(variable) for variable in range(len(sizes))}
    steps = []
    while prices:
        variable = min(prices.values())[2]
        others = around[variable]
        if math.prod(int(sizes[v]) for v in (variable, *others)) > table_limit:
            return [], {variable, *others}
        steps.append((variable, tuple(sorted(others))))
        del prices[variable]
        for other in others:
            around[other] |= others - {other}
            around[other].discard(variable)
        for touched in set(others).union(*(around[other] for other in others)):
            prices[touched] = price(touched)
    return steps, set()


def _steps(
    sizes: Choices, edges: Mapping[int, tuple[int, int]], edge_count: int, order: Sequence[tuple[int, tuple[int, ...]]]
) -> tuple[Step, ...]:
    """The order as sums of tables: each goes to the first of its variables that is eliminated."""
    rank = {variable: position for position, (variable, _) in enumerate(order)}
    waiting: list[list[tuple[int, tuple[int, ...]]]] = [[] for _ in sizes]

    def put(source: int, inside: tuple[int, ...]) -> None:
        if inside:
            waiting[min(inside, key=rank.__getitem__)].append((source, inside))

    for variable in range(len(sizes)):
        put(variable, (variable,))
    for position, ends in edges.items():
        put(len(sizes) + position, ends)
    steps = []
    for number, (variable, neighbours) in enumerate(order):
        scope = (*neighbours, variable)
        parts = tuple(_part(sizes, source, inside, scope) for source, inside in waiting[variable])
        steps.append(Step(variable=variable, neighbours=neighbours, parts=parts))
        put(len(sizes) + edge_count + number, neighbours)
    return tuple(steps)


def _part(sizes: Choices, source: int, inside: tuple[int, ...], scope: tuple[int, ...]) -> Part:
    order = sorted(range(len(inside)), key=lambda axis: scope.index(inside[axis]))
    shape = tuple(int(sizes[variable]) if variable in inside else 1 for variable in scope)
    return Part(source=source, axes=(0, *(axis + 1 for axis in order)), shape=shape)


def minimize(plan: Plan, energies: Sequence[Energy], weights: Array) -> Choices:
    """The assignment of least weighted sum, for each row of `weights`.

    Args:
        plan: For the energies' edges.
        energies: Over the same variables and edges.
        weights: Shape (weightings, energies).

    Returns:
        Choices, shape (weightings, variables).
    """
    sizes, edges, count = energies[0].sizes, energies[0].edges, len(weights)
    unary = np.tensordot(weights, np.stack([energy.unary for energy in energies]), 1)
    pair = np.tensordot(weights, np.stack([energy.pair for energy in energies]), 1)
    tables = [unary[:, variable, :size] for variable, size in enumerate(sizes.tolist())]
    tables += [pair[:, at, : sizes[u], : sizes[v]] for at, (u, v) in enumerate(edges.tolist())]
    best: list[NDArray[np.intp]] = []
    for step in plan.steps:
        table = np.zeros((count, *(1 for _ in step.neighbours), 1))
        for part in step.parts:
            table = table + tables[part.source].transpose(part.axes).reshape(count, *part.shape)
        best.append(table.argmin(axis=-1))
        tables.append(table.min(axis=-1))
    choices = np.zeros((count, len(sizes)), np.int64)
    rows = np.arange(count)
    for step, chosen in zip(reversed(plan.steps), reversed(best), strict=True):
        choices[:, step.variable] = chosen[(rows, *(choices[:, v] for v in step.neighbours))]
    return choices if plan.is_exact else _descend(energies, weights, choices)


def _descend(energies: Sequence[Energy], weights: Array, choices: Choices) -> Choices:
    """Change one variable at a time as long as that lowers the sum, all edges counted."""
    found = choices.copy()
    for row, scales in enumerate(weights):
        energy = Energy.weighted(energies, scales)
        for _ in range(_DESCENTS * len(energy.sizes)):
            changes = energy.changes(found[row])
            variable, choice = np.unravel_index(changes.argmin(), changes.shape)
            if changes[variable, choice] >= -1e-12:
                break
            found[row, variable] = choice
    return found
