"""From a PyTorch module to ONNX, once per run."""

import ast
import contextlib
import inspect
import io
import logging
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.errors import NetworkError

if TYPE_CHECKING:
    import torch

_EXPORT_OPSET = 20
_LAYERS = ("Conv", "Gemm", "MatMul")
_SCOPES = "pkg.torch.onnx.name_scopes"


def export_module(module: "torch.nn.Module", example: Mapping[str, NDArray[Any]]) -> ir.Model:
    """Export `module` with torch's dynamo-based exporter, the batch axis left dynamic.

    Args:
        module: A module in eval mode whose `forward` takes the inputs by the names in `example`.
        example: One batch by input name, first axis the batch. Its other axes become fixed.

    Raises:
        NetworkError: The input names do not fit `forward`, or torch cannot export the module.
    """
    import torch

    if module.training:
        raise NetworkError("model() returned a module in training mode; call .eval() on it first")
    _check_names(module, example)
    # Two samples: torch specializes a dynamic axis whose example has length 1.
    inputs = {name: torch.from_numpy(_two_samples(array)) for name, array in example.items()}
    batch = torch.export.Dim("batch")
    try:
        with _quiet_exporter():
            program = torch.onnx.export(
                module,
                kwargs=inputs,
                dynamo=True,
                dynamic_shapes={name: {0: batch} for name in inputs},
                opset_version=_EXPORT_OPSET,
                verbose=False,
            )
    except Exception as error:  # torch raises many kinds here; all mean the same to the user
        first_line = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise NetworkError(
            f"torch could not export the module to ONNX: {first_line.strip()}; "
            "make forward() exportable (torch.export) or pass an ONNX file"
        ) from error
    if program is None:
        raise NetworkError("torch.onnx.export returned nothing; pass an ONNX file instead")
    model: ir.Model = program.model
    _name_layers(model)
    return model


def _name_layers(model: ir.Model) -> None:
    """Call operators with weights what their module is called.

    The exporter numbers them, and a transposed weight loses the parameter's name.
    """
    taken = {node.name for node in model.graph}
    for node in model.graph:
        scopes = ast.literal_eval(node.metadata_props.get(_SCOPES, "[]"))
        if node.op_type not in _LAYERS or len(scopes) < 2 or not scopes[-1].startswith(("linear", "conv")):
            continue
        name = scopes[-2]
        if name and name not in taken:
            taken.add(name)
            node.name = name


def _check_names(module: "torch.nn.Module", example: Mapping[str, Any]) -> None:
    parameters = inspect.signature(module.forward).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
        return
    unknown = sorted(set(example) - set(parameters))
    required = {name for name, p in parameters.items() if p.default is p.empty and p.kind is not p.VAR_POSITIONAL}
    missing = sorted(required - set(example))
    if unknown or missing:
        raise NetworkError(
            f"calibration() gives the inputs {sorted(example)} but forward() takes {list(parameters)}; "
            "name the inputs as forward() does"
        )


def _two_samples(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(np.concatenate([array, array])[:2] if len(array) < 2 else array[:2])


@contextlib.contextmanager
def _quiet_exporter() -> Any:
    """Keep the exporter's own progress lines and deprecation warnings out of the user's terminal."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
