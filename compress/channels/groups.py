"""Dependency groups: which channels of a network can only be removed together, found by propagation.

A group is one variable of a search. It is made of units, and a unit of all the channels that must go at once: one
output of a convolution with the inputs that read it; the same channel of every layer that is added into a residual
stream; a whole attention head with its queries, keys, values and the inputs of the projection behind; all channels of
a group of a grouped convolution. (DepGraph, Fang et al. 2023, arXiv:2301.12900, finds such groups from pairs of layers;
here labels travel with the tensors, so that reshapes, heads and concatenations need no special cases.)
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.channels.axes import Axes
from compress.channels.edits import Edit, Units, WriteCount
from compress.channels.flow import ChannelFlow, Source
from compress.channels.group import AxisUnits, ChannelGroup, ChannelGroups, Member, pruned_layer, pruned_shape
from compress.channels.labels import FIXED
from compress.channels.rules import RULES
from compress.channels.vanishing import vanishing_consumers
from compress.network import Network

__all__ = ["ChannelGroup", "ChannelGroups", "Member", "find_channel_groups", "pruned_layer", "pruned_shape"]

_NOTHING = np.zeros(0, np.int64)


def find_channel_groups(network: Network) -> ChannelGroups:
    """The dependency groups of a network; what is not certainly right to remove is in none."""
    flow = ChannelFlow(network, RULES)
    distinct = list({id(axes): axes for axes in flow.axes.values()}.values())
    while _tie_blocks(flow, distinct) or flow.settle_sizes():
        pass
    found = _find_units(network, flow)
    names = _name(network, flow, found)
    everything = _number(network, flow, dict(zip(names, found, strict=True)))
    vanishing = vanishing_consumers(network, everything)
    # A single unit that must stay is no choice.
    chosen = {n: units for n, units in zip(names, found, strict=True) if len(units) > 1 or n in vanishing}
    result = everything if len(chosen) == len(found) else _number(network, flow, chosen)
    groups = tuple(replace(group, vanishing=vanishing.get(group.name, ())) for group in result.groups)
    return replace(result, groups=groups)


def _tie_blocks(flow: ChannelFlow, tensors: Sequence[Axes]) -> bool:
    changed = False
    for axes in tensors:
        changed |= axes.tie_to_one_axis(flow.labels, "a reshape needs whole slices of them")
    return changed


def _find_units(network: Network, flow: ChannelFlow) -> list[list[int]]:
    """The units of each group, as representatives of their labels.

    Units that occur in the same places, equally often, form a group: with one of them left, no tensor is ever empty.
    """
    signatures = _signatures(flow)
    members: dict[tuple[object, ...], dict[int, None]] = {}
    for layer in network.layers:
        for root in flow.labels.roots(flow.outputs.get(layer.name, _NOTHING)).tolist():
            if root != FIXED:
                members.setdefault(signatures[root], {}).setdefault(root)
    return [list(units) for units in members.values()]


def _signatures(flow: ChannelFlow) -> dict[int, tuple[object, ...]]:
    """Where every set of labels occurs, and how often."""
    distinct = {id(axes): axes for axes in flow.axes.values()}
    places: list[tuple[object, NDArray[np.int64]]] = [
        ((number, axis), axes.carried(axis, flow.labels))
        for number, axes in enumerate(distinct.values())
        for axis in range(axes.rank)
    ]
    for role, vectors in (("in", flow.inputs), ("out", flow.outputs)):
        places += [((role, name), flow.labels.roots(vector)) for name, vector in vectors.items()]
    found: dict[int, list[object]] = defaultdict(list)
    for place, roots in places:
        for root, count in zip(*(a.tolist() for a in np.unique(roots, return_counts=True)), strict=True):
            found[root].append((place, count))
    return {root: tuple(occurrences) for root, occurrences in found.items()}


def _name(network: Network, flow: ChannelFlow, found: Sequence[Sequence[int]]) -> list[str]:
    """The first producer's name; numbered from the second group on that a layer is the first to produce."""
    first: dict[int, str] = {}
    for layer in reversed(network.layers):
        first |= dict.fromkeys(flow.labels.roots(flow.outputs.get(layer.name, _NOTHING)).tolist(), layer.name)
    taken = {layer.name for layer in network.layers}
    names: list[str] = []
    for units in found:
        name, number = first[units[0]], 2
        while name in names or (number > 2 and name in taken):
            name, number = f"{first[units[0]]}_{number}", number + 1
        names.append(name)
    return names


def _number(network: Network, flow: ChannelFlow, found: Mapping[str, Sequence[int]]) -> ChannelGroups:
    """Everything that speaks of units, in numbers that run over all groups."""
    numbers = np.full(flow.labels.count + 1, FIXED, np.int64)
    for number, root in enumerate(root for units in found.values() for root in units):
        numbers[root] = number

    def units(source: Source) -> Units:
        roots = source[0].carried(source[1], flow.labels) if isinstance(source, tuple) else flow.labels.roots(source)
        return numbers[roots]

    inputs, outputs = {}, {}
    for layer in network.layers:
        fan_in = layer.weight_count // layer.output_channels * layer.groups
        fan_in //= int(np.prod(layer.weight_shape[2:], dtype=np.int64)) if layer.op_type == "Conv" else 1
        inputs[layer.name] = units(flow.inputs.get(layer.name, np.full(fan_in, FIXED, np.int64)))
        outputs[layer.name] = units(flow.outputs.get(layer.name, np.full(layer.output_channels, FIXED, np.int64)))
    return ChannelGroups(
        groups=_describe_groups(network, found, inputs, outputs),
        fixed=_reasons(network, flow, outputs),
        inputs=inputs,
        outputs=outputs,
        edits=tuple(_edits(flow, units)),
        axes=tuple(_axes(flow, units)),
    )


def _describe_groups(
    network: Network, found: Mapping[str, Sequence[int]], inputs: Mapping[str, Units], outputs: Mapping[str, Units]
) -> tuple[ChannelGroup, ...]:
    groups, start = [], 0
    for name, units in found.items():
        inside = range(start, start + len(units))
        start = inside.stop
        consuming = [layer for layer in network.layers if layer.groups == 1]
        groups.append(
            ChannelGroup(
                name=name,
                unit_count=len(units),
                producers=_members([layer.name for layer in network.layers], outputs, inside),
                consumers=_members([layer.name for layer in consuming], inputs, inside),
            )
        )
    return tuple(groups)


def _members(layers: Sequence[str], channels: Mapping[str, Units], inside: range) -> tuple[Member, ...]:
    members = []
    for layer in layers:
        units = channels[layer]
        mine = (units >= inside.start) & (units < inside.stop)
        if mine.any():
            members.append(Member(layer=layer, unit_of_channel=np.where(mine, units - inside.start, FIXED)))
    return tuple(members)


def _reasons(network: Network, flow: ChannelFlow, outputs: Mapping[str, Units]) -> dict[str, str]:
    fixed = {}
    for layer in network.layers:
        staying = np.flatnonzero(outputs[layer.name] == FIXED)
        if layer.name in flow.refused:
            fixed[layer.name] = flow.refused[layer.name]
        elif staying.size:
            reason = flow.labels.reason(int(flow.outputs[layer.name][staying[0]]))
            fixed[layer.name] = reason or "they can only be removed all at once, and the network needs them"
    return fixed


def _edits(flow: ChannelFlow, units: Callable[[Source], Units]) -> Iterator[Edit]:
    for pending in flow.edits:
        found = tuple(units(source) for source in pending.sources)
        if any((part != FIXED).any() for part in found):
            fields: dict[str, Any] = {pending.field: found if pending.field == "parts" else found[0]}
            yield pending.kind(**pending.fields, **fields)
    for written, axes, axis in flow.counts():
        counted = units((axes, axis))
        if (counted != FIXED).any():
            yield WriteCount(node=written.node, index=written.index, position=written.position, units=counted)


def _axes(flow: ChannelFlow, units: Callable[[Source], Units]) -> Iterator[AxisUnits]:
    for value, axes in flow.axes.items():
        for axis in range(axes.rank):
            found = units((axes, axis))
            if (found != FIXED).any():
                has_length = axes.size(axis) is not None
                yield AxisUnits(value=value.name or "", axis=axis, units=found, has_length=has_length)
