"""The features of a cost where layers' sizes are known: in proportion to the work that is left of each.

A number format has a price per multiply-add, per element written, per element gathered and per operator, for each kind
of operator, which all layers share; a layer's own differ from them. Where two neighbours differ in format, or outputs
are combined, there is a price per place and per element that crosses. What a profile puts down to no layer has a price
per element that layers write. A layer that is gone has none of these.
"""

import numpy as np

from search.samplers.frontier.energy import Array, Choices
from search.samplers.frontier.features import Design, Features
from search.samplers.frontier.forms import LayerForms
from search.samplers.frontier.priors import Belief, Priors
from search.samplers.frontier.variables import Crossing, Variables

_QUANTITIES = ("macs", "written", "gathered", "operators")

# In the network's own units: what FP32's work costs on all multiply-adds, elements and operators together, and how far
# kinds of operators and single layers stray from that. What made 124 policies of a ResNet on an x86 processor most
# likely, to a factor of two or so.
_PRICE = {"macs": 0.8, "written": 0.05, "gathered": 0.025, "operators": 0.03}
_PRICE_DEVIATION = {"macs": 0.25, "written": 0.1, "gathered": 0.1, "operators": 0.03}
_KIND_DEVIATION = {"macs": 0.15, "written": 0.04, "gathered": 0.08, "operators": 0.015}
_OWN_DEVIATION = {"macs": 0.17, "written": 0.04, "gathered": 0.03, "operators": 0.01}
_RANKED_DEVIATION = 0.12
_PRESENCE_DEVIATION = 0.03

# What runs beside the layers is believed to be in proportion to what they write, and to go with it. Some does not: an
# attention's scores do not depend on its heads' width.
_BESIDE_DEVIATION = 0.5
_OWN_BESIDE_DEVIATION = 1.0

_CHANGE = Belief(mean=0.01, deviation=0.03, spread=0.05, floor=0.0)
_CHANGE_ELEMENTS = Belief(mean=0.05, deviation=0.04, spread=0.03, floor=0.0)
_MEETING = Belief(mean=0.0, deviation=0.03, spread=0.07, floor=0.0)
_MEETING_ELEMENTS = Belief(mean=0.0, deviation=0.12, spread=0.0, floor=0.0)


def build_work_design(variables: Variables, priors: Priors) -> Design:
    """Features per layer and per crossing; what is not known by its size has a feature per choice (`priors`)."""
    made = Features(layout=variables.layout)
    made.add(*priors.constant)
    totals = sum((form.whole for form in variables.forms.values()), np.zeros(4))
    units = np.where(totals > 0, totals, 1.0)
    first = len(variables.knobs) + len(variables.edges)
    for name, form in variables.forms.items():
        _add_layer(made, form, priors, units, variables.layout.offsets[variables.form_tables[name]])
    never_negative = np.zeros(variables.layout.offsets[-1], bool)
    for table, crossing in enumerate(variables.crossings, start=first + len(variables.forms)):
        start, behind = variables.layout.offsets[table : table + 2]
        _add_crossing(made, crossing, variables, units, start)
        never_negative[start:behind] = not crossing.is_meeting  # a conversion takes time, it saves none
    known = {position for form in variables.forms.values() for position in form.scope}
    for at, knob in enumerate(variables.knobs):
        if at not in known:
            _add_unknown(made, variables, priors, at, knob.choices)
    return made.design(never_negative, np.zeros(len(variables.knobs), np.int64))


def _add_layer(made: Features, form: LayerForms, priors: Priors, units: Array, start: int) -> None:
    entries = start + np.arange(len(form.formats))
    count = units[3]
    summed = sum(form.work.values(), np.zeros((4, len(entries)))) / units[:, None]
    for name in sorted(set(form.formats.tolist())):
        mine = np.flatnonzero((form.formats == name) & ~form.is_gone)
        speed = priors.speed(name)
        for kind, work in form.work.items():
            for quantity, amounts in zip(_QUANTITIES, work[:, mine] / units[:, None], strict=True):
                price = Belief(
                    mean=_PRICE[quantity] * speed, deviation=_PRICE_DEVIATION[quantity] * speed, spread=0, floor=0
                )
                made.term(entries[mine], made.share((quantity, name), price), amounts)
                of_kind = Belief(mean=0.0, deviation=_KIND_DEVIATION[quantity] * speed, spread=0, floor=0)
                made.term(entries[mine], made.share((quantity, f"{name} {kind}"), of_kind), amounts)
        for quantity, amounts in zip(_QUANTITIES, summed[:, mine], strict=True):
            made.term(entries[mine], made.add(0.0, _OWN_DEVIATION[quantity] * speed, own=True), amounts)
        ranked = mine[form.is_ranked[mine]]
        if ranked.size:
            own = made.add(0.0, _RANKED_DEVIATION * speed, own=True)
            made.term(entries[ranked], own, summed[0, ranked])
        for mask in sorted(set(form.masks[mine].tolist()) - {""}):
            masked = mine[form.masks[mine] == mask]
            skipped = Belief(mean=0.0, deviation=0.3 * speed, spread=0, floor=0)
            made.term(entries[masked], made.share(("mask", f"{name} {mask}"), skipped), summed[0, masked])
    alive = np.flatnonzero(~form.is_gone)
    made.term(entries[alive], made.add(0.0, _PRESENCE_DEVIATION, own=True), 1.0 / count)
    if priors.beside > 0:
        amounts = form.written[alive] / units[1]
        beside = Belief(mean=priors.beside, deviation=_BESIDE_DEVIATION * priors.beside, spread=0.0, floor=0.0)
        made.term(entries[alive], made.share(("beside", ""), beside, beside=True), amounts)
        own = made.add(0.0, _OWN_BESIDE_DEVIATION * priors.beside, own=True, beside=True)
        made.term(entries[alive], own, amounts)


def _add_crossing(made: Features, crossing: Crossing, variables: Variables, units: Array, start: int) -> None:
    first, second = (variables.forms[name] for name in (crossing.first, crossing.second))
    shape = variables.sizes[list(crossing.scope)]
    choices = np.stack(np.unravel_index(np.arange(int(np.prod(shape))), shape), axis=1)
    ours, theirs = (_entries(form, crossing, choices) for form in (first, second))
    there = ~first.is_gone[ours] & ~second.is_gone[theirs]
    pairs = np.char.add(np.char.add(first.formats[ours], "→"), second.formats[theirs])
    if crossing.is_meeting:
        there &= pairs != "fp32→fp32"
    else:
        there &= first.formats[ours] != second.formats[theirs]
    entries, count = start + np.arange(len(choices)), units[3]
    crossed = first.written[ours] / units[1]
    kind = "meeting" if crossing.is_meeting else "change"
    fixed, elements = (_MEETING, _MEETING_ELEMENTS) if crossing.is_meeting else (_CHANGE, _CHANGE_ELEMENTS)
    where = np.flatnonzero(there)
    if not crossing.is_meeting and where.size:
        made.term(entries[where], made.add(0.0, fixed.spread, own=True), 1.0 / count)
        made.term(entries[where], made.add(0.0, elements.spread, own=True), crossed[where])
    for pair in sorted(set(pairs[where].tolist())):
        mine = where[pairs[where] == pair]
        made.term(entries[mine], made.share((kind, pair), fixed), 1.0 / count)
        made.term(entries[mine], made.share((f"{kind} elements", pair), elements), crossed[mine])
        made.term(entries[mine], made.add(0.0, fixed.spread, own=True), 1.0 / count)


def _entries(form: LayerForms, crossing: Crossing, choices: Choices) -> Choices:
    """Where in a layer's forms the choices of a crossing are; knobs that it does not have leave the layer alone."""
    taken = [
        choices[:, crossing.scope.index(knob)] if knob in crossing.scope else np.zeros(len(choices), np.int64)
        for knob in form.scope
    ]
    return np.asarray(np.ravel_multi_index(taken, form.shape), np.int64)


def _add_unknown(
    made: Features, variables: Variables, priors: Priors, at: int, choices: tuple[float | str, ...]
) -> None:
    knob = variables.knobs[at]
    for position, choice in enumerate(choices[1:], start=1):
        _, belief = priors.of_choice(knob, choice)
        share = variables.shares[at] + len(knob.layers) / variables.layer_count * 0.1
        own = made.add(belief.mean * share, (belief.deviation + belief.spread) * share, own=True)
        made.term(variables.layout.offsets[at] + position, own, 1.0)
