"""What is known of a cost before any trial, as observations of parts of it."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import sparse

from search.layers.effects import Effects
from search.layers.table import TimedPolicy
from search.samplers.frontier.energy import Choices
from search.samplers.frontier.features import Design
from search.samplers.frontier.linear_model import Observations, Rows
from search.samplers.frontier.variables import Variables

# A runtime's profile of one layer against that layer's part in a latency: the share of it, and of the whole network.
_PROFILE_SHARE, _PROFILE_FLOOR = 0.12, 0.002

# One process's ratio of a whole network, timed in turns with FP32's for 0.15 s.
_WHOLE_SHARE = 0.02

_Known = tuple[Rows, float, float]


def observe_known(
    variables: Variables, design: Design, table: Sequence[TimedPolicy], effects: Effects
) -> Observations | None:
    """Layers' times and single choices' effects as observations; None where there are none.

    Args:
        variables: The knobs.
        design: Of the cost.
        table: Each layer's time under some policies; what is no policy of this space is skipped.
        effects: What single choices add to the cost ratio.
    """
    if variables.forms:
        found = [*_of_layers(variables, design, table), *_of_effects(variables, design, effects)]
    else:  # effects are in the design
        found = [*_of_savings(variables, design, table)]
    found += _of_wholes(variables, design, table)
    if not found:
        return None
    rows, values, deviations = zip(*found, strict=True)
    return Observations(
        rows=sparse.csr_array(sparse.vstack(rows)), values=np.array(values), variances=np.square(np.array(deviations))
    )


def _of_layers(variables: Variables, design: Design, table: Sequence[TimedPolicy]) -> Iterator[_Known]:
    place = variables.form_tables
    for choices, timed in _encoded(variables, table):
        for layer, share in timed.shares.items():
            if layer in place:
                row = design.alone(place[layer], choices[None])
                yield row, share, float(np.hypot(_PROFILE_SHARE * share, _PROFILE_FLOOR))


def _of_wholes(variables: Variables, design: Design, table: Sequence[TimedPolicy]) -> Iterator[_Known]:
    """What whole networks took: mixed ones, and those whose layers were timed."""
    for choices, timed in _encoded(variables, table):
        if timed.ratio is not None and choices.any():  # FP32 is 1 by definition
            yield design.rows(choices[None]), timed.ratio, _WHOLE_SHARE * timed.ratio


def _encoded(variables: Variables, table: Sequence[TimedPolicy]) -> Iterator[tuple[Choices, TimedPolicy]]:
    for timed in table:
        choices = variables.encode(dict(timed.params))
        if choices is not None:
            yield choices, timed


def _of_savings(variables: Variables, design: Design, table: Sequence[TimedPolicy]) -> Iterator[_Known]:
    """Where sizes are not known: what each layer saves against FP32, by the knobs that turn it alone."""
    nothing = np.zeros(len(variables.knobs), np.int64)
    encoded = [(choices, timed.shares) for choices, timed in _encoded(variables, table)]
    whole = next((shares for choices, shares in encoded if not choices.any()), {})
    turned = _turned(variables)
    for choices, shares in encoded:
        if not choices.any():
            continue
        for layer, share in shares.items():
            knobs = turned.get(layer, [])
            if layer not in whole or any(choices[at] and len(variables.knobs[at].layers) > 1 for at in knobs):
                continue
            tables = [at for at, scope in enumerate(design.layout.scopes) if set(scope) <= set(knobs)]
            changed = np.where(np.isin(np.arange(len(nothing)), knobs), choices, nothing)[None]
            row = sparse.csr_array(design.terms[design.layout.entries(changed)[0, tables]].sum(axis=0)[None])
            if row.nnz:
                deviation = np.hypot(_PROFILE_SHARE * max(share, whole[layer]), _PROFILE_FLOOR)
                yield row, share - whole[layer], float(deviation)


def _turned(variables: Variables) -> dict[str, list[int]]:
    """By layer, the knobs that turn it."""
    found: dict[str, list[int]] = {}
    for at, knob in enumerate(variables.knobs):
        for layer in knob.layers:
            found.setdefault(layer, []).append(at)
    return found


def _of_effects(variables: Variables, design: Design, effects: Effects) -> Iterator[_Known]:
    nothing = np.zeros((1, len(variables.knobs)), np.int64)
    untouched = design.rows(nothing)
    for at, knob in enumerate(variables.knobs):
        for position, choice in enumerate(knob.choices):
            effect = effects.get((knob.name, choice))
            if effect is not None:
                changed = nothing.copy()
                changed[0, at] = position
                yield sparse.csr_array(design.rows(changed) - untouched), effect.mean, effect.deviation
