"""Sizes that a graph computes from its own tensors, element by element, as exporters write the target of a Reshape."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import onnx_ir as ir


@dataclass(frozen=True)
class Written:
    """A number in a constant: the operator that reads the constant, which input it is, and where the number stands."""

    number: int
    node: str
    index: int
    position: int


@dataclass(frozen=True)
class SizeOf:
    """The length of an axis of a tensor."""

    value: ir.Value
    axis: int


# None: nothing is known about the element.
Element = Written | SizeOf | None
Sizes = tuple[Element, ...]
Known = Mapping[ir.Value, Sizes]


def written_sizes(node: ir.Node, index: int) -> Sizes | None:
    """The elements of a constant input; None if it is no list of integers."""
    value = node.inputs[index]
    if value is None or value.const_value is None:
        return None
    array = value.const_value.numpy()
    if array.dtype.kind != "i" or array.ndim != 1:
        return None
    return tuple(Written(n, node.name or "", index, i) for i, n in enumerate(array.tolist()))


def trace_sizes(node: ir.Node, known: Known) -> Sizes | None:
    """The elements of what `node` computes from sizes; None if it does something else."""
    if node.domain not in ("", "ai.onnx") or node.op_type not in _TRACED:
        return None
    if node.op_type not in ("Shape", "Concat") and node.inputs[0] not in known:
        return None
    return _TRACED[node.op_type](node, known)


def _shape(node: ir.Node, _known: Known) -> Sizes | None:
    value = node.inputs[0]
    if value is None or value.shape is None:
        return None
    start, end = node.attributes.get_int("start", 0), node.attributes.get_int("end", len(value.shape))
    return tuple(SizeOf(value, axis) for axis in range(*slice(start, end).indices(len(value.shape))))


def _concat(node: ir.Node, known: Known) -> Sizes | None:
    joined: list[Element] = []
    if not any(value in known for value in node.inputs if value is not None):
        return None
    for index, value in enumerate(node.inputs):
        piece = known[value] if value is not None and value in known else written_sizes(node, index)
        if piece is None:
            return None
        joined += piece
    return tuple(joined)


def _keep(node: ir.Node, known: Known) -> Sizes | None:
    value = node.inputs[0]
    return known[value] if value is not None else None


def _keep_one(node: ir.Node, known: Known) -> Sizes | None:
    sizes = _keep(node, known)
    # A list with another axis would no longer be a list.
    return sizes if sizes is not None and len(sizes) == 1 else None


def _gather(node: ir.Node, known: Known) -> Sizes | None:
    indices = _integers(node, 1)
    sizes = _keep(node, known)
    if indices is None or sizes is None:
        return None
    return tuple(sizes[index] for index in indices)


def _slice(node: ir.Node, known: Known) -> Sizes | None:
    starts, ends = _integers(node, 1), _integers(node, 2)
    steps = _integers(node, 4) if len(node.inputs) > 4 else [1]
    sizes = _keep(node, known)
    if sizes is None or not starts or not ends or not steps:
        return None
    return sizes[slice(starts[0], ends[0], steps[0])]


def _integers(node: ir.Node, index: int) -> Sequence[int] | None:
    value = node.inputs[index]
    if value is None or value.const_value is None:
        return None
    integers: list[int] = np.asarray(value.const_value.numpy()).reshape(-1).tolist()
    return integers


_TRACED: Mapping[str, Callable[[ir.Node, Known], Sizes | None]] = MappingProxyType(
    {
        "Shape": _shape,
        "Concat": _concat,
        "Gather": _gather,
        "Slice": _slice,
        "Cast": _keep,
        "Identity": _keep,
        "Squeeze": _keep_one,
        "Unsqueeze": _keep_one,
    }
)
