"""The features of a model: one matrix that both writes a trial's row and turns weights into the solver's tables."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from search.samplers.frontier.energy import Array, Choices, Energy, Layout
from search.samplers.frontier.linear_model import Rows
from search.samplers.frontier.priors import Belief, Reason


@dataclass(frozen=True, kw_only=True, eq=False)
class Design:
    """Features and what is believed of them; the first is the constant.

    Attributes:
        layout: The tables that they make up.
        terms: Shape (table entries, features): what each weight adds to each entry of the tables.
        base: What each weight adds to all assignments alike.
        mean: Prior mean of each weight.
        deviation: Its prior standard deviation.
        is_own: Which weights are single layers' deviations from what is shared.
        owner: The shared feature that they are in proportion to; the feature itself where there is none.
        weight: How much of that is the layer's.
        is_beside: Which weights are what runs beside a layer, and no part of it.
        never_negative: The entries of the tables that nothing can lower below 0.
    """

    layout: Layout
    terms: Rows
    base: Array
    mean: Array
    deviation: Array
    is_own: NDArray[np.bool_]
    owner: Choices
    weight: Array
    is_beside: NDArray[np.bool_]
    never_negative: NDArray[np.bool_]

    def rows(self, choices: Choices) -> Rows:
        """The features of assignments, shape (assignments, features)."""
        count = choices.shape[0]
        chosen = self.layout.entries(choices)
        pointers = np.arange(count + 1) * chosen.shape[1]
        picked = sparse.csr_array((np.ones(chosen.size), chosen.ravel(), pointers), shape=(count, self.terms.shape[0]))
        rows = picked @ self.terms
        alike = sparse.csr_array(self.base[None])
        return sparse.csr_array(rows + sparse.csr_array(np.ones((count, 1))) @ alike)

    def part(self, table: int, choices: Choices) -> Rows:
        """The features of one table alone, shape (assignments, features)."""
        return sparse.csr_array(self.terms[self.layout.entries(choices)[:, table]])

    def alone(self, table: int, choices: Choices) -> Rows:
        """As `part`, without what runs beside the layer."""
        return sparse.csr_array(self.part(table, choices).multiply(~self.is_beside))

    def energy(self, weights: Array) -> Energy:
        """The sum that these weights describe."""
        table = self.terms @ weights
        table[self.never_negative] = np.maximum(table[self.never_negative], 0.0)
        return Energy(layout=self.layout, constant=float(self.base @ weights), table=table)


@dataclass(kw_only=True, eq=False)
class Features:
    """Collects features and their terms.

    Attributes:
        layout: The tables that they make up.
        shared: The features that layers share, by what they belong to.
    """

    layout: Layout
    shared: dict[Reason, int] = field(default_factory=dict)
    _entries: list[Choices] = field(default_factory=list)
    _columns: list[Choices] = field(default_factory=list)
    _factors: list[Array] = field(default_factory=list)
    _means: list[float] = field(default_factory=list)
    _deviations: list[float] = field(default_factory=list)
    _is_own: list[bool] = field(default_factory=list)
    _owners: list[int] = field(default_factory=list)
    _weights: list[float] = field(default_factory=list)
    _is_beside: list[bool] = field(default_factory=list)

    def add(
        self,
        mean: float,
        deviation: float,
        *,
        own: bool = False,
        owner: int | None = None,
        weight: float = 1.0,
        beside: bool = False,
    ) -> int:
        """A new feature."""
        position = len(self._means)
        self._is_own.append(own)
        self._means.append(mean)
        self._deviations.append(deviation)
        self._owners.append(position if owner is None else owner)
        self._weights.append(weight)
        self._is_beside.append(beside)
        return position

    def share(self, reason: Reason, belief: Belief, *, beside: bool = False) -> int:
        """The shared feature of `reason`; new the first time."""
        if reason not in self.shared:
            self.shared[reason] = self.add(belief.mean, belief.deviation, beside=beside)
        return self.shared[reason]

    def term(self, entries: ArrayLike, feature: int, factors: ArrayLike) -> None:
        """Let `feature` add to entries of the tables, in proportion to `factors`."""
        where, much = np.broadcast_arrays(np.atleast_1d(entries), np.asarray(factors, np.float64))
        some = np.flatnonzero(much)
        self._entries.append(where[some].astype(np.int64))
        self._columns.append(np.full(len(some), feature, np.int64))
        self._factors.append(much[some])

    def design(self, never_negative: NDArray[np.bool_], neutral: Choices | None = None) -> Design:
        """What was collected.

        Args:
            never_negative: As the design's.
            neutral: An assignment whose sum is the constant alone; None where features of it are 0 already.
        """
        count = len(self._means)
        where = (np.concatenate(self._entries), np.concatenate(self._columns))
        terms = sparse.csr_array((np.concatenate(self._factors), where), shape=(self.layout.offsets[-1], count))
        base = np.zeros(count)
        base[0] = 1.0
        if neutral is not None:
            base -= terms[self.layout.entries(neutral[None])[0]].sum(axis=0)
        return Design(
            layout=self.layout,
            terms=terms,
            base=base,
            mean=np.array(self._means),
            deviation=np.array(self._deviations),
            is_own=np.array(self._is_own),
            owner=np.array(self._owners),
            weight=np.array(self._weights),
            is_beside=np.array(self._is_beside),
            never_negative=never_negative,
        )
