"""What must change beside the weights when channels go: constants along an axis, sizes written down, indices.

Every edit names channels by *units*: an array with the number of a unit, over all groups, per element of an axis, and
-1 for elements that stay. A mask over the units, whose last element is True, says which are kept: -1 finds that one.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.graph import add_initializer, constant, derived, operand, replace_constant

Mask = NDArray[np.bool_]
Units = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Edit(ABC):
    """A change of one input of an operator.

    Attributes:
        node: The operator's name.
        index: Which input.
    """

    node: str
    index: int

    @abstractmethod
    def apply(self, graph: ir.Graph, node: ir.Node, kept: Mask) -> None:
        """Change the input where units have gone."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TakeConstant(Edit):
    """A constant loses elements along `axis`.

    Attributes:
        axis: Which axis of the constant.
        units: By element of that axis.
    """

    axis: int
    units: Units

    def apply(self, graph: ir.Graph, node: ir.Node, kept: Mask) -> None:
        """Keep the elements whose units are kept."""
        if not kept[self.units].all():
            array = constant(operand(node, self.index))
            set_constant(graph, node, self.index, array.compress(kept[self.units], axis=self.axis))


@dataclass(frozen=True, kw_only=True, eq=False)
class WriteCount(Edit):
    """An integer constant says how many elements an axis has.

    Attributes:
        position: Which element of the constant.
        units: By element of that axis.
    """

    position: int
    units: Units

    def apply(self, graph: ir.Graph, node: ir.Node, kept: Mask) -> None:
        """Write how many are left."""
        if not kept[self.units].all():
            array = constant(operand(node, self.index)).copy()
            array[self.position] = np.count_nonzero(kept[self.units])
            set_constant(graph, node, self.index, array)


@dataclass(frozen=True, kw_only=True, eq=False)
class WriteBound(Edit):
    """A Slice begins or ends somewhere along an axis that loses elements.

    Attributes:
        position: Which element of the constant.
        bound: Elements before it, as the axis was.
        units: By element of that axis.
    """

    position: int
    bound: int
    units: Units

    def apply(self, graph: ir.Graph, node: ir.Node, kept: Mask) -> None:
        """Count the elements before the bound anew; also where it was counted from the far end."""
        if not kept[self.units].all():
            array = constant(operand(node, self.index)).copy()
            array[self.position] = np.count_nonzero(kept[self.units[: self.bound]])
            set_constant(graph, node, self.index, array)


@dataclass(frozen=True, kw_only=True, eq=False)
class RemapIndices(Edit):
    """A Gather's constant indices point along an axis that loses elements.

    Attributes:
        units: By element of the axis that the indices point along.
    """

    units: Units

    def apply(self, graph: ir.Graph, node: ir.Node, kept: Mask) -> None:
        """Drop the indices of what is gone and count the others anew."""
        left = kept[self.units]
        if not left.all():
            indices = constant(operand(node, self.index))
            positions = np.cumsum(left) - 1
            remapped = positions[indices[left[indices]]].astype(indices.dtype)
            set_constant(graph, node, self.index, remapped)


@dataclass(frozen=True, kw_only=True, eq=False)
class WriteSplit(Edit):
    """A Split's parts get smaller; what it left to the runtime is written down.

    Attributes:
        parts: Units by element, for each part.
    """

    parts: tuple[Units, ...]

    def apply(self, graph: ir.Graph, node: ir.Node, kept: Mask) -> None:
        """Write the sizes of the parts."""
        if all(kept[part].all() for part in self.parts):
            return
        sizes = np.array([np.count_nonzero(kept[part]) for part in self.parts], np.int64)
        node.attributes.pop("num_outputs", None)
        set_constant(graph, node, self.index, sizes)


def set_constant(graph: ir.Graph, node: ir.Node, index: int, array: NDArray[np.generic]) -> None:
    """Let `node` read `array`, under the name of the constant that it read before if nobody else reads that one."""
    old = node.inputs[index] if index < len(node.inputs) else None
    if old is not None and old.const_value is not None and len(old.uses()) == 1 and not old.is_graph_output():
        old.const_value = ir.Tensor(np.ascontiguousarray(array), name=old.name)
        old.shape = ir.Shape(array.shape)
        return
    new = add_initializer(graph, derived(node.name or "", f"input{index}"), array)
    if old is not None:
        replace_constant(graph, node, index, new)
        return
    if len(node.inputs) <= index:
        node.resize_inputs(index + 1)
    node.replace_input_with(index, new)
