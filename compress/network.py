"""The network under compression: one normalized graph and the layers that policies speak of."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx_ir as ir
from numpy.typing import NDArray

from compress.errors import NetworkError
from compress.intake.export import export_module
from compress.intake.normalize import normalize, read_onnx
from compress.layers import Layer, Skipped, find_layers

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True, eq=False)
class Network:
    """A normalized ONNX graph; nobody edits `model` in place, transforms work on clones.

    Attributes:
        model: The graph; nodes and values have unique names, weights are initializers.
        layers: What can be compressed, in topological order.
        skipped: What carries weights but is left alone, with the reason.
        onnx_bytes: The graph serialized: the FP32 baseline.
    """

    model: ir.Model
    layers: tuple[Layer, ...]
    skipped: tuple[Skipped, ...]
    onnx_bytes: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the baseline's bytes, in hexadecimal."""
        return hashlib.sha256(self.onnx_bytes).hexdigest()

    @property
    def parameter_count(self) -> int:
        """Elements in all floating-point initializers."""
        return sum(
            value.const_value.size
            for value in self.model.graph.initializers.values()
            if value.const_value is not None and value.const_value.dtype.is_floating_point()
        )

    def layer(self, name: str) -> Layer:
        """The layer called `name`.

        Raises:
            KeyError: No layer has that name.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)


def load_network(source: "torch.nn.Module | Path | bytes", example: Mapping[str, NDArray[Any]]) -> Network:
    """Export or read a network and normalize it.

    Args:
        source: A module in eval mode, the path of an ONNX file, or the bytes of a normalized network.
        example: One batch of inputs by name; fixes the shapes in which MACs are counted.

    Raises:
        NetworkError: Export, reading or normalizing failed, or the graph's inputs are not the example's.
    """
    if isinstance(source, bytes):
        model = _read_normalized(source)
    elif isinstance(source, Path):
        model = normalize(read_onnx(source))
    else:
        model = normalize(export_module(source, example))
    _check_inputs(model, example)
    layers, skipped = find_layers(model, example)
    onnx_bytes = source if isinstance(source, bytes) else serialize(model)
    return Network(model=model, layers=layers, skipped=skipped, onnx_bytes=onnx_bytes)


def _read_normalized(onnx_bytes: bytes) -> ir.Model:
    import onnx

    complaint = "the bytes are no normalized network; give the path of an .onnx file instead"
    try:
        model = ir.from_proto(onnx.load_model_from_string(onnx_bytes))
    except Exception as error:  # protobuf's and onnx-ir's errors share no base class
        raise NetworkError(complaint) from error
    if not len(model.graph):
        raise NetworkError(complaint)
    return model


def serialize(model: ir.Model) -> bytes:
    """The model's bytes: the same model gives the same bytes in every process."""
    onnx_bytes: bytes = ir.to_proto(model).SerializeToString(deterministic=True)
    return onnx_bytes


def _check_inputs(model: ir.Model, example: Mapping[str, NDArray[Any]]) -> None:
    expected = {value.name: value for value in model.graph.inputs}
    if set(expected) != set(example):
        raise NetworkError(
            f"the network's inputs are {sorted(str(name) for name in expected)} "
            f"but the workload's data has {sorted(example)}; use the same names"
        )
    for name, array in example.items():
        shape = expected[name].shape
        if shape is not None and len(shape) != array.ndim:
            raise NetworkError(
                f"input {name!r}: the network expects {len(shape)} axes {list(shape)}, "
                f"the workload's data has {array.ndim} {list(array.shape)}"
            )
