"""Exact minimization over a graph of small treewidth: dynamic programming by variable elimination.

(Bertele and Brioschi 1972; Dechter 1999.) Many weightings of the same tables are solved at once. A chain of layers
costs as much as Viterbi's algorithm, each skip a little more. Where a table would pass a bound, variables are cut from
the tables in which they interplay least with the others: there the exact pass knows only what each adds by itself, on
the average over the others (the first-order part of an analysis of variance). A descent over one variable at a time
(iterated conditional modes, Besag 1986) from its solution counts everything again: a heuristic then, and the plan says
so.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from search.samplers.frontier.energy import Array, Choices, Energy, Layout, Scope, Walk

TABLE_LIMIT = 20_000
"""Entries of the largest table, per weighting."""

_DESCENTS = 20

Strengths = Mapping[tuple[int, int], float]
"""By table and variable, how much the variable and the table's others matter to each other."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A table that a step sums up.

    Attributes:
        source: Which: pieces of the sum's own tables come first, then what each step left.
        axes: Their order in the step's table, the weightings' first.
        shape: With the axes of the step's table, without the weightings'.
    """

    source: int
    axes: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A table of the sum, or what the exact pass knows of it: its mean over the variables that are not in `scope`.

    Attributes:
        table: Which.
        scope: The variables left.
        averaged: Axes of the table that are averaged away.
    """

    table: int
    scope: Scope
    averaged: tuple[int, ...]


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
        pieces: What is summed.
        steps: One per variable.
        cuts: (table, variable) of each interplay that the exact pass leaves out; with none the solution is exact.
    """

    pieces: tuple[Piece, ...]
    steps: tuple[Step, ...]
    cuts: frozenset[tuple[int, int]]

    @property
    def is_exact(self) -> bool:
        """Whether solutions are certainly optimal."""
        return not self.cuts


def interplay(energy: Energy) -> Strengths:
    """How far each table is from what a variable adds by itself plus what the others add without it."""
    layout, found = energy.layout, {}
    for position, (scope, shape) in enumerate(zip(layout.scopes, layout.shapes, strict=True)):
        table = energy.table[layout.offsets[position] : layout.offsets[position + 1]].reshape(shape)
        for axis, variable in enumerate(scope):
            others = tuple(other for other in range(len(scope)) if other != axis)
            rest = table - table.mean(axis=axis, keepdims=True) - table.mean(axis=others, keepdims=True)
            found[position, variable] = float(rest.max() - rest.min())
    return found


def plan_elimination(layout: Layout, strengths: Strengths | None = None, *, table_limit: int = TABLE_LIMIT) -> Plan:
    """A min-fill order, variables cut from tables until every step's table has at most `table_limit` entries.

    Args:
        layout: The sum's tables.
        strengths: As `interplay`; of a table that is too large the weakest goes first. All are equal if None.
        table_limit: At least the most choices of a variable.
    """
    cuts: set[tuple[int, int]] = set()
    while True:
        pieces = _pieces(layout, cuts)
        order, crowd = _order(layout.sizes, [piece.scope for piece in pieces], table_limit)
        if not crowd:
            steps = _steps(layout.sizes, [piece.scope for piece in pieces], order)
            return Plan(pieces=tuple(pieces), steps=steps, cuts=frozenset(cuts))
        candidates = [(piece, crowd.intersection(piece.scope)) for piece in pieces if len(piece.scope) > 1]
        most = max(len(inside) for _, inside in candidates)
        wanted = min(2, most)  # where no table has two variables in the crowd, others have brought it together
        options = [(p.table, v) for p, inside in candidates if len(inside) >= wanted for v in sorted(inside)]
        cuts.add(min(options, key=lambda option: (strengths.get(option, 0.0) if strengths else 0.0, option)))


def _pieces(layout: Layout, cuts: set[tuple[int, int]]) -> list[Piece]:
    pieces = []
    for position, scope in enumerate(layout.scopes):
        gone = [variable for variable in scope if (position, variable) in cuts]
        for left in (tuple(v for v in scope if v not in gone), *((variable,) for variable in gone)):
            if left:
                averaged = tuple(axis for axis, variable in enumerate(scope) if variable not in left)
                pieces.append(Piece(table=position, scope=left, averaged=averaged))
    return pieces


def _order(
    sizes: Choices, scopes: Sequence[Scope], table_limit: int
) -> tuple[list[tuple[int, tuple[int, ...]]], set[int]]:
    """Each variable with its neighbours when its turn comes; or where a table is too large, the variables in it."""
    around: list[set[int]] = [set() for _ in sizes]
    for scope in scopes:
        for variable in scope:
            around[variable].update(scope)
    for variable, others in enumerate(around):
        others.discard(variable)

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


def _steps(sizes: Choices, scopes: Sequence[Scope], order: Sequence[tuple[int, tuple[int, ...]]]) -> tuple[Step, ...]:
    """The order as sums of tables: each goes to the first of its variables that is eliminated."""
    rank = {variable: position for position, (variable, _) in enumerate(order)}
    waiting: list[list[tuple[int, Scope]]] = [[] for _ in sizes]

    def put(source: int, inside: Scope) -> None:
        if inside:
            waiting[min(inside, key=rank.__getitem__)].append((source, inside))

    for source, scope in enumerate(scopes):
        put(source, scope)
    steps = []
    for number, (variable, neighbours) in enumerate(order):
        scope = (*neighbours, variable)
        parts = tuple(_part(sizes, source, inside, scope) for source, inside in waiting[variable])
        steps.append(Step(variable=variable, neighbours=neighbours, parts=parts))
        put(len(scopes) + number, neighbours)
    return tuple(steps)


def _part(sizes: Choices, source: int, inside: tuple[int, ...], scope: tuple[int, ...]) -> Part:
    order = sorted(range(len(inside)), key=lambda axis: scope.index(inside[axis]))
    shape = tuple(int(sizes[variable]) if variable in inside else 1 for variable in scope)
    return Part(source=source, axes=(0, *(axis + 1 for axis in order)), shape=shape)


def minimize(plan: Plan, energies: Sequence[Energy], weights: Array) -> Choices:
    """The assignment of least weighted sum, for each row of `weights`.

    Args:
        plan: For the energies' layout.
        energies: Over the same layout.
        weights: Shape (weightings, energies).

    Returns:
        Choices, shape (weightings, variables).
    """
    layout, count = energies[0].layout, len(weights)
    entries = weights @ np.stack([energy.table for energy in energies])
    tables = []
    for piece in plan.pieces:
        shape = (count, *layout.shapes[piece.table])
        table = entries[:, layout.offsets[piece.table] : layout.offsets[piece.table + 1]].reshape(shape)
        tables.append(table.mean(axis=tuple(axis + 1 for axis in piece.averaged)) if piece.averaged else table)
    best: list[NDArray[np.intp]] = []
    for step in plan.steps:
        total = np.zeros((count, *(1 for _ in step.neighbours), layout.sizes[step.variable]))
        for part in step.parts:
            total = total + tables[part.source].transpose(part.axes).reshape(count, *part.shape)
        best.append(total.argmin(axis=-1))
        tables.append(total.min(axis=-1))
    choices = np.zeros((count, len(layout.sizes)), np.int64)
    rows = np.arange(count)
    for step, chosen in zip(reversed(plan.steps), reversed(best), strict=True):
        choices[:, step.variable] = chosen[(rows, *(choices[:, v] for v in step.neighbours))]
    return choices if plan.is_exact else _descend(energies, weights, choices)


def _descend(energies: Sequence[Energy], weights: Array, choices: Choices) -> Choices:
    """Change one variable at a time as long as that lowers the sum, everything counted."""
    found = []
    for start, scales in zip(choices, weights, strict=True):
        walk = Walk(Energy.weighted(energies, scales), start)
        for _ in range(_DESCENTS * len(start)):
            changes = walk.changes()
            variable, choice = np.unravel_index(changes.argmin(), changes.shape)
            if changes[variable, choice] >= -1e-12:
                break
            walk.change(int(variable), int(choice))
        found.append(walk.choices)
    return np.stack(found)
