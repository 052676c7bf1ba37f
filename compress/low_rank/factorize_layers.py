"""One operator becomes two: the graph's side of low-rank factorization."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.bias import write_bias
from compress.errors import PolicyError
from compress.graph import add_initializer, derived, replace_constant
from compress.layers import Layer

_PER_AXIS = {"strides": 1, "dilations": 1, "kernel_shape": 1}


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """The two weights that a layer becomes.

    Attributes:
        layer: The layer as it stands in the graph.
        first: Weight of the operator that reads the layer's input, as stored.
        second: Weight of the one that writes its output.
        bias: Bias of the second, shape (out,); None to leave it as it is.
        first_axes: For a convolution, whether the first operator moves along each spatial axis; the second moves along
            the others.
    """

    layer: Layer
    first: NDArray[np.float32]
    second: NDArray[np.float32]
    bias: NDArray[np.float32] | None
    first_axes: tuple[bool, ...]


def first_name(node_name: str) -> str:
    """What the operator of the first factor is called; the second keeps the layer's name."""
    return derived(node_name, "first")


def factor_name(layer: Layer, part: str) -> str:
    """What the weight of the `first` or `second` factor is called; layers may share a weight, never a factor."""
    return derived(layer.node_name, f"{part}_weight")


def inner_name(output_name: str) -> str:
    """What the tensor between the factors of the layer that writes `output_name` is called."""
    return derived(output_name, "inner")


class FactorizeLayers(ir.passes.InPlacePass):
    """Replace some layers by the product of two.

    Ensures that every other tensor keeps its name and shape.

    Args:
        splits: What to replace, by layer name.
    """

    def __init__(self, splits: Mapping[str, Split]) -> None:
        super().__init__()
        self._splits = splits

    def requires(self, model: ir.Model) -> None:
        """Every layer's operator exists and can be factorized."""
        names = {node.name for node in model.graph}
        for name, split in self._splits.items():
            if split.layer.node_name not in names:
                raise PolicyError(f"no operator {split.layer.node_name!r} to factorize in this network")
            if split.layer.groups > 1:
                raise PolicyError(f"layer {name!r} is a grouped convolution: it has no low-rank factors")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Swap the nodes."""
        nodes = {node.name: node for node in model.graph}
        for split in self._splits.values():
            _split(model.graph, nodes[split.layer.node_name], split)
        return ir.passes.PassResult(model, bool(self._splits))


def _split(graph: ir.Graph, node: ir.Node, split: Split) -> None:
    layer = split.layer
    first = add_initializer(graph, factor_name(layer, "first"), split.first)
    second = add_initializer(graph, factor_name(layer, "second"), split.second)
    attributes = [node.attributes["transB"]] if "transB" in node.attributes else []
    inner = ir.Node("", node.op_type, [node.inputs[0], first], attributes, name=first_name(layer.node_name))
    inner.outputs[0].name = inner_name(node.outputs[0].name or "")
    inner.outputs[0].type = node.outputs[0].type
    graph.insert_before(node, inner)
    node.replace_input_with(0, inner.outputs[0])
    replace_constant(graph, node, 1, second)
    if split.bias is not None:
        write_bias(graph, node, split.bias)
    if layer.op_type == "Conv":
        given = dict(node.attributes)
        kernel = layer.weight_shape[2:]
        _set_geometry(inner, given, kernel, split.first_axes)
        _set_geometry(node, given, kernel, [not moves for moves in split.first_axes])


def _set_geometry(node: ir.Node, given: Mapping[str, ir.Attr], kernel: Sequence[int], moves: Sequence[bool]) -> None:
    """Give `node` the layer's strides, pads and dilations on the axes along which it moves, none on the others."""
    for name in (*_PER_AXIS, "pads", "auto_pad", "group"):
        node.attributes.pop(name, None)
    defaults: dict[str, Any] = {"kernel_shape": list(kernel)}
    for name, neutral in _PER_AXIS.items():
        values = given[name].as_ints() if name in given else defaults.get(name)
        if values is not None:
            node.attributes.add(ir.AttrInt64s(name, [v if m else neutral for v, m in zip(values, moves, strict=True)]))
    if "pads" in given:
        pads = given["pads"].as_ints()
        node.attributes.add(ir.AttrInt64s("pads", [p if m else 0 for p, m in zip(pads, (*moves, *moves), strict=True)]))
    if "auto_pad" in given and any(moves):
        node.attributes.add(given["auto_pad"])
