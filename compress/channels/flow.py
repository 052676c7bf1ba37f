"""How channels flow through a graph: every tensor's axes with their labels, by one walk in topological order.

`channel_rules` says what each operator does to them. Whatever no rule understands blocks what flows into it, with the
reason: a channel that is left can be removed for certain.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.channels.axes import Axes, Size, opaque
from compress.channels.edits import Edit, WriteSplit
from compress.channels.labels import FIXED, Labels
from compress.channels.sizes import Element, SizeOf, Sizes, Written, trace_sizes, written_sizes
from compress.layers import Layer
from compress.network import Network

# Labels along an axis as they are, or the axis of a tensor, to be read when everything is tied.
Source = NDArray[np.int64] | tuple[Axes, int]


# Which input says how large the output is.
_TARGET_INPUT = {"Reshape": 1, "Expand": 1, "Resize": 3}


class NotUnderstood(Exception):  # noqa: N818  # it is a rule's answer, not an error
    """A rule does not cover this operator as it stands here; the message says why."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PendingEdit:
    """An edit whose units are not numbered yet.

    Attributes:
        kind: Class of the edit.
        fields: Its fields but for the units.
        field: The name of the field that holds the units.
        sources: Where they come from; several for a Split's parts.
    """

    kind: type[Edit]
    fields: dict[str, Any]
    field: str
    sources: tuple[Source, ...]


class ChannelFlow:
    """The labels of all tensors of a network.

    Args:
        network: The network; left as it is.
        rules: By operator type, what it does to channels.

    Attributes:
        labels: Which of them go together.
        axes: By value, for values of known rank.
        inputs: By layer name, the labels of its input channels.
        outputs: By layer name, the labels of its output channels.
        edits: What else must change when channels go.
        refused: By layer name, why its channels do not flow.
    """

    def __init__(self, network: Network, rules: "Mapping[str, Rule]") -> None:
        self.labels = Labels()
        self.axes: dict[ir.Value, Axes] = {}
        self.inputs: dict[str, NDArray[np.int64]] = {}
        self.outputs: dict[str, NDArray[np.int64]] = {}
        self.edits: list[PendingEdit] = []
        self.refused: dict[str, str] = {}
        self._layers = {layer.node_name: layer for layer in network.layers}
        self._skipped = {item.name: item.reason for item in network.skipped}
        self._sizes: dict[ir.Value, Sizes] = {}
        self._counted: dict[Written, list[tuple[Axes, int]]] = defaultdict(list)
        self._equal: list[tuple[ir.Value, int, Axes, int]] = []
        self._walk(network.model.graph, rules)

    def of(self, node: ir.Node, index: int) -> Axes:
        """The axes of an input.

        Raises:
            NotUnderstood: It is not given, or its rank is unknown.
        """
        value = node.inputs[index] if index < len(node.inputs) else None
        if value is None:
            raise NotUnderstood(f"{describe(node)} has no input {index}")
        found = self._axes_of(value)
        if found is None:
            raise NotUnderstood(f"{describe(node)} reads {value.name!r}, whose rank is unknown")
        return found

    def output_sizes(self, node: ir.Node, rank: int) -> list[Size]:
        """Sizes of the first output as shape inference found them; None for each that it did not."""
        shape = node.outputs[0].shape
        return _sizes_of(shape) if shape is not None and len(shape) == rank else [None] * rank

    def write(self, node: ir.Node, *axes: Axes) -> None:
        """What the outputs are; those that are not given are opaque."""
        for value, mine in zip(node.outputs, axes, strict=False):
            self.axes[value] = mine

    def layer(self, node: ir.Node) -> Layer:
        """The layer that `node` is.

        Raises:
            NotUnderstood: It is none, or its weight has other readers.
        """
        layer = self._layers.get(node.name or "")
        if layer is None:
            raise NotUnderstood(f"{describe(node)}: {self._skipped.get(node.name or '', 'it has no constant weight')}")
        weight = node.inputs[1]
        if weight is not None and (len(weight.uses()) > 1 or weight.is_graph_output()):
            raise NotUnderstood("its weight is shared with another operator")
        return layer

    def edit(self, kind: type[Edit], node: ir.Node, index: int, *sources: Source, **fields: Any) -> None:
        """Note that an input of `node` must change when labels of `sources` go."""
        name = "parts" if kind is WriteSplit else "units"
        fields |= {"node": node.name or "", "index": index}
        self.edits.append(PendingEdit(kind=kind, fields=fields, field=name, sources=sources))

    def target(self, node: ir.Node, index: int) -> Sizes:
        """The elements of an input that says how large the output is.

        Raises:
            NotUnderstood: It is computed in a way that is not followed.
        """
        value = node.inputs[index] if index < len(node.inputs) else None
        if value is None:
            raise NotUnderstood(f"{describe(node)} does not say how large its output is")
        sizes = self._sizes[value] if value in self._sizes else written_sizes(node, index)
        if sizes is None:
            raise NotUnderstood(f"{describe(node)} computes its output's shape at run time")
        return sizes

    def size_is(self, element: Element, axes: Axes, axis: int, node: ir.Node) -> Axes:
        """Note that `element` says how long `axis` is; the axes, settled if it could not follow."""
        if isinstance(element, Written) and element.number >= 0:
            self._counted[element].append((axes, axis))
        elif isinstance(element, SizeOf):
            self._equal.append((element.value, element.axis, axes, axis))
        elif element is None:
            return axes.settle(axis, self.labels, f"{describe(node)} computes their number at run time")
        return axes

    def settle_sizes(self) -> bool:
        """Block what sizes in the graph could not follow; whether anything was blocked."""
        changed = False
        for users in self._counted.values():
            changed |= self._block_unequal(users)
        for value, value_axis, axes, axis in self._equal:
            known = self._axes_of(value)
            changed |= self._block_unequal([(axes, axis), *([(known, value_axis)] if known is not None else [])])
        return changed

    def counts(self) -> Iterable[tuple[Written, Axes, int]]:
        """Every number in a constant that says how long an axis is, with that axis."""
        for written, users in self._counted.items():
            yield (written, *users[0])

    def _block_unequal(self, users: list[tuple[Axes, int]]) -> bool:
        carried = [np.sort(roots[roots != FIXED]) for roots in (a.carried(i, self.labels) for a, i in users)]
        if all(np.array_equal(carried[0], other) for other in carried[1:]):
            return False
        return self.labels.block(np.concatenate(carried), "a size in the graph counts other channels as well")

    def _walk(self, graph: ir.Graph, rules: "Mapping[str, Rule]") -> None:
        for node in graph:
            sizes = trace_sizes(node, self._sizes)
            if sizes is not None:
                self._sizes[node.outputs[0]] = sizes
                continue
            self._block_captured(node)
            rule = rules.get(node.op_type) if node.domain in ("", "ai.onnx") else None
            if rule is None:
                self._give_up(node, f"operator {node.op_type} is not understood")
                continue
            for index, value in enumerate(node.inputs):
                if value is not None and index != _TARGET_INPUT.get(node.op_type):
                    self._fix_sizes(value, f"{describe(node)} computes with their number")
            try:
                rule(self, node)
            except NotUnderstood as reason:
                self._give_up(node, str(reason))
        for value in graph.outputs:
            self._fix_sizes(value, f"the graph's output {value.name!r} is computed from their number")
            self._block_value(value, f"they are the graph's output {value.name!r}")

    def _axes_of(self, value: ir.Value) -> Axes | None:
        if value in self.axes:
            return self.axes[value]
        return None if value.shape is None else opaque(_sizes_of(value.shape))

    def _give_up(self, node: ir.Node, reason: str) -> None:
        for value in node.inputs:
            if value is not None:
                self._fix_sizes(value, reason)
                self._block_value(value, reason)
        layer = self._layers.get(node.name or "")
        if layer is not None:
            self.refused[layer.name] = reason

    def _block_value(self, value: ir.Value, reason: str) -> None:
        if value in self.axes:
            self.axes[value].block_all(self.labels, reason)

    def _fix_sizes(self, value: ir.Value, reason: str) -> None:
        """Keep axes whole whose length is read from `value`, which is not followed any further."""
        for element in self._sizes.get(value, ()):
            if isinstance(element, Written):
                self._counted[element].append((opaque([1]), 0))
            axes = self._axes_of(element.value) if isinstance(element, SizeOf) else None
            if isinstance(element, SizeOf) and axes is not None:
                axes.settle(element.axis, self.labels, reason)

    def _block_captured(self, node: ir.Node) -> None:
        """Block what the bodies of a control-flow operator read from outside."""
        for attribute in node.attributes.values():
            if attribute.type not in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS):
                continue
            bodies = [attribute.as_graph()] if attribute.type == ir.AttributeType.GRAPH else attribute.as_graphs()
            for inner in (inner for body in bodies for inner in body.all_nodes()):
                for value in inner.inputs:
                    if value is not None:
                        self._fix_sizes(value, f"a subgraph of {describe(node)} reads their number")
                        self._block_value(value, f"a subgraph of {describe(node)} reads them")


# Reads the axes of a node's inputs and writes those of its outputs; raises before it notes anything.
Rule = Callable[[ChannelFlow, ir.Node], None]


def describe(node: ir.Node) -> str:
    """What reasons call an operator."""
    return f"{node.op_type} {node.name!r}"


def _sizes_of(shape: ir.Shape) -> list[Size]:
    return [size if isinstance(size, int) else size.value for size in shape]
