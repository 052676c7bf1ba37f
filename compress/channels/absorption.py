"""A constant that is added to a stream goes into a bias in front of it: a vanished branch then takes no time.

Where a branch has vanished, its mean answer is left as an addition. Among 8-bit layers that addition runs in floats
between two conversions, and takes longer than the branch's own convolutions did. What writes the stream can hold the
constant instead, and nothing stays of the branch.

Between two clamps at zero, max(max(z, 0) + c, 0) becomes max(z + c, 0). The two are the same where c is not positive;
elsewhere they differ where z is negative, by no more than c.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.channels.edits import set_constant
from compress.formats.placement import WEIGHTED, is_absorbable, only_reader
from compress.graph import constant, operand, output_axis


@dataclass(frozen=True, kw_only=True, eq=False)
class _Shift:
    """One number per channel.

    Attributes:
        values: Shape (C,).
        axes_behind: Axes of a tensor behind the one that counts channels.
    """

    values: NDArray[np.float32]
    axes_behind: int


class AbsorbConstants(ir.passes.InPlacePass):
    """Take additions of a constant per channel out of the graph where something before them can hold it.

    Ensures that operators and tensors which stay keep their names, and that what a layer writes behind its clamp is a
    tensor that calibration knows. Additions that nothing can hold stay as they are.

    Args:
        additions: Names of the operators.
        observed: Names of the tensors whose ranges are known.
    """

    def __init__(self, additions: Collection[str], observed: Collection[str]) -> None:
        super().__init__()
        self._additions = frozenset(additions)
        self._observed = frozenset(observed)

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Take up what can be taken up, in the order of the graph."""
        additions = [node for node in model.graph if node.name in self._additions and node.op_type == "Add"]
        return ir.passes.PassResult(model, sum(self._absorb(model.graph, node) for node in additions) > 0)

    def _absorb(self, graph: ir.Graph, addition: ir.Node) -> bool:
        index = _constant_index(addition)
        shift = None if index is None else _shift_of(constant(operand(addition, index)))
        if index is None or shift is None or addition.outputs[0].is_graph_output():
            return False
        rest, after = operand(addition, 1 - index), only_reader(addition.outputs[0])
        clamp = rest.producer()
        if _is_relu(clamp) and _is_relu(after) and only_reader(rest) is addition:
            return self._absorb_between(graph, clamp, addition, after, shift)
        if _is_layer(rest.producer()) and after is not None and is_absorbable(after) and not self._knows(after):
            return False
        if not _add_before(graph, rest, addition, shift):
            return False
        _bypass(graph, addition, rest)
        return True

    def _absorb_between(
        self, graph: ir.Graph, clamp: ir.Node, addition: ir.Node, after: ir.Node, shift: _Shift
    ) -> bool:
        """Where the addition stands between two clamps, of which one is enough.

        That is the first: by its name calibration and the check of kernels know what the layer before it writes. Where
        the last one writes an output of the graph, the first goes.
        """
        source, last = operand(clamp, 0), after.outputs[0].is_graph_output()
        if _is_layer(source.producer()) and not self._knows(after if last else clamp):
            return False
        if not _add_before(graph, source, clamp, shift):
            return False
        if last:
            _bypass(graph, addition, source)
            graph.remove(clamp, safe=True)
        else:
            _bypass(graph, after, clamp.outputs[0])
            graph.remove(addition, safe=True)
        return True

    def _knows(self, node: ir.Node) -> bool:
        return node.outputs[0].name in self._observed


def _bypass(graph: ir.Graph, node: ir.Node, value: ir.Value) -> None:
    """Let all readers of `node` read `value` instead."""
    node.outputs[0].replace_all_uses_with(value)
    graph.remove(node, safe=True)


def _add_before(graph: ir.Graph, value: ir.Value, reader: ir.Node, shift: _Shift) -> bool:
    """Let `value`, which `reader` alone may read, be larger by `shift`; False where nothing can hold that."""
    node = value.producer()
    if node is None or only_reader(value) is not reader or node.domain not in ("", "ai.onnx"):
        return False
    if node.op_type in ("Conv", "Gemm"):
        return _add_to_bias(graph, node, shift)
    if node.op_type != "Add":
        return False
    index = _constant_index(node)
    if index is None:
        return any(_add_before(graph, operand(node, i), node, shift) for i in (0, 1))
    present = constant(operand(node, index))
    found = _shift_of(present)
    if found is None or found.axes_behind != shift.axes_behind or found.values.shape != shift.values.shape:
        return False
    set_constant(graph, node, index, present + shift.values.reshape(present.shape))
    return True


def _add_to_bias(graph: ir.Graph, node: ir.Node, shift: _Shift) -> bool:
    weight = operand(node, 1)
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if weight.const_value is None or (bias is not None and bias.const_value is None):
        return False
    shape = constant(weight).shape
    if shift.axes_behind != len(shape) - 2 or shape[output_axis(node)] != len(shift.values):
        return False
    if bias is None:
        set_constant(graph, node, 2, shift.values)
    elif constant(bias).shape == shift.values.shape and node.attributes.get_float("beta", 1.0) == 1.0:
        set_constant(graph, node, 2, constant(bias) + shift.values)
    else:
        return False
    return True


def _constant_index(node: ir.Node) -> int | None:
    """Which operand of an addition is a constant."""
    constants = [i for i, value in enumerate(node.inputs) if value is not None and value.const_value is not None]
    return constants[0] if len(constants) == 1 else None


def _shift_of(array: NDArray[np.float32]) -> _Shift | None:
    """The constant as one number per channel; None where it is something else, or where one cannot tell which axis."""
    long = [axis for axis, size in enumerate(array.shape) if size > 1]
    if len(long) != 1:
        return None
    return _Shift(values=array.reshape(-1), axes_behind=array.ndim - 1 - long[0])


def _is_relu(node: ir.Node | None) -> TypeGuard[ir.Node]:
    return node is not None and node.op_type == "Relu" and node.domain in ("", "ai.onnx")


def _is_layer(node: ir.Node | None) -> bool:
    """Whether the operator may write its output in 8 bits."""
    return node is not None and node.op_type in WEIGHTED and node.domain in ("", "ai.onnx")
