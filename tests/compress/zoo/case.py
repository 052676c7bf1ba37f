"""What a network of the zoo is, and how one is written down."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Feeds = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Case:
    """An ONNX network.

    Attributes:
        proto: The graph as a user would bring it.
        example: One batch of inputs by name.
        layers: How many layers must be found.
        skipped: Operator type to a part of the reason for which it must be left alone.
        macs: Multiply-adds per sample of all layers together.
    """

    proto: onnx.ModelProto
    example: Feeds
    layers: int
    skipped: Mapping[str, str] = field(default_factory=dict)
    macs: int | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class TorchCase:
    """A module as a user would bring it."""

    module: Any
    example: Feeds
    layers: int
    macs: int | None = None


class GraphBuilder:
    """Writes an ONNX graph node by node; weights are drawn from one seed."""

    def __init__(self, *, opset: int = 17, seed: int = 0) -> None:
        self.opset = opset
        self.random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, NDArray[Any]] = {}

    def constant(self, name: str, array: Any, dtype: Any = np.float32) -> str:
        """An initializer."""
        self.initializers[name] = np.asarray(array, dtype)
        return name

    def weight(self, name: str, *shape: int) -> str:
        """A random initializer of a size that keeps activations near 1."""
        fan_in = int(np.prod(shape[1:])) if len(shape) > 2 else shape[0]
        return self.constant(name, self.random.normal(0, (2 / max(fan_in, 1)) ** 0.5, shape))

    def bias(self, name: str, size: int) -> str:
        """A random initializer of one value per channel."""
        return self.constant(name, self.random.normal(0, 0.1, size))

    def node(self, op_type: str, *inputs: str, to: str = "", outputs: int = 1, **attributes: Any) -> str:
        """A node; returns the name of what it writes."""
        to = to or f"{op_type.lower()}_{len(self.nodes)}"
        names = [to] + [f"{to}_{i}" for i in range(1, outputs)]
        self.nodes.append(helper.make_node(op_type, inputs, names, name=f"{op_type}_{len(self.nodes)}", **attributes))
        return to

    def conv(self, source: str, inputs: int, outputs: int, *, kernel: int = 3, to: str = "", **attributes: Any) -> str:
        """A 2-D convolution with bias that keeps the spatial size unless told otherwise."""
        index = len(self.nodes)
        group = attributes.get("group", 1)
        attributes.setdefault("pads", [kernel // 2] * 4)
        weight = self.weight(f"conv{index}.weight", outputs, inputs // group, kernel, kernel)
        return self.node("Conv", source, weight, self.bias(f"conv{index}.bias", outputs), to=to, **attributes)

    def build(
        self,
        inputs: Mapping[str, Any],
        outputs: Mapping[str, Any],
        *,
        as_inputs: bool = False,
        output_type: int = onnx.TensorProto.FLOAT,
    ) -> onnx.ModelProto:
        """The finished network.

        Args:
            inputs: Name to shape, float32.
            outputs: Name to shape.
            as_inputs: List the initializers among the inputs as well, as IR version 3 demanded.
            output_type: Element type of the outputs.
        """
        declared = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in inputs.items()]
        tensors = [numpy_helper.from_array(array, name) for name, array in self.initializers.items()]
        if as_inputs:
            declared += [helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in tensors]
        graph = helper.make_graph(
            self.nodes,
            "zoo",
            declared,
            [helper.make_tensor_value_info(n, output_type, s) for n, s in outputs.items()],
            initializer=tensors,
        )
        opsets = [helper.make_opsetid("", self.opset)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=6 if self.opset < 15 else 9)
        onnx.checker.check_model(model, full_check=True)
        return model


def images(channels: int = 3, size: int = 8, batch: int = 4, seed: int = 1) -> NDArray[np.float32]:
    """A batch of random images."""
    return np.random.default_rng(seed).normal(0, 1, (batch, channels, size, size)).astype(np.float32)


def vectors(*shape: int, seed: int = 1) -> NDArray[np.float32]:
    """Random numbers."""
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)
