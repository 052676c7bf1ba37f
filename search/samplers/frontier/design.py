"""The features of a cost or of a damage of which no more is known than which knobs there are."""

from collections.abc import Iterator

import numpy as np

from search.samplers.frontier.features import Design, Features
from search.samplers.frontier.priors import Priors, reduction
from search.samplers.frontier.variables import Edge, Variables
from search.samplers.frontier.work import build_work_design


def build_design(variables: Variables, priors: Priors) -> Design:
    """The features of a cost or of a damage.

    A feature for every choice but each knob's first, which leaves the layers alone; for every two neighbours of which
    the formats may differ, one for a difference; for formats of layers that are made smaller besides, one per format
    in proportion to what is gone; and above all of them those that layers share.
    """
    if priors.kind == "cost" and variables.forms:
        return build_work_design(variables, priors)
    made, layout, sizes = Features(layout=variables.layout), variables.layout, variables.sizes
    made.add(*priors.constant)
    for at in range(len(variables.knobs)):
        _add_choices(made, variables, priors, at, layout.offsets[at])
    transitions = [edge for edge in variables.edges if edge.kind == "transition"]
    # A conversion takes time, it saves none.
    never_negative = np.full(layout.offsets[-1], priors.kind == "damage")
    for position, edge in enumerate(variables.edges, start=len(variables.knobs)):
        first, behind = layout.offsets[position : position + 2]
        if edge.kind == "joint":
            never_negative[first:behind] = False
            _add_joint(made, variables, priors, edge, first, int(sizes[edge.second]))
        elif priors.has_transitions:
            never_negative[first:behind] = True
            _add_transition(made, variables, priors, edge, first, int(sizes[edge.second]), len(transitions))
    return made.design(never_negative)


def _add_choices(made: Features, variables: Variables, priors: Priors, at: int, first_entry: int) -> None:
    knob, equal = variables.knobs[at], len(variables.knobs[at].layers) / variables.layer_count
    for position, choice in enumerate(knob.choices):
        if position == 0:
            continue
        entry = first_entry + position
        known = priors.effects.get((knob.name, choice))
        if known is not None:
            whole = made.share(("known", "all"), priors.of_known)
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


def _add_joint(made: Features, variables: Variables, priors: Priors, edge: Edge, first_entry: int, width: int) -> None:
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
    made: Features, variables: Variables, priors: Priors, edge: Edge, first_entry: int, width: int, count: int
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
