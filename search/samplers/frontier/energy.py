"""Sums of tables over a few knobs each: what the solver minimizes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Choices = NDArray[np.int64]
"""One choice per variable, as its position; two axes for several assignments."""

Scope = tuple[int, ...]
"""The variables of a table, in the order of its axes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Layout:
    """Which tables a sum is made of. They lie behind one another in one row of entries.

    Attributes:
        sizes: How many choices each variable has.
        scopes: Of each table; no variable twice in one.
    """

    sizes: Choices
    scopes: tuple[Scope, ...]

    @cached_property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of each table."""
        sizes = self.sizes.tolist()
        return [tuple(sizes[variable] for variable in scope) for scope in self.scopes]

    @cached_property
    def offsets(self) -> list[int]:
        """Where each table begins; where the last one ends comes last."""
        return [0, *accumulate(math.prod(shape) for shape in self.shapes)]

    @cached_property
    def _padded(self) -> tuple[Choices, Choices]:
        """Each table's variables and how far apart their choices lie; what is no axis has stride 0."""
        longest = max(map(len, self.scopes), default=1)
        variables, strides = (np.zeros((len(self.scopes), longest), np.int64) for _ in range(2))
        for position, (scope, shape) in enumerate(zip(self.scopes, self.shapes, strict=True)):
            variables[position, : len(scope)] = scope
            strides[position, : len(scope)] = [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
        return variables, strides

    @cached_property
    def axes(self) -> tuple[Choices, Choices, Choices]:
        """Every axis of every table, by variable: its table, its variable, its stride."""
        variables, strides = self._padded
        lengths = np.array([len(scope) for scope in self.scopes], np.int64)
        table, axis = np.nonzero(np.arange(variables.shape[1]) < lengths[:, None])
        order = np.argsort(variables[table, axis], kind="stable")
        table, axis = table[order], axis[order]
        return table, variables[table, axis], strides[table, axis]

    @cached_property
    def near(self) -> list[tuple[Choices, Choices]]:
        """By variable: the axes of others in its tables, as positions in `axes`, and its own stride in each."""
        table, variable, stride = self.axes
        axes_of: dict[int, list[int]] = {}
        for position, number in enumerate(table.tolist()):
            axes_of.setdefault(number, []).append(position)
        found: list[tuple[list[int], list[int]]] = [([], []) for _ in self.sizes]
        for inside in axes_of.values():
            for mine in inside:
                others, strides = found[int(variable[mine])]
                others += [position for position in inside if position != mine]
                strides += [int(stride[mine])] * (len(inside) - 1)
        return [(np.array(others, np.int64), np.array(strides, np.int64)) for others, strides in found]

    def entries(self, choices: Choices) -> Choices:
        """The entry of each table that assignments choose, shape (assignments, tables)."""
        variables, strides = self._padded
        chosen: Choices = np.einsum("atx,tx->at", choices[:, variables], strides) + np.array(
            self.offsets[:-1], np.int64
        )
        return chosen

    @cached_property
    def _steps(self) -> Choices:
        """By axis and choice: how far the choice's entry is from the first one's; the last one's beyond them."""
        _, variable, stride = self.axes
        positions = np.minimum(np.arange(int(self.sizes.max())), self.sizes[variable, None] - 1)
        return np.asarray(stride[:, None] * positions, np.int64)

    @cached_property
    def _axes_from(self) -> Choices:
        """Where each variable's axes begin in `axes`, of the variables that have some."""
        return np.flatnonzero(np.diff(self.axes[1], prepend=-1))

    def alternatives(self, choices: Choices) -> Choices:
        """By axis and choice: the entry if that variable alone chose it; the last choice's beyond a variable's own.

        `choices` is one assignment, or has shape (assignments, variables); so has what comes of it.
        """
        table, variable, stride = self.axes
        entries = self.entries(choices.reshape(-1, len(self.sizes))).reshape(*choices.shape[:-1], -1)
        base = entries[..., table] - stride * choices[..., variable]
        return np.asarray(base[..., None] + self._steps, np.int64)

    def summed(self, rows: Array) -> Array:
        """Sums rows of `axes` by variable; infinite beyond a variable's choices."""
        summed = np.zeros((*rows.shape[:-2], len(self.sizes), rows.shape[-1]))
        if len(self._axes_from):
            own = self.axes[1][self._axes_from]
            summed[..., own, :] = np.add.reduceat(rows, self._axes_from, axis=-2)
        summed[..., np.arange(rows.shape[-1]) >= self.sizes[:, None]] = np.inf
        return summed


@dataclass(frozen=True, kw_only=True, eq=False)
class Energy:
    """A function of one choice per variable: a constant plus an entry of each table.

    Attributes:
        layout: The tables' variables.
        constant: Its value where all entries are 0.
        table: Their entries.
    """

    layout: Layout
    constant: float
    table: Array

    def values(self, choices: Choices) -> Array:
        """The energy of each assignment; `choices` has shape (assignments, variables)."""
        total: Array = self.constant + self.table[self.layout.entries(choices)].sum(axis=1)
        return total

    def around(self, choices: Choices) -> Array:
        """Each variable's share of the energy by its choice, all others as in `choices`.

        Shape (variables, most choices); infinite beyond a variable's choices.
        """
        return self.layout.summed(self.table[self.layout.alternatives(choices)])

    def changes(self, choices: Choices) -> Array:
        """What each change of a single variable adds, shape (variables, most choices); infinite beyond its choices.

        `choices` is one assignment.
        """
        return Walk(self, choices).changes()

    @classmethod
    def weighted(cls, energies: Sequence[Self], weights: Sequence[float] | Array) -> Self:
        """The weighted sum of energies over the same tables."""
        scales = np.asarray(weights, np.float64)
        return cls(
            layout=energies[0].layout,
            constant=float(scales @ [energy.constant for energy in energies]),
            table=scales @ np.stack([energy.table for energy in energies]),
        )


def least_changes(layout: Layout, tables: Array, choices: Choices) -> Array:
    """The least that a change of a single variable adds, to each of several sums at an assignment of its own.

    Args:
        layout: Of all sums.
        tables: Their entries, one sum per row.
        choices: Their assignments, likewise.
    """
    alternatives = layout.alternatives(choices)
    around = layout.summed(tables[np.arange(len(tables))[:, None, None], alternatives])
    changes: Array = around - np.take_along_axis(around, choices[:, :, None], axis=2)
    return np.asarray(changes.min(axis=(1, 2)))


class Walk:
    """An assignment that changes one variable at a time, and what the next change would add.

    Args:
        energy: What is summed.
        start: Where it begins; left alone.
    """

    def __init__(self, energy: Energy, start: Choices) -> None:
        self.choices = start.copy()
        self.value = float(energy.values(start[None])[0])
        self._table, self._layout = energy.table, energy.layout
        self._entries = energy.layout.alternatives(start)
        self._around = energy.layout.summed(energy.table[self._entries])
        self._rows = np.arange(len(start))

    def changes(self) -> Array:
        """As `Energy.changes` of where it stands."""
        changes: Array = self._around - self._around[self._rows, self.choices][:, None]
        return changes

    def change(self, variable: int, choice: int) -> None:
        """Go on to another choice of a variable."""
        before = int(self.choices[variable])
        self.value += float(self._around[variable, choice] - self._around[variable, before])
        near, strides = self._layout.near[variable]
        if len(near):
            old = self._entries[near]
            new = old + (strides * (choice - before))[:, None]
            np.add.at(self._around, self._layout.axes[1][near], self._table[new] - self._table[old])
            self._entries[near] = new
        self.choices[variable] = choice
