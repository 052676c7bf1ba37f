"""Groups that may lose all their units: branches whose only effect is added to something else.

A residual branch ends in a layer whose output is added to the stream. Without inputs that layer answers its bias, so
the branch becomes one constant per channel.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.channels.edits import set_constant
from compress.channels.group import ChannelGroup, ChannelGroups
from compress.graph import constant, operand
from compress.network import Network


@dataclass(frozen=True, kw_only=True, eq=False)
class Ending:
    """How a branch joins the rest.

    Attributes:
        constants: Additions of constants behind the last layer, with the index of the constant.
        join: The addition to the rest.
        index: Which operand of `join` the branch is.
    """

    constants: tuple[tuple[ir.Node, int], ...]
    join: ir.Node
    index: int

    @property
    def rest(self) -> ir.Value:
        """The other operand of `join`."""
        return operand(self.join, 1 - self.index)

    @property
    def branch(self) -> ir.Value:
        """What the branch adds."""
        return operand(self.join, self.index)


def find_ending(layer: ir.Node) -> Ending | None:
    """Where the output of `layer` is added to something that is no constant; None if anything else happens to it."""
    constants: list[tuple[ir.Node, int]] = []
    value = layer.outputs[0]
    while len(value.uses()) == 1 and not value.is_graph_output():
        (use,) = value.uses()
        node, index = use.node, use.idx
        if node.op_type != "Add" or node.graph is not layer.graph:
            return None
        other = operand(node, 1 - index)
        if other.const_value is None:
            return Ending(constants=tuple(constants), join=node, index=index)
        constants.append((node, 1 - index))
        value = node.outputs[0]
    return None


def vanishing_consumers(network: Network, groups: ChannelGroups) -> dict[str, tuple[str, ...]]:
    """By name of each group that may vanish, the consumers that turn into constants when it does."""
    nodes = {node.name: node for node in network.model.graph}
    node_of = {layer.name: nodes[layer.node_name] for layer in network.layers}
    promised: set[ir.Value] = set()
    found: dict[str, tuple[str, ...]] = {}
    first = 0
    for group in groups.groups:
        inside = range(first, first + group.unit_count)
        first = inside.stop
        endings = _endings(group, node_of, promised)
        if not endings:
            continue
        alive = _alive(network.model.graph, {ending.join: ending.index for ending in endings.values()})
        carriers = {a.value for a in groups.axes if ((a.units >= inside.start) & (a.units < inside.stop)).any()}
        if carriers.isdisjoint(value.name for value in alive):
            found[group.name] = tuple(n for n, ending in endings.items() if ending.join.outputs[0] in alive)
            promised |= {ending.branch for ending in endings.values()}
    return found


def _endings(group: ChannelGroup, nodes: Mapping[str, ir.Node], promised: set[ir.Value]) -> dict[str, Ending]:
    """The consumers that read nothing else and are added to something that stays."""
    endings: dict[str, Ending] = {}
    mine: set[ir.Value] = set()
    for member in group.consumers:
        ending = find_ending(nodes[member.layer]) if (member.unit_of_channel >= 0).all() else None
        if ending is None or ending.rest in promised | mine or not _fills(ending.rest, ending.join.outputs[0]):
            continue
        endings[member.layer] = ending
        mine.add(ending.branch)
    return endings


def _fills(value: ir.Value, result: ir.Value) -> bool:
    """Whether `value` has the shape of `result` for certain."""
    if value.shape is None or result.shape is None or len(value.shape) != len(result.shape):
        return False
    return all(isinstance(a, int) or a.value is not None for a in value.shape) and value.shape == result.shape


def _alive(graph: ir.Graph, cut: Mapping[ir.Node, int]) -> set[ir.Value]:
    """The values that the graph's outputs need when some operands are constants."""
    alive: set[ir.Value] = set()
    queue = list(graph.outputs)
    while queue:
        value = queue.pop()
        if value in alive:
            continue
        alive.add(value)
        node = value.producer()
        if node is not None:
            queue += [v for i, v in enumerate(node.inputs) if v is not None and cut.get(node) != i]
            queue += _captured(node)
    return alive


def _captured(node: ir.Node) -> Iterator[ir.Value]:
    for attribute in node.attributes.values():
        bodies: Iterable[ir.Graph] = ()
        if attribute.type == ir.AttributeType.GRAPH:
            bodies = [attribute.as_graph()]
        elif attribute.type == ir.AttributeType.GRAPHS:
            bodies = attribute.as_graphs()
        for inner in (inner for body in bodies for inner in body.all_nodes()):
            yield from (value for value in inner.inputs if value is not None)


def end_branch(graph: ir.Graph, layer: ir.Node, bias: NDArray[np.float32]) -> None:
    """Let the branch that ends in `layer` be what `layer` answers without inputs.

    Args:
        graph: The graph to edit; what becomes dead is left standing.
        layer: The last layer of the branch.
        bias: Its answer, one value per output channel.
    """
    ending = find_ending(layer)
    if ending is None:
        raise ValueError(f"{layer.op_type} {layer.name!r} does not end a branch")
    answer = bias.reshape(-1, *[1] * (constant(operand(layer, 1)).ndim - 2)) if layer.op_type == "Conv" else bias
    for node, index in ending.constants:
        answer = answer + constant(operand(node, index))
    if answer.any() or ending.join.outputs[0].is_graph_output():
        set_constant(graph, ending.join, ending.index, answer.astype(np.float32))
    else:
        ending.join.outputs[0].replace_all_uses_with(ending.rest)
