"""The small networks that a probe times: a layer among its like, so that conversions stand where they stand in life.

Where quantizers sit decides what a layer costs (compress.formats.placement): a convolution among 8-bit convolutions
reads and writes integers, and one on its own pays for both conversions. So four layers of a shape stand in a row,
with what networks have between them: a Relu behind a convolution or a Gemm; a bias and no more behind a MatMul, whose
neighbours in a transformer (LayerNorm, Gelu, Softmax) are in float. Where inputs and outputs differ, every second layer
is the mirror image, with as many weights and multiply-adds; the chain begins and ends on the narrow side, as networks
do.

Strides are left out: a layer is timed at its output's size with stride 1, which is as many multiply-adds.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hwprofiles import LayerShape
from search.probing.shapes import SizedLayer

_CHAIN = 4
# Conversions cost nothing beside so much work, and two layers will do; nor beside so many weights, which take long to
# compress and to send.
_HEAVY_MACS = 200_000_000
_HEAVY_WEIGHTS = 500_000
_OPSET = 17
_IR_VERSION = 9


@dataclass(frozen=True, kw_only=True)
class Block:
    """A chain of layers of one shape.

    Attributes:
        layer: The shape.
        width: Channels on the wide side, between a layer and its mirror image; None for the shape's own.
        rank: Of two factors in each layer's place; None for whole layers.
        sparsity: With `2:4` two of every four weights along the inputs are zero.
    """

    layer: SizedLayer
    width: int | None = None
    rank: int | None = None
    sparsity: Literal["2:4"] | None = None

    def onnx_bytes(self) -> bytes:
        """The FP32 network, for any batch of an input `x`; the same block gives the same bytes."""
        return _Writer(self).write()

    def feeds(self, batch_size: int) -> dict[str, NDArray[Any]]:
        """Inputs like activations: half of a normal distribution, as behind a Relu."""
        drawn = np.random.default_rng(1).normal(size=(batch_size, *_input_sizes(self.layer)))
        return {"x": np.abs(drawn).astype(np.float32)}


def chain_length(shape: LayerShape) -> int:
    """How many layers of this shape are timed together."""
    return 2 if shape.macs > _HEAVY_MACS or shape.weight_count > _HEAVY_WEIGHTS else _CHAIN


def sides(shape: LayerShape) -> tuple[int, int]:
    """Input and output channels."""
    if shape.operator == "Conv":
        return shape.weight_shape[1] * shape.groups, shape.weight_shape[0]
    return shape.weight_shape[0], shape.weight_shape[1]


def _input_sizes(layer: SizedLayer) -> tuple[int, ...]:
    narrow = min(sides(layer.shape))
    return (narrow, *layer.positions) if layer.shape.operator == "Conv" else (*layer.positions, narrow)


class _Writer:
    """Writes one block."""

    def __init__(self, block: Block) -> None:
        self._block = block
        self._shape = block.layer.shape
        self._random = np.random.default_rng(0)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def write(self) -> bytes:
        narrow, wide = sorted(sides(self._shape))
        wide = wide if self._block.width is None else self._block.width
        value, length = "x", chain_length(self._shape)
        for index in range(length):
            ends = (narrow, wide) if index % 2 == 0 else (wide, narrow)
            value = self._layer(index, value, *ends, last=index == length - 1)
        sizes = _input_sizes(self._block.layer)
        graph = helper.make_graph(
            self._nodes,
            "block",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *sizes])],
            [helper.make_tensor_value_info(value, TensorProto.FLOAT, ["batch", *sizes])],
            self._weights,
        )
        opsets = [helper.make_opsetid("", _OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="paretune")
        return bytes(model.SerializeToString(deterministic=True))

    def _layer(self, index: int, value: str, inputs: int, outputs: int, *, last: bool) -> str:
        name, rank = f"layer{index}", self._block.rank
        if rank is None:
            value = self._operator(name, value, inputs, outputs, kernel=self._shape.kernel)
        else:
            value = self._operator(f"{name}a", value, inputs, rank, kernel=self._shape.kernel, biased=False)
            value = self._operator(f"{name}b", value, rank, outputs, kernel=(1,) * len(self._shape.kernel))
        if self._shape.operator == "MatMul":
            return value
        clamped = "y" if last else f"{name}.clamped"
        self._nodes.append(helper.make_node("Relu", [value], [clamped], name=f"{name}.relu"))
        return clamped

    def _operator(
        self, name: str, value: str, inputs: int, outputs: int, *, kernel: tuple[int, ...], biased: bool = True
    ) -> str:
        shape = self._shape
        is_conv = shape.operator == "Conv"
        groups = shape.groups if is_conv else 1
        size = (outputs, inputs // groups, *kernel) if is_conv else (inputs, outputs)
        fan_in = np.prod(size) / outputs
        weight = self._random.normal(0, (2 / fan_in) ** 0.5, size).astype(np.float32)
        if self._block.sparsity is not None:
            weight = _two_of_four(weight, axis=1 if is_conv else 0)
        parameters = [self._keep(f"{name}.weight", weight)]
        bias = self._random.normal(0, 0.1, outputs).astype(np.float32)
        if biased and shape.operator != "MatMul":
            parameters.append(self._keep(f"{name}.bias", bias))
        attributes: dict[str, Any] = {}
        if is_conv:
            before, after = [(k - 1) // 2 for k in kernel], [k // 2 for k in kernel]
            attributes = {"group": groups, "kernel_shape": list(kernel), "pads": [*before, *after]}
        out = f"{name}.out"
        self._nodes.append(helper.make_node(shape.operator, [value, *parameters], [out], name=name, **attributes))
        if biased and shape.operator == "MatMul":
            self._nodes.append(
                helper.make_node("Add", [out, self._keep(f"{name}.bias", bias)], [f"{name}.sum"], name=f"{name}.add")
            )
            out = f"{name}.sum"
        return out

    def _keep(self, name: str, array: NDArray[np.float32]) -> str:
        self._weights.append(numpy_helper.from_array(array, name))
        return name


def _two_of_four(weight: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Zeros in the first two of every four inputs."""
    at = np.arange(weight.shape[axis]) % 4 < 2
    sizes = [1] * weight.ndim
    sizes[axis] = -1
    return np.where(at.reshape(sizes), np.float32(0), weight)
