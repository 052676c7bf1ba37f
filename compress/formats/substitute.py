"""Putting other operators in the place of a layer: what the passes for dynamic and weight-only formats share."""

from collections.abc import Collection, Sequence

import onnx_ir as ir

from compress.errors import PolicyError
from compress.graph import operand

MATRIX_PRODUCTS = ("Gemm", "MatMul")


def require_operators(graph: ir.Graph, names: Collection[str], op_types: Collection[str], purpose: str) -> None:
    """Raise PolicyError unless every one of `names` is an operator of `op_types` with a float32 constant weight."""
    nodes = {node.name: node for node in graph if node.name in names}
    for name in sorted(names):
        node = nodes.get(name)
        if node is None:
            raise PolicyError(f"no operator {name!r} to {purpose} in this network")
        if node.op_type not in op_types:
            raise PolicyError(
                f"operator {name!r}: expected one of {', '.join(op_types)} to {purpose}, got {node.op_type}"
            )
        tensor = operand(node, 1).const_value
        if tensor is None or tensor.dtype != ir.DataType.FLOAT:
            raise PolicyError(
                f"operator {name!r} has no constant float32 weight to {purpose}; is it compressed already?"
            )


def substitute(graph: ir.Graph, node: ir.Node, chain: Sequence[ir.Node]) -> None:
    """Let `chain` compute what `node` did: its last operator takes over the output, under the same name.

    Constants that nobody reads any more leave the graph.
    """
    constants = [value for value in node.inputs if value is not None and value.const_value is not None]
    ir.convenience.replace_nodes_and_values(graph, node, [node], list(chain), [node.outputs[0]], [chain[-1].outputs[0]])
    drop_unread(graph, constants)


def drop_unread(graph: ir.Graph, constants: Collection[ir.Value]) -> None:
    """Take those of `constants` out of the graph that nobody reads."""
    for value in constants:
        if not value.uses() and not value.is_graph_output() and value.name is not None:
            graph.initializers.pop(value.name, None)


def bias_of(node: ir.Node) -> ir.Value | None:
    """The bias of a Gemm or Conv."""
    return node.inputs[2] if len(node.inputs) > 2 else None
