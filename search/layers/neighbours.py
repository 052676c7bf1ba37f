"""Finds the graph of a network's layers: which feed which, past at most one skipped block, and who shares channels."""

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from compress.channels.widths import SPARSITY_RATIOS, units_kept
from search.layers.graph import LayerGraph, SharedChannels

if TYPE_CHECKING:
    import onnx_ir as ir

    from compress.channels.group import ChannelGroup, Member
    from compress.network import Network

# A residual stream is read by every layer behind: its writer, its own addition and the next block's are what stands
# between a layer and the one behind the block that is skipped. Pairs further apart would make of a stage of n blocks a
# clique of n layers, for a conversion that the runtime does once, at the nearest of them.
_MERGES = 2


def find_layer_graph(
    network: "Network", channels: "Iterable[ChannelGroup]" = (), *, channel_multiple: int = 1
) -> LayerGraph:
    """The layers between which data flows without another layer in between, past at most one skipped block.

    Args:
        network: The FP32 network.
        channels: The groups that policies may narrow.
        channel_multiple: As the compressor rounds widths and ranks.
    """
    by_node = {layer.node_name: layer.name for layer in network.layers}
    found: dict[tuple[str, str], None] = {}
    for node in network.model.graph:
        if node.name in by_node:
            source = by_node[node.name]
            found |= dict.fromkeys((source, target) for target in _readers(node, by_node))
    return LayerGraph(
        macs={layer.name: layer.macs for layer in network.layers},
        neighbours=tuple(found),
        layers={layer.name: layer for layer in network.layers},
        channels=tuple(_shared(group, channel_multiple) for group in channels),
        channel_multiple=channel_multiple,
        meetings=tuple(_meetings(network, by_node)),
    )


def _meetings(network: "Network", by_node: Mapping[str, str]) -> dict[tuple[str, str], None]:
    """The pairs of layers whose outputs meet, in the graph's order."""
    order = {layer.name: position for position, layer in enumerate(network.layers)}
    last: dict[ir.Value, str] = {}  # the layer that wrote a value last, through operators without weights
    found: dict[tuple[str, str], None] = {}
    for node in network.model.graph:
        writers = list(dict.fromkeys(last[value] for value in node.inputs if value is not None and value in last))
        writers.sort(key=order.__getitem__)
        name = by_node.get(node.name or "")
        if name is None:
            found |= dict.fromkeys(combinations(writers, 2))
        written = name or (writers[-1] if writers else None)
        if written is not None:
            last |= dict.fromkeys(node.outputs, written)
    return found


def _shared(group: "ChannelGroup", multiple: int) -> SharedChannels:
    kept = {ratio: units_kept(group, ratio, multiple) for ratio in SPARSITY_RATIOS[1:]}
    return SharedChannels(
        owner=group.producers[0].layer,
        units=group.unit_count,
        kept={ratio: units for ratio, units in kept.items() if units is not None},
        writers={member.layer: _channels(member) for member in group.producers},
        readers={member.layer: _channels(member) for member in group.consumers},
        vanishing=group.vanishing,
    )


def _channels(member: "Member") -> int:
    return int(np.count_nonzero(member.unit_of_channel >= 0))


def _readers(node: "ir.Node", by_node: Mapping[str, str]) -> list[str]:
    """Names of the layers that read what `node` wrote, in the order in which they are met."""
    readers: dict[str, None] = {}
    fewest: dict[ir.Node, int] = {}
    waiting = [(node, 0)]
    for current, merges in waiting:  # grows while it is read: breadth first
        for output in current.outputs:
            for user, _ in output.uses():
                name = by_node.get(user.name or "")
                if name is not None:
                    readers.setdefault(name)
                    continue
                passed = merges + _is_merge(user)
                if passed <= _MERGES and passed < fewest.get(user, _MERGES + 1):
                    fewest[user] = passed
                    waiting.append((user, passed))
    return list(readers)


def _is_merge(node: "ir.Node") -> bool:
    """Whether it joins two tensors that the network computes."""
    computed = {value for value in node.inputs if value is not None and value.producer() is not None}
    return len(computed) > 1
