"""In which order variables are eliminated, and which tables each step sums up: found once, for many minimizations.

A min-fill order keeps the tables small. Where a table would pass a bound, variables are cut from the tables in which
they interplay least with the others: there the exact pass knows only what each adds by itself, on the average over the
others (the first-order part of an analysis of variance).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from search.samplers.frontier.energy import Choices, Energy, Layout, Scope

TABLE_LIMIT = 100_000
"""Entries of the largest table, per weighting: residual and mobile networks of 16 and 50 layers need 93,312 at most."""

Strengths = Mapping[tuple[int, int], float]
"""By table and variable, how much the variable and the table's others matter to each other."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """A table that a step sums up.

    Attributes:
        source: Which: pieces of the sum's own tables come first, then what each step left.
        axes: Their order in the step's table, the weightings' last.
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
        parts: What its table is the sum of, the smallest first; the variable's axis is the first, the neighbours'
            follow.
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
        scope = (variable, *neighbours)
        parts = [_part(sizes, source, inside, scope) for source, inside in waiting[variable]]
        parts.sort(key=lambda part: (math.prod(part.shape), part.source))
        steps.append(Step(variable=variable, neighbours=neighbours, parts=tuple(parts)))
        put(len(scopes) + number, neighbours)
    return tuple(steps)


def _part(sizes: Choices, source: int, inside: tuple[int, ...], scope: tuple[int, ...]) -> Part:
    axes = tuple(sorted(range(len(inside)), key=lambda axis: scope.index(inside[axis])))
    shape = tuple(int(sizes[variable]) if variable in inside else 1 for variable in scope)
    return Part(source=source, axes=(*axes, len(inside)), shape=shape)
