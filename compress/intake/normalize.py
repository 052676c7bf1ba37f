"""Any ONNX graph into the one form that every transform may rely on."""

import logging
from pathlib import Path

import onnx_ir as ir

from compress.errors import NetworkError
from compress.graph import RESERVED
from compress.intake.fuse_bias import FuseMatMulBias

MINIMUM_OPSET = 17
# Fold constant expressions of any size: a weight behind a Transpose must end up as an initializer.
_FOLD_LIMIT_ELEMENTS = 1 << 30

logger = logging.getLogger(__name__)


def read_onnx(path: Path) -> ir.Model:
    """Load an ONNX file, external data included.

    Raises:
        NetworkError: The file is missing, not ONNX, or invalid.
    """
    import onnx

    if not path.is_file():
        raise NetworkError(f"no ONNX file at {str(path)!r}; give the path of an existing .onnx file")
    try:
        model = ir.from_proto(onnx.load(path))
    except Exception as error:  # protobuf, onnx and OS errors all mean that this file is no usable network
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise NetworkError(f"{str(path)!r} does not load as ONNX: {first_line}; re-export it") from error
    if not len(model.graph):
        raise NetworkError(f"{str(path)!r} holds no operators; is it an ONNX file?")
    return model


def normalize(model: ir.Model) -> ir.Model:
    """Opset at least 17, weights in initializers, BatchNorm folded, shapes inferred, unique names.

    The result computes what `model` computes; `model` itself is left as it was.

    Raises:
        NetworkError: The graph cannot be converted (the message says at which step).
    """
    try:
        return _normalize(model)
    except (NetworkError, ImportError):
        raise
    except Exception as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise NetworkError(f"the network could not be normalized: {first_line}") from error


def _normalize(model: ir.Model) -> ir.Model:
    import onnxscript.optimizer
    import onnxscript.rewriter
    from onnx_ir.passes import common
    from onnxscript.rewriter.rules import common as rules

    input_names = [value.name for value in model.graph.inputs if value.name not in model.graph.initializers]
    output_names = [value.name for value in model.graph.outputs]
    model = _raise_opset(model)
    tidy = ir.passes.Sequential(
        common.InlinePass(),
        common.RemoveInitializersFromInputsPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.IdentityEliminationPass(),
    )
    model = ir.passes.functionalize(tidy)(model).model
    model = onnxscript.optimizer.optimize(
        model, input_size_limit=_FOLD_LIMIT_ELEMENTS, output_size_limit=_FOLD_LIMIT_ELEMENTS
    )
    fold_batch_norm = [
        rules.fuse_batchnorm_into_conv_rule,
        rules.fuse_batchnorm_into_conv_transpose_rule,
        rules.fuse_batchnorm_into_gemm_rule,
    ]
    model = onnxscript.rewriter.rewrite(model, pattern_rewrite_rules=fold_batch_norm)
    _free_reserved_names(model)
    finish = ir.passes.Sequential(
        common.ShapeInferencePass(),
        FuseMatMulBias(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.RemoveUnusedNodesPass(),
        common.RemoveUnusedFunctionsPass(),  # type: ignore[no-untyped-call]  # onnx-ir leaves its __init__ untyped
        common.RemoveUnusedOpsetsPass(),
        common.ClearMetadataAndDocStringPass(),
        common.NameFixPass(),
        common.TopologicalSortPass(),
        common.ShapeInferencePass(),
    )
    model = finish(model).model
    _restore_interface(model, input_names, output_names)
    # Exporters leave stack traces and module paths in the metadata; none of it belongs in an artifact.
    model.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.producer_name, model.producer_version = "paretune", None
    return model


def _free_reserved_names(model: ir.Model) -> None:
    """Take the character that our own names are made with out of the network's inner names."""
    interface = {*model.graph.inputs, *model.graph.outputs}
    for node in model.graph.all_nodes():
        if node.name is not None:
            node.name = node.name.replace(RESERVED, "_")
        for value in (*node.inputs, *node.outputs):
            if value is not None and value.name is not None and RESERVED in value.name and value not in interface:
                value.name = value.name.replace(RESERVED, "_")


def _restore_interface(model: ir.Model, input_names: list[str | None], output_names: list[str | None]) -> None:
    """Give inputs and outputs their names back: the optimizer renames an input that is an output as well."""
    graph = model.graph
    for index, name in enumerate(output_names):
        node = graph.outputs[index].producer()
        if name in input_names and node is not None and node.op_type == "Identity":
            graph.outputs[index] = graph.inputs[input_names.index(name)]
            graph.remove(node, safe=True)
    for value, name in zip((*graph.inputs, *graph.outputs), (*input_names, *output_names), strict=True):
        if value.name != name:
            value.name = name


def _raise_opset(model: ir.Model) -> ir.Model:
    import onnx

    opset = model.graph.opset_imports.get("", None)
    if opset is None:
        raise NetworkError("the network imports no version of the standard ONNX operator set")
    if opset >= MINIMUM_OPSET:
        return model
    logger.info("raising the opset from %d to %d", opset, MINIMUM_OPSET)
    try:
        converted = onnx.version_converter.convert_version(ir.to_proto(model), MINIMUM_OPSET)
    except Exception as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise NetworkError(
            f"opset {opset} could not be raised to {MINIMUM_OPSET}: {first_line}; "
            f"re-export the network with opset {MINIMUM_OPSET} or newer"
        ) from error
    return ir.from_proto(converted)
