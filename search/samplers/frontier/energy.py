"""Sums over knobs and over pairs of knobs: what the solver minimizes, as plain tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Choices = NDArray[np.int64]
"""One choice per variable, as its position; two axes for several assignments."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Energy:
    """A function of one choice per variable that is a constant, plus a table per variable, plus one per edge.

    Attributes:
        sizes: How many choices each variable has.
        edges: Pairs of variables, shape (edges, 2); no pair twice.
        constant: Its value where all tables are 0.
        unary: Shape (variables, most choices); what lies beyond a variable's choices is ignored.
        pair: Shape (edges, most choices, most choices), the first variable of the edge first.
    """

    sizes: Choices
    edges: Choices
    constant: float
    unary: Array
    pair: Array

    def values(self, choices: Choices) -> Array:
        """The energy of each assignment; `choices` has shape (assignments, variables)."""
        total = self.constant + self.unary[np.arange(len(self.sizes)), choices].sum(axis=1)
        if len(self.edges):
            one, other = choices[:, self.edges[:, 0]], choices[:, self.edges[:, 1]]
            total = total + self.pair[np.arange(len(self.edges)), one, other].sum(axis=1)
        result: Array = total
        return result

    def around(self, choices: Choices) -> Array:
        """Each variable's energy by its choice, all others as in `choices`: shape (variables, most choices)."""
        everything = np.arange(len(self.edges))
        conditional = self.unary.copy()
        if len(self.edges):
            first, second = self.edges[:, 0], self.edges[:, 1]
            np.add.at(conditional, first, self.pair[everything, :, choices[second]])
            np.add.at(conditional, second, self.pair[everything, choices[first], :])
        conditional[np.arange(self.unary.shape[1]) >= self.sizes[:, None]] = np.inf
        return conditional

    def changes(self, choices: Choices) -> Array:
        """What each change of a single variable adds, shape (variables, most choices); infinite beyond its choices.

        `choices` is one assignment.
        """
        conditional = self.around(choices)
        conditional -= conditional[np.arange(len(self.sizes)), choices][:, None]
        return conditional

    @cached_property
    def edges_of(self) -> list[list[tuple[int, int, bool]]]:
        """By variable: the positions of its edges, who is at the other end, and whether it comes first itself."""
        found: list[list[tuple[int, int, bool]]] = [[] for _ in self.sizes]
        for position, (first, second) in enumerate(self.edges.tolist()):
            found[first].append((position, second, True))
            found[second].append((position, first, False))
        return found

    @classmethod
    def weighted(cls, energies: Sequence[Self], weights: Sequence[float] | Array) -> Self:
        """The weighted sum of energies over the same variables and edges."""
        scales = np.asarray(weights, np.float64)
        return cls(
            sizes=energies[0].sizes,
            edges=energies[0].edges,
            constant=float(scales @ [energy.constant for energy in energies]),
            unary=np.tensordot(scales, np.stack([energy.unary for energy in energies]), 1),
            pair=np.tensordot(scales, np.stack([energy.pair for energy in energies]), 1),
        )


class Walk:
    """An assignment that changes one variable at a time, and what the next change would add.

    Args:
        energy: What is summed.
        start: Where it begins; left alone.
    """

    def __init__(self, energy: Energy, start: Choices) -> None:
        self.choices = start.copy()
        self.value = float(energy.values(start[None])[0])
        self._energy = energy
        self._around = energy.around(start)
        self._rows = np.arange(len(start))

    def changes(self) -> Array:
        """As `Energy.changes` of where it stands."""
        changes: Array = self._around - self._around[self._rows, self.choices][:, None]
        return changes

    def change(self, variable: int, choice: int) -> None:
        """Go on to another choice of a variable."""
        before = int(self.choices[variable])
        self.value += float(self._around[variable, choice] - self._around[variable, before])
        for position, other, is_first in self._energy.edges_of[variable]:
            table = self._energy.pair[position] if is_first else self._energy.pair[position].T
            self._around[other] += table[choice] - table[before]
        self.choices[variable] = choice
