"""Structured pruning: channels are taken out of the graph, nothing is masked."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.channels.edits import Mask, set_constant
from compress.channels.group import ChannelGroups, pruned_shape
from compress.channels.vanishing import end_branch
from compress.errors import PolicyError
from compress.graph import add_initializer, constant, derived, operand
from compress.layers import Layer
from compress.network import Network


class PruneChannels(ir.passes.InPlacePass):
    """Remove units of channel groups from a network.

    Requires the graph that the groups were found in. Ensures that the graph's inputs and outputs keep their names and
    shapes, that operators and tensors which stay keep their names, and that shapes of inner tensors are true.

    Args:
        network: The network that the groups were found in.
        groups: What `find_channel_groups` said of it.
        kept: By group name, the units to keep, ascending; none only where the group may vanish. Other groups stay.
        weights: By layer name, finished weights in the shapes that are left; others are cut from the graph's.
        biases: By layer name, finished biases, one value per output that is left; a layer that had none is given one.
            For a layer whose inputs have all vanished it is what stands in its place.
    """

    def __init__(
        self,
        network: Network,
        groups: ChannelGroups,
        kept: Mapping[str, NDArray[np.int64]],
        *,
        weights: Mapping[str, NDArray[np.float32]] | None = None,
        biases: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> None:
        super().__init__()
        self._layers = {layer.name: layer for layer in network.layers}
        self._groups = groups
        self._mask = groups.mask(kept)
        self._weights = weights or {}
        self._biases = biases or {}
        vanished = [group for group in groups.groups if group.name in kept and not len(kept[group.name])]
        self._ended = tuple(layer for group in vanished for layer in group.vanishing)

    def requires(self, model: ir.Model) -> None:
        """Every layer's operator stands in the graph, and finished weights have the shapes that are left."""
        names = {node.name for node in model.graph}
        for layer in self._layers.values():
            if layer.node_name not in names:
                raise PolicyError(f"no operator {layer.node_name!r} to prune in this network")
        for role, arrays in (("weight", self._weights), ("bias", self._biases)):
            for name, array in arrays.items():
                self._check_shape(name, role, array.shape)

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Cut weights, constants and shapes; then drop the branches that have vanished."""
        from onnx_ir.passes import common

        if self._mask.all() and not self._weights and not self._biases:
            return ir.passes.PassResult(model, modified=False)
        graph = model.graph
        nodes = {node.name or "": node for node in graph}
        for layer in self._layers.values():
            self._cut_layer(graph, nodes[layer.node_name], layer)
        for edit in self._groups.edits:
            edit.apply(graph, nodes[edit.node], self._mask)
        self._write_shapes(graph)
        for name in sorted(set(self._biases) - set(self._ended)):
            _write_bias(graph, nodes[self._layers[name].node_name], self._biases[name])
        if self._ended:
            for name in self._ended:
                self._end(graph, nodes[self._layers[name].node_name], self._layers[name])
            common.RemoveUnusedNodesPass()(model)
        return ir.passes.PassResult(model, modified=True)

    def _check_shape(self, name: str, role: str, shape: tuple[int, ...]) -> None:
        if name not in self._layers:
            raise PolicyError(f"no layer {name!r} in this network")
        inputs, outputs = (self._count(channels[name]) for channels in (self._groups.inputs, self._groups.outputs))
        wanted = pruned_shape(self._layers[name], inputs, outputs) if role == "weight" else (outputs,)
        if shape != wanted:
            raise PolicyError(f"layer {name!r}: the {role} that is left has the shape {wanted}, got {shape}")

    def _count(self, units: NDArray[np.int64]) -> int:
        return int(np.count_nonzero(self._mask[units]))

    def _cut_layer(self, graph: ir.Graph, node: ir.Node, layer: Layer) -> None:
        inputs, outputs = self._mask[self._groups.inputs[layer.name]], self._mask[self._groups.outputs[layer.name]]
        finished = self._weights.get(layer.name)
        if finished is not None:
            set_constant(graph, node, 1, finished)
        elif not (inputs.all() and outputs.all()):
            set_constant(graph, node, 1, _cut_weight(constant(operand(node, 1)), layer, inputs, outputs))
        if layer.groups > 1 and not outputs.all():
            groups = layer.groups * int(np.count_nonzero(outputs)) // layer.output_channels
            node.attributes["group"] = ir.AttrInt64("group", groups)
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        if bias is not None and not outputs.all():
            set_constant(graph, node, 2, constant(bias)[outputs])

    def _end(self, graph: ir.Graph, node: ir.Node, layer: Layer) -> None:
        own = node.inputs[2] if len(node.inputs) > 2 else None
        nothing = np.zeros(self._count(self._groups.outputs[layer.name]), np.float32)
        end_branch(graph, node, self._biases.get(layer.name, nothing if own is None else constant(own)))

    def _write_shapes(self, graph: ir.Graph) -> None:
        values = {value.name: value for node in graph for value in node.outputs}
        for axis in self._groups.axes:
            left = self._mask[axis.units]
            value = values.get(axis.value)
            if value is None or value.shape is None or left.all():
                continue
            sizes = list(value.shape)
            sizes[axis.axis] = int(np.count_nonzero(left)) if axis.has_length else ir.SymbolicDim(None)
            value.shape = ir.Shape(sizes)


def _cut_weight(weight: NDArray[Any], layer: Layer, inputs: Mask, outputs: Mask) -> NDArray[Any]:
    if layer.op_type == "Conv":
        return weight[outputs] if layer.groups > 1 else weight[outputs][:, inputs]
    rows, columns = (outputs, inputs) if layer.output_axis == 0 else (inputs, outputs)
    return weight[rows][:, columns]


def _write_bias(graph: ir.Graph, node: ir.Node, bias: NDArray[np.float32]) -> None:
    if node.op_type != "MatMul":
        set_constant(graph, node, 2, bias)
        return
    # A MatMul has no bias: the constant that is added to its output takes it, or one is added.
    product = node.outputs[0]
    uses = list(product.uses())
    if len(uses) == 1 and not product.is_graph_output() and uses[0].node.op_type == "Add":
        follower, index = uses[0].node, 1 - uses[0].idx
        other = operand(follower, index)
        if other.const_value is not None and constant(other).shape[-1:] == bias.shape:
            set_constant(graph, follower, index, constant(other) + bias)
            return
    _add_behind(graph, node, bias)


def _add_behind(graph: ir.Graph, node: ir.Node, bias: NDArray[np.float32]) -> None:
    product = node.outputs[0]
    constant_bias = add_initializer(graph, derived(node.name or "", "bias"), bias)
    add = ir.node("Add", [product, constant_bias], name=derived(node.name or "", "add_bias"))
    total = add.outputs[0]
    total.type, total.shape = product.type, product.shape
    graph.insert_after(node, add)
    product.replace_all_uses_with(total, replace_graph_outputs=True)
    add.replace_input_with(0, product)
    # Readers, and calibrated ranges, know the sum by the name that the product had.
    total.name, product.name = product.name, derived(product.name or "", "product")
