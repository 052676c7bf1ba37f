"""The features of a model: one matrix that both writes a trial's row and turns weights into the solver's tables."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from search.samplers.frontier.energy import Array, Choices, Energy, Layout
from search.samplers.frontier.linear_model import Rows
from search.samplers.frontier.priors import Belief, Priors, Reason, reduction
from search.samplers.frontier.variables import Edge, Variables


@dataclass(frozen=True, kw_only=True, eq=False)
class Design:
    """Features and what is believed of them; the first is the constant.

    Attributes:
        variables: The knobs and their edges.
        layout: A table per knob, then one per edge.
        terms: Shape (table entries, features): what each weight adds to each entry of the tables.
        mean: Prior mean of each weight.
        deviation: Its prior standard deviation.
        is_own: Which weights are single layers' deviations from what is shared.
        owner: The shared feature that they are in proportion to; the feature itself where there is none.
        weight: How much of that is the layer's.
        never_negative: The entries of the tables that nothing can lower below 0.
    """

    variables: Variables
    layout: Layout
    terms: Rows
    mean: Array
    deviation: Array
    is_own: NDArray[np.bool_]
    owner: Choices
    weight: Array
    never_negative: NDArray[np.bool_]

    def rows(self, choices: Choices) -> Rows:
        """The features of assignments, shape (assignments, features)."""
        count = choices.shape[0]
        chosen = self.layout.entries(choices)
        pointers = np.arange(count + 1) * chosen.shape[1]
        picked = sparse.csr_array((np.ones(chosen.size), chosen.ravel(), pointers), shape=(count, self.terms.shape[0]))
        rows = picked @ self.terms
        constant = sparse.csr_array((np.ones(count), np.zeros(count, np.int64), np.arange(count + 1)), rows.shape)
        return sparse.csr_array(rows + constant)

    def energy(self, weights: Array) -> Energy:
        """The sum that these weights describe."""
        table = self.terms @ weights
        table[self.never_negative] = np.maximum(table[self.never_negative], 0.0)
        return Energy(layout=self.layout, constant=float(weights[0]), table=table)


@dataclass(kw_only=True)
class _Builder:
    """Collects features and their terms."""

    rows: list[int]
    columns: list[int]
    factors: list[float]
    means: list[float]
    deviations: list[float]
    is_own: list[bool]
    owners: list[int]
    weights: list[float]
    shared: dict[Reason, int]

    def add(
        self, mean: float, deviation: float, *, own: bool = False, owner: int | None = None, weight: float = 1.0
    ) -> int:
        """A new feature."""
        position = len(self.means)
        self.is_own.append(own)
        self.means.append(mean)
        self.deviations.append(deviation)
        self.owners.append(position if owner is None else owner)
        self.weights.append(weight)
        return position

    def share(self, reason: Reason, belief: Belief) -> int:
        """The shared feature of `reason`; new the first time."""
        if reason not in self.shared:
            self.shared[reason] = self.add(belief.mean, belief.deviation)
        return self.shared[reason]

    def term(self, entry: int, feature: int, factor: float) -> None:
        """Let `feature` add to an entry of the tables."""
        self.rows.append(entry)
        self.columns.append(feature)
        self.factors.append(factor)


def build_design(variables: Variables, priors: Priors) -> Design:
    """The features of a cost or of a damage.

    A feature for every choice but each knob's first, which leaves the layers alone; for every two neighbours of which
    the formats may differ, one for a difference; for formats of layers that are made smaller besides, one per format
    in proportion to what is gone; and above all of them those that layers share.
    """
    made = _Builder(
        rows=[], columns=[], factors=[], means=[], deviations=[], is_own=[], owners=[], weights=[], shared={}
    )
    made.add(*priors.constant)
    knobs, sizes = len(variables.knobs), variables.sizes
    layout = Layout(sizes=sizes, scopes=(*((at,) for at in range(knobs)), *map(tuple, variables.pairs.tolist())))
    for at in range(knobs):
        _add_choices(made, variables, priors, at, layout.offsets[at])
    transitions = [edge for edge in variables.edges if edge.kind == "transition"]
    # A conversion takes time, it saves none.
    never_negative = np.full(layout.offsets[-1], priors.kind == "damage")
    for position, edge in enumerate(variables.edges):
        first, behind = layout.offsets[knobs + position : knobs + position + 2]
        if edge.kind == "joint":
            never_negative[first:behind] = False
            _add_joint(made, variables, priors, edge, first, int(sizes[edge.second]))
        elif priors.has_transitions:
            never_negative[first:behind] = True
            _add_transition(made, variables, priors, edge, first, int(sizes[edge.second]), len(transitions))
    terms = sparse.csr_array((made.factors, (made.rows, made.columns)), shape=(layout.offsets[-1], len(made.means)))
    owners = np.array(made.owners)
    return Design(
        variables=variables,
        layout=layout,
        terms=terms,
        mean=np.array(made.means),
        deviation=np.array(made.deviations),
        is_own=np.array(made.is_own),
        owner=owners,
        weight=np.array(made.weights),
        never_negative=never_negative,
    )


def _add_choices(made: _Builder, variables: Variables, priors: Priors, at: int, first_entry: int) -> None:
    knob, equal = variables.knobs[at], len(variables.knobs[at].layers) / variables.layer_count
    for position, choice in enumerate(knob.choices):
        if position == 0:
            continue
        entry = first_entry + position
        known = priors.effects.get((knob.name, choice))
        if known is not None:
            # What was found for single choices may be off as a whole: a sweep on few samples, damage that piles up.
            whole = made.share(("known", "all"), Belief(mean=1.0, deviation=0.3, spread=0.0, floor=0.0))
            made.term(entry, whole, known.mean)
            made.term(entry, made.add(0.0, known.deviation, own=True), 1.0)
            continue
        reason, belief = priors.of_choice(knob, choice)
        share = equal if priors.kind == "damage" else variables.shares[at]
        shared = made.share(reason, belief)
        made.term(entry, shared, share)
        own = belief.spread * share + belief.floor * equal
        if priors.kind == "damage":
            made.term(entry, made.add(0.0, own * belief.mean, own=True, owner=shared, weight=share), 1.0)
        else:
            made.term(entry, made.add(0.0, own, own=True), 1.0)


def _add_joint(made: _Builder, variables: Variables, priors: Priors, edge: Edge, first_entry: int, width: int) -> None:
    formats, smaller = variables.knobs[edge.first], variables.knobs[edge.second]
    for row, wanted in enumerate(formats.choices):
        if row == 0:
            continue
        reason, belief = priors.of_joint(smaller, wanted)
        shared = made.share(reason, belief)
        share = 1.0 / variables.layer_count if priors.kind == "damage" else edge.share
        own = made.add(0.0, belief.spread * share + belief.floor / variables.layer_count, own=True)
        for column, gone in _reductions(smaller.kind, smaller.choices):
            made.term(first_entry + row * width + column, shared, share * gone)
            made.term(first_entry + row * width + column, own, gone)


def _reductions(kind: str, choices: tuple[float | str, ...]) -> Iterator[tuple[int, float]]:
    for column, choice in enumerate(choices):
        gone = reduction(kind, choice)
        if gone:
            yield column, gone


def _add_transition(
    made: _Builder, variables: Variables, priors: Priors, edge: Edge, first_entry: int, width: int, count: int
) -> None:
    formats = [variables.knobs[edge.first].choices, variables.knobs[edge.second].choices]
    own: int | None = None
    for row, one in enumerate(formats[0]):
        for column, other in enumerate(formats[1]):
            if one == other:
                continue
            reason, belief = priors.of_transition(one, other)
            if own is None:
                own = made.add(0.0, belief.floor * belief.mean / count, own=True)
            entry = first_entry + row * width + column
            made.term(entry, made.share(reason, belief), 1.0 / count)
            made.term(entry, own, 1.0)
