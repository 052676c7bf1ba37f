"""MatMul with a constant bias behind it becomes a Gemm, as runtimes would make it, while the bias can still be seen.

ONNX Runtime makes the same Gemm on its own; by then an 8-bit MatMul has a float bias, and its Gemm stays in float.
"""

import onnx_ir as ir

from compress.graph import constant, operand


class FuseMatMulBias(ir.passes.InPlacePass):
    """Replace MatMul (rank 2, constant weight) followed by Add of one constant per unit with Gemm.

    Requires inferred shapes. Ensures that the Add's output keeps its name.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fuse wherever the pattern stands in the main graph."""
        modified = False
        for node in tuple(model.graph):
            if node.op_type == "Add" and _fuse(model.graph, node):
                modified = True
        return ir.passes.PassResult(model, modified)


def _fuse(graph: ir.Graph, add: ir.Node) -> bool:
    for product, bias in ((operand(add, 0), operand(add, 1)), (operand(add, 1), operand(add, 0))):
        node = product.producer()
        if node is None or node.op_type != "MatMul" or len(product.uses()) > 1 or product.is_graph_output():
            continue
        if not _is_matrix_product(node) or bias.const_value is None:
            continue
        units = constant(operand(node, 1)).shape[1]
        if constant(bias).shape not in ((units,), (1, units)):
            continue
        flat = bias
        if constant(bias).ndim > 1:
            flat = ir.val(f"{bias.name}/flat", const_value=ir.tensor(constant(bias).reshape(-1)))
            graph.register_initializer(flat)
        gemm = ir.node("Gemm", [*node.inputs, flat], name=node.name)
        output = add.outputs[0]
        gemm.outputs[0].name, gemm.outputs[0].type, gemm.outputs[0].shape = output.name, output.type, output.shape
        graph.insert_before(add, gemm)
        output.replace_all_uses_with(gemm.outputs[0], replace_graph_outputs=True)
        graph.remove([add, node], safe=True)
        return True
    return False


def _is_matrix_product(node: ir.Node) -> bool:
    source, weight = operand(node, 0), operand(node, 1)
    tensor = weight.const_value
    if tensor is None or tensor.dtype != ir.DataType.FLOAT or len(tensor.shape) != 2:
        return False
    return source.shape is not None and len(source.shape) == 2 and source.const_value is None
