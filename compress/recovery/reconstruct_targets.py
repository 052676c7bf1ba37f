"""What each operator of a compressed network should answer: which tensor of the original network that is.

Channels that are gone change what a tensor holds, branches that are gone change what it stands for: behind a branch
that has vanished, its input is read where its sum was. So it is the readers that say what a tensor stands for: what
they read in the original network. Where an operator ends a branch, the sum that it is added to is what counts, and what
the rest of that sum really is in the compressed network is not the operator's to answer (He et al. 2017,
arXiv:1707.06168, section 3.3).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.bias import read_bias
from compress.formats.placement import only_reader
from compress.graph import operand
from compress.recovery.float_structure import FloatStructure


@dataclass(frozen=True, kw_only=True)
class Target:
    """What one operator should answer.

    Attributes:
        node_name: The operator, in the compressed network and, but for factors, in the original.
        answer: Tensor of the original network, with all its channels.
        rest: Tensor of the compressed network that is added to what the operator answers; None for nothing.
        kept: The channels of `answer` that are left; None for all.
    """

    node_name: str
    answer: str
    rest: str | None
    kept: NDArray[np.int64] | None


def find_targets(original: ir.Model, structure: FloatStructure) -> list[Target]:
    """The targets of a structure's layers in the order of its graph; of two factors, the second has one.

    Args:
        original: The graph of the original network.
        structure: What a policy leaves of it.
    """
    plans = {structure.operators(plan)[-1]: plan for plan in structure.plans if not plan.is_ended}
    stands_for = _counterparts(original, structure.model)
    producers = {value.name or "": node for node in original.graph for value in node.outputs}
    done: set[str] = set()
    targets: list[Target] = []
    for node in structure.model.graph:
        plan = plans.get(node.name or "")
        if plan is None:
            continue
        value, rest = _summed(_answer(node), done, plans)
        name = _original_name(value, stands_for, producers)
        if name in producers:
            kept = plan.kept_outputs
            targets.append(Target(node_name=node.name or "", answer=name, rest=rest, kept=kept))
        done.add(node.name or "")
    return targets


def _answer(node: ir.Node) -> ir.Value:
    """What a layer's operator answers, bias included."""
    if node.op_type == "MatMul" and read_bias(node) is not None:
        reader = only_reader(node.outputs[0])
        assert reader is not None  # noqa: S101  # it holds the bias
        return reader.outputs[0]
    return node.outputs[0]


def _summed(value: ir.Value, done: Iterable[str], layers: Mapping[str, object]) -> tuple[ir.Value, str | None]:
    """The sum that alone reads `value`, and the name of what else is in it, once that is settled."""
    reader = only_reader(value)
    if reader is None or reader.op_type != "Add" or reader.domain not in ("", "ai.onnx"):
        return value, None
    other = operand(reader, 1 if reader.inputs[0] is value else 0)
    if other.const_value is not None or other is value or (_before(other) & layers.keys()) - set(done):
        return value, None
    if other.shape is None or value.shape is None or other.shape != value.shape:
        return value, None
    return reader.outputs[0], other.name


def _before(value: ir.Value) -> set[str]:
    """Names of the operators that `value` depends on."""
    found: set[str] = set()
    queue = [value]
    while queue:
        node = queue.pop().producer()
        if node is not None and (node.name or "") not in found:
            found.add(node.name or "")
            queue += [source for source in node.inputs if source is not None]
    return found


def _counterparts(original: ir.Model, compressed: ir.Model) -> dict[str, str]:
    """Tensor of the compressed network to that of the original which all its readers read there."""
    nodes = {node.name: node for node in original.graph}
    read: dict[str, set[str]] = {}
    for node in compressed.graph:
        same = nodes.get(node.name)
        if same is None or len(same.inputs) != len(node.inputs):
            continue
        for mine, theirs in zip(node.inputs, same.inputs, strict=True):
            if mine is not None and theirs is not None and theirs.const_value is None:
                read.setdefault(mine.name or "", set()).add(theirs.name or "")
    return {name: found.pop() for name, found in read.items() if len(found) == 1}


def _original_name(value: ir.Value, stands_for: Mapping[str, str], producers: Mapping[str, ir.Node]) -> str:
    """What `value` stands for, seen through a clamp that alone reads it."""
    reader = only_reader(value)
    if reader is not None and reader.op_type == "Relu":
        behind = reader.outputs[0].name or ""
        clamp = producers.get(stands_for.get(behind, behind))
        if clamp is not None and clamp.op_type == "Relu":
            return operand(clamp, 0).name or ""
    name = value.name or ""
    return name if value.is_graph_output() else stands_for.get(name, name)
