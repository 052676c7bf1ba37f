"""Weights of 8 or 4 bits in blocks along the inputs, multiplied with float activations (`MatMulNBits`).

Every row of a weight is cut into blocks of neighbouring inputs, each with a scale and, at 4 bits, a zero point of its
own: the format of GPTQ (Frantar et al. 2022, arXiv:2210.17323) and of ONNX Runtime's operator in `com.microsoft`.

The operator's *accuracy level* says what the kernel may do with the activations, which come and go as floats. Level 1
multiplies in float32, which is what a policy with float activations means and what we write unless told otherwise. On a
processor that saves bytes and no time: 8-bit weights are turned into floats at every inference (a twentieth of FP32's
speed at one row of 384 inputs, a third at 32 rows), 4-bit ones run at 0.8 to 1.0 of it. Level 4 lets the kernel round
each block of activations to 8 bits with a scale of the moment, at an error of the size of 8-bit weights' own: 1.8 times
FP32's speed at one row, 1.1 at 32, and 0.8 where the matrix has only 128 inputs; blocks of 128 instead of 32 gain
another quarter. A profile has to ask for that by name, and reports show it in the kernel's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.errors import PolicyError
from compress.formats.substitute import MATRIX_PRODUCTS, bias_of, require_operators, substitute
from compress.graph import add_initializer, constant, derived, operand, output_axis

DOMAIN = "com.microsoft"
AccuracyLevel = Literal[1, 4]

_SMALLEST_SCALE = 1e-18
# A block's range may be cut by so much if that lowers its squared error.
_SHRINK_FACTORS = np.linspace(1.0, 0.7, 13)


@dataclass(frozen=True, kw_only=True, eq=False)
class BlockWeight:
    """A finished weight: (integers − zero_point) × scale, block by block.

    Attributes:
        integers: Shape (R, K): a row per output channel, whatever the stored order; in [0, 2^bits).
        scale: Shape (R, blocks), blocks = ⌈K / block⌉; the last block may be shorter.
        zero_point: Shape (R, blocks), integers in [0, 2^bits).
        bits: 4 or 8.
        block: Inputs per block, a power of two from 16.
    """

    integers: NDArray[np.uint8]
    scale: NDArray[np.float32]
    zero_point: NDArray[np.uint8]
    bits: int
    block: int

    def __post_init__(self) -> None:
        _check_format(self.bits, self.block)
        rows, inputs = self.integers.shape
        wanted = (rows, -(-inputs // self.block))
        for name in ("scale", "zero_point"):
            if getattr(self, name).shape != wanted:
                raise ValueError(f"{name} must have shape {wanted}, got {getattr(self, name).shape}")
        for name in ("integers", "zero_point"):
            array = getattr(self, name)
            if array.dtype != np.uint8 or (array.size and int(array.max()) >> self.bits):
                raise ValueError(f"{name} must be uint8 below {1 << self.bits}, got {array.dtype} up to {array.max()}")
        if self.scale.dtype != np.float32 or not (np.isfinite(self.scale) & (self.scale > 0)).all():
            raise ValueError("scale must be float32, finite and positive")

    @classmethod
    def from_rows(
        cls,
        integers: NDArray[np.integer],
        scale: NDArray[np.float32],
        zero_point: NDArray[np.integer],
        *,
        bits: int,
        block: int,
    ) -> "BlockWeight":
        """From the solvers' form: integers, and `block_parameters`' scale and zero point, all of shape (1, R, K)."""
        return cls(
            integers=integers[0].astype(np.uint8),
            scale=np.ascontiguousarray(scale[0, :, ::block], np.float32),
            zero_point=zero_point[0, :, ::block].astype(np.uint8),
            bits=bits,
            block=block,
        )

    def dequantized(self) -> NDArray[np.float32]:
        """What the integers stand for, shape (R, K)."""
        inputs = self.integers.shape[1]
        scale = np.repeat(self.scale, self.block, axis=1)[:, :inputs]
        zero_point = np.repeat(self.zero_point, self.block, axis=1)[:, :inputs]
        return (self.integers.astype(np.float32) - zero_point.astype(np.float32)) * scale


def block_parameters(
    rows: NDArray[np.floating], bits: int, block: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Scale and zero point for each weight, the same within a block of a row: the grid that rounding then works on.

    The grid's integers are 0 to 2^bits − 1. At 8 bits it is symmetric about 128, which the operator need not be told.
    At 4 bits it is asymmetric, and cut where that lowers the squared error of rounding to nearest.

    Args:
        rows: A matrix's weight in the solvers' form, shape (1, R, K).
        bits: 4 or 8.
        block: Inputs per block, a power of two from 16.

    Returns:
        Both of shape (1, R, K).
    """
    _check_format(bits, block)
    if rows.ndim != 3 or rows.shape[0] != 1:
        raise ValueError(f"rows must have shape (1, R, K), got {rows.shape}")
    inputs = rows.shape[2]
    blocks = _in_blocks(rows[0].astype(np.float64), block, fill=0.0)
    scale, zero_point = _symmetric(blocks) if bits == 8 else _asymmetric(blocks, (1 << bits) - 1)
    return (
        np.repeat(scale.astype(np.float32), block, axis=1)[None, :, :inputs],
        np.repeat(zero_point.astype(np.uint8), block, axis=1)[None, :, :inputs],
    )


def _symmetric(blocks: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    scale = np.maximum(np.abs(blocks).max(axis=2) / 127, _SMALLEST_SCALE)
    return scale, np.full(scale.shape, 128.0)


def _asymmetric(blocks: NDArray[np.float64], highest: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low, high = np.minimum(blocks.min(axis=2), 0.0), np.maximum(blocks.max(axis=2), 0.0)
    best: tuple[NDArray[np.float64], ...] | None = None
    for factor in _SHRINK_FACTORS:
        scale = np.maximum((high - low) * factor / highest, _SMALLEST_SCALE)
        zero_point = np.clip(np.rint(-low * factor / scale), 0, highest)
        integers = np.clip(np.rint(blocks / scale[..., None]) + zero_point[..., None], 0, highest)
        error = np.square((integers - zero_point[..., None]) * scale[..., None] - blocks).sum(axis=2)
        if best is None:
            best = scale, zero_point, error
        else:
            better = error < best[2]
            best = tuple(np.where(better, *pair) for pair in zip((scale, zero_point, error), best, strict=True))
    assert best is not None  # noqa: S101  # there are factors
    return best[0], best[1]


class WeightOnlyLayers(ir.passes.InPlacePass):
    """Give some matrix products weights of few bits and leave their activations in float.

    Ensures that the graph's inputs and outputs keep their names, types and shapes, and imports `com.microsoft`.

    Args:
        weights: Name of a Gemm or MatMul to its weight.
        accuracy_level: 1 computes in float32; 4 lets the kernel round blocks of activations to 8 bits.
    """

    def __init__(self, weights: Mapping[str, BlockWeight], *, accuracy_level: AccuracyLevel = 1) -> None:
        super().__init__()
        if accuracy_level not in (1, 4):
            raise ValueError(f"accuracy_level must be 1 (float32) or 4 (8-bit activations), got {accuracy_level!r}")
        self._weights = weights
        self._accuracy_level = accuracy_level

    def requires(self, model: ir.Model) -> None:
        """Every operator named is a matrix product with a float weight, of the shape given."""
        require_operators(model.graph, self._weights.keys(), MATRIX_PRODUCTS, "make weight-only")
        for node in model.graph:
            if node.name in self._weights:
                shape, given = constant(operand(node, 1)).shape, self._weights[node.name or ""].integers.shape
                rows = shape if output_axis(node) == 0 else shape[::-1]
                if rows != given:
                    raise PolicyError(f"operator {node.name!r}: the weight has rows of shape {rows}, got {given}")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Replace each layer with one MatMulNBits."""
        nodes = [node for node in model.graph if node.name in self._weights]
        for node in nodes:
            self._replace(model.graph, node, self._weights[node.name or ""])
        if nodes:
            model.graph.opset_imports.setdefault(DOMAIN, 1)
        return ir.passes.PassResult(model, bool(nodes))

    def _replace(self, graph: ir.Graph, node: ir.Node, weight: BlockWeight) -> None:
        name = node.name or ""
        blobs, zero_points = pack(weight)
        rows, inputs = weight.integers.shape
        product = ir.node(
            "MatMulNBits",
            [
                operand(node, 0),
                add_initializer(graph, block_weight_name(name), blobs),
                add_initializer(graph, derived(name, "weight_scale"), weight.scale),
                None
                if zero_points is None
                else add_initializer(graph, derived(name, "weight_zero_point"), zero_points),
                None,
                bias_of(node),
            ],
            attributes={
                "K": inputs,
                "N": rows,
                "bits": weight.bits,
                "block_size": weight.block,
                "accuracy_level": self._accuracy_level,
            },
            domain=DOMAIN,
            name=name,
        )
        substitute(graph, node, [product])


def block_weight_name(node_name: str) -> str:
    """What the packed weight of a weight-only operator is called."""
    return derived(node_name, "weight_blocks")


def pack(weight: BlockWeight) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """The weight in the operator's layout.

    Returns:
        The integers, shape (R, blocks, block × bits / 8), two 4-bit ones to a byte, the earlier in its low half, a last
        block filled up with the zero point; and the zero points, shape (R, bytes), packed likewise, or None where all
        are the operator's default of 2^(bits − 1).
    """
    blocks = _in_blocks(weight.integers, weight.block, fill=0)
    beyond = np.arange(blocks.shape[1] * weight.block).reshape(blocks.shape[1:]) >= weight.integers.shape[1]
    blocks = np.where(beyond, weight.zero_point[..., None], blocks)
    default = 1 << (weight.bits - 1)
    zero_points = None if (weight.zero_point == default).all() else weight.zero_point
    if weight.bits == 8:
        return blocks, zero_points
    return _pairs(blocks, fill=0), None if zero_points is None else _pairs(zero_points, fill=default)


def _pairs(nibbles: NDArray[np.uint8], *, fill: int) -> NDArray[np.uint8]:
    """Neighbours along the last axis, two to a byte."""
    if nibbles.shape[-1] % 2:
        nibbles = np.pad(nibbles, [(0, 0)] * (nibbles.ndim - 1) + [(0, 1)], constant_values=fill)
    return (nibbles[..., ::2] | (nibbles[..., 1::2] << 4)).astype(np.uint8)


def _in_blocks(rows: NDArray[Any], block: int, *, fill: float) -> NDArray[Any]:
    """Rows (R, K) as (R, blocks, block), filled up at the end."""
    missing = -rows.shape[1] % block
    return np.pad(rows, ((0, 0), (0, missing)), constant_values=fill).reshape(len(rows), -1, block)


def _check_format(bits: int, block: int) -> None:
    if bits not in (4, 8):
        raise ValueError(f"bits must be 4 or 8, got {bits!r}")
    if block < 16 or block & (block - 1):
        raise ValueError(f"block must be a power of two from 16, got {block!r}")
