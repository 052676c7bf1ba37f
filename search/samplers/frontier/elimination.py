"""Exact minimization over a graph of small treewidth: dynamic programming by variable elimination.

(Bertele and Brioschi 1972; Dechter 1999.) Many weightings of the same tables are solved at once. A chain of layers
costs as much as Viterbi's algorithm, each skip a little more. Where the plan has cut variables from tables, a descent
over one variable at a time (iterated conditional modes, Besag 1986) from its solution counts everything again: a
heuristic then, and the plan says so.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from search.samplers.frontier.elimination_plan import Part, Plan
from search.samplers.frontier.energy import Array, Choices, Energy, Walk, least_changes

_DESCENTS = 20

# Entries of a sum that fits into a processor's cache.
_WHOLE = 50_000

# Smaller improvements are rounding.
_NOTHING = 1e-12

_Table = NDArray[np.float32]


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
    tables = _weighted_pieces(plan, energies, weights)
    laid_out: list[list[_Table]] = []
    for step in plan.steps:
        # With the weightings side by side in memory, every sum and every minimum is one of long rows.
        laid_out.append([_laid_out(tables, part) for part in step.parts])
        if step.parts:
            tables.append(_least(laid_out[-1], int(layout.sizes[step.variable])))
        else:  # in no table: whatever it chooses
            tables.append(np.zeros(count, np.float32))
    choices = np.zeros((count, len(layout.sizes)), np.int64)
    rows = np.arange(count)
    for step, parts in zip(reversed(plan.steps), reversed(laid_out), strict=True):
        # Only now is it known which of a step's sums matter: they are added up again, in the same order.
        sums = np.zeros((layout.sizes[step.variable], count))
        for table in parts:
            sides = zip(step.neighbours, table.shape[1:-1], strict=True)
            chosen = (choices[:, v] if size > 1 else 0 for v, size in sides)
            sums += table[(slice(None), *chosen, rows)]
        choices[:, step.variable] = sums.argmin(axis=0)
    return choices if plan.is_exact else _descend(energies, weights, choices)


def _least(parts: Sequence[_Table], choices: int) -> _Table:
    """The least of the parts' sum over its first axis, of so many choices."""
    whole = math.prod(max(sizes) for sizes in zip(*(table.shape for table in parts), strict=True))
    if whole <= _WHOLE:
        return np.asarray(_sum(parts).min(axis=0))
    # A large sum goes through memory choice by choice, and is never written down as a whole.
    least: _Table | None = None
    for choice in range(choices):
        one = _sum([table[choice if len(table) > 1 else 0] for table in parts])
        least = one.copy() if least is None else np.minimum(least, one, out=least)
    assert least is not None  # noqa: S101  # a variable has choices
    return least


def _sum(parts: Sequence[_Table]) -> _Table:
    """The sum of tables, each with the axes of all or with 1 in their place: the small ones are put together first."""
    total = parts[0]
    for table in parts[1:]:
        total = total + table
    return total


def _weighted_pieces(plan: Plan, energies: Sequence[Energy], weights: Array) -> list[_Table]:
    """The plan's pieces, the weightings along the last axis."""
    layout, count = energies[0].layout, len(weights)
    stacked = np.stack([energy.table for energy in energies])
    means = []
    for piece in plan.pieces:
        table = stacked[:, layout.offsets[piece.table] : layout.offsets[piece.table + 1]]
        if piece.averaged:  # before it is weighted: there are fewer energies than weightings
            axes = tuple(axis + 1 for axis in piece.averaged)
            table = table.reshape(len(energies), *layout.shapes[piece.table]).mean(axis=axes).reshape(len(energies), -1)
        means.append(table)
    # Single precision is far finer than what is known of any entry, and half the memory to go through.
    whole = (np.concatenate([np.zeros((len(energies), 0)), *means], axis=1).T @ weights.T).astype(np.float32)
    ends = np.cumsum([table.shape[1] for table in means])
    shapes = ([int(layout.sizes[variable]) for variable in piece.scope] for piece in plan.pieces)
    return [part.reshape(*shape, count) for part, shape in zip(np.split(whole, ends)[:-1], shapes, strict=True)]


def _laid_out(tables: Sequence[_Table], part: Part) -> _Table:
    """A part along the axes of its step's table."""
    table = tables[part.source].transpose(part.axes)
    return table.reshape(*part.shape, table.shape[-1])


def _descend(energies: Sequence[Energy], weights: Array, choices: Choices) -> Choices:
    """Change one variable at a time as long as that lowers the sum, everything counted."""
    layout, found = energies[0].layout, choices.copy()
    tables = weights @ np.stack([energy.table for energy in energies])
    for row in np.flatnonzero(least_changes(layout, tables, choices) < -_NOTHING):
        walk = Walk(Energy(layout=layout, constant=0.0, table=tables[row]), choices[row])
        for _ in range(_DESCENTS * choices.shape[1]):
            changes = walk.changes()
            variable, choice = np.unravel_index(changes.argmin(), changes.shape)
            if changes[variable, choice] >= -_NOTHING:
                break
            walk.change(int(variable), int(choice))
        found[row] = walk.choices
    return found
