"""Low-rank factorization: one layer becomes two thinner ones.

A layer's weight is read as a matrix M of shape (out, in × kernel). The first factor maps the input to r channels with
the layer's own kernel, the second mixes them pointwise: the channel decomposition of Zhang et al. 2015
(arXiv:1505.06798). Which r directions stay is decided by the layer's answers to real data, not by its weights alone:
cutting every layer of a trained ResNet-14 to a quarter of its break-even rank costs 1 point that way, and nearly
everything with the singular vectors of the weights (Eckart & Young 1936), which serve where there is no data.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.errors import PolicyError
from compress.graph import add_initializer, derived, replace_constant
from compress.layers import Layer

# Finding factors costs the cube of a layer's smaller side: seconds on one core at 2048, a minute at 4096.
FACTORIZED_SIDE_LIMIT = 2048

# Weight of the layer's own Gram matrix beside the covariance of its outputs.
_UNSEEN_SHARE = 1e-3

_SPATIAL_ATTRIBUTES = ("strides", "pads", "dilations", "auto_pad", "kernel_shape")


@dataclass(frozen=True, kw_only=True, eq=False)
class Factors:
    """A layer y = M x + bias as y ≈ second (first x) + mean + second offset, nested over ranks.

    Cutting every array to its first r inner channels gives the approximation of rank r, so one decomposition serves
    all ranks. `mean` and `offset` keep the outputs' mean exact at every rank; they are zero where the operator has no
    place for a bias.

    Attributes:
        first: Shape (K, in × kernel), the direction that matters most first.
        second: Shape (out, K).
        mean: Shape (out,).
        offset: Shape (K,).
    """

    first: NDArray[np.float32]
    second: NDArray[np.float32]
    mean: NDArray[np.float32]
    offset: NDArray[np.float32]

    @property
    def bias(self) -> NDArray[np.float32]:
        """The bias of the second factor, shape (out,)."""
        return self.mean + self.second @ self.offset

    def cut(self, rank: int) -> "Factors":
        """The approximation of that rank."""
        return replace(self, first=self.first[:rank], second=self.second[:, :rank], offset=self.offset[:rank])

    def scaled(self, scale: NDArray[np.float32]) -> "Factors":
        """The same product with the inner channels divided by `scale`, shape (K,)."""
        return replace(
            self,
            first=self.first / scale[:, None],
            second=self.second * scale[None, :],
            offset=self.offset / scale,
        )


def break_even_rank(layer: Layer) -> int:
    """The rank at which two factors cost as many weights and multiply-adds as the layer.

    0 if it is given no factors: grouped convolutions, and layers with both sides beyond `FACTORIZED_SIDE_LIMIT`.
    """
    outputs = layer.output_channels
    inputs = layer.weight_count // outputs
    if layer.groups > 1 or min(outputs, inputs) > FACTORIZED_SIDE_LIMIT:
        return 0
    return outputs * inputs // (outputs + inputs)


def rank_of(layer: Layer, fraction: float, multiple: int) -> int | None:
    """`fraction` of the break-even rank, rounded to `multiple` channels; None where that saves nothing.

    Args:
        layer: The layer to factorize.
        fraction: In (0, 1); 1 leaves the layer whole.
        multiple: Channel multiple that the device's kernels work in.
    """
    limit = break_even_rank(layer)
    rank = max(1, round(fraction * limit / multiple)) * multiple
    return rank if fraction < 1.0 and rank < limit else None


def decompose(layer: Layer, weight: NDArray[np.float32]) -> Factors:
    """Factors that keep most of the weight itself, from the eigenvectors of its smaller Gram matrix."""
    matrix = as_matrix(layer, weight).astype(np.float64)
    count = max(1, break_even_rank(layer))
    if matrix.shape[0] <= matrix.shape[1]:
        left = _leading_eigenvectors(matrix @ matrix.T, count)
        first, second = left.T @ matrix, left
    else:
        right = _leading_eigenvectors(matrix.T @ matrix, count)
        first, second = right.T, matrix @ right
    nothing = np.zeros(len(second))
    return _factors(first, second, mean=nothing, offset=np.zeros(len(first)))


def decompose_responses(
    layer: Layer,
    weight: NDArray[np.float32],
    bias: NDArray[np.float32],
    *,
    mean: NDArray[np.float64],
    covariance: NDArray[np.float64],
) -> Factors:
    """Factors that keep most of what the layer answers to real data: principal components of its outputs.

    Minimizes E‖y − ŷ‖² over all ŷ of the rank (Zhang et al. 2015, equation 3). A little of the weight's own Gram
    matrix is mixed in, so that directions which the calibration data never excites are not dropped blindly.

    Args:
        layer: The layer.
        weight: Its weight, as stored.
        bias: Its bias, shape (out,); zeros where it has none.
        mean: Mean output, shape (out,); zeros to leave the bias alone.
        covariance: Second moment of the outputs around `mean`, shape (out, out).
    """
    matrix = as_matrix(layer, weight).astype(np.float64)
    gram = matrix @ matrix.T
    mixed = covariance + _UNSEEN_SHARE * gram * (np.trace(covariance) / max(np.trace(gram), np.finfo(np.float64).tiny))
    directions = _leading_eigenvectors(mixed, max(1, break_even_rank(layer)))
    return _factors(directions.T @ matrix, directions, mean=mean, offset=directions.T @ (bias - mean))


def _factors(
    first: NDArray[np.float64], second: NDArray[np.float64], *, mean: NDArray[np.float64], offset: NDArray[np.float64]
) -> Factors:
    return Factors(
        first=first.astype(np.float32),
        second=second.astype(np.float32),
        mean=mean.astype(np.float32),
        offset=offset.astype(np.float32),
    )


def _leading_eigenvectors(gram: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    vectors = np.linalg.eigh(gram)[1][:, ::-1][:, :count]
    # Eigenvectors are unique up to sign: fix it, so that the same weights give the same bytes everywhere.
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
    flipped: NDArray[np.float64] = vectors * signs
    return flipped


def as_matrix(layer: Layer, weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """The weight as (out, in × kernel)."""
    if layer.op_type != "Conv" and layer.output_axis == 1:
        return weight.T
    return weight.reshape(layer.output_channels, -1)


def first_weight(layer: Layer, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """The first factor, rows of shape (r, in × kernel), as the weight of an operator like the layer's."""
    if layer.op_type == "Conv":
        return matrix.reshape(len(matrix), *layer.weight_shape[1:])
    return np.ascontiguousarray(matrix if layer.output_axis == 0 else matrix.T)


def second_weight(layer: Layer, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """The second factor, shape (out, r), as the weight of a pointwise operator."""
    if layer.op_type == "Conv":
        return matrix.reshape(*matrix.shape, *([1] * (len(layer.weight_shape) - 2)))
    return np.ascontiguousarray(matrix if layer.output_axis == 0 else matrix.T)


def first_name(node_name: str) -> str:
    """What the operator of the first factor is called; the second keeps the layer's name."""
    return derived(node_name, "first")


def factor_name(layer: Layer, part: str) -> str:
    """What the weight of the `first` or `second` factor is called; layers may share a weight, never a factor."""
    return derived(layer.node_name, f"{part}_weight")


def inner_name(output_name: str) -> str:
    """What the tensor between the factors of the layer that writes `output_name` is called."""
    return derived(output_name, "inner")


class FactorizeLayers(ir.passes.InPlacePass):
    """Replace some layers by the product of two.

    Requires that each layer stands in the graph as `find_layers` found it. Ensures that every other tensor keeps its
    name and shape.

    Args:
        factors: Layer to its factors, already truncated to the wanted rank.
    """

    def __init__(self, factors: Mapping[Layer, Factors]) -> None:
        super().__init__()
        self._factors = factors

    def requires(self, model: ir.Model) -> None:
        """Every layer's operator exists and can be factorized."""
        names = {node.name for node in model.graph}
        for layer in self._factors:
            if layer.node_name not in names:
                raise PolicyError(f"no operator {layer.node_name!r} to factorize in this network")
            if layer.groups > 1:
                raise PolicyError(f"layer {layer.name!r} is a grouped convolution: it has no low-rank factors")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Swap the nodes."""
        nodes = {node.name: node for node in model.graph}
        for layer, factors in self._factors.items():
            _split(model.graph, nodes[layer.node_name], layer, factors)
        return ir.passes.PassResult(model, bool(self._factors))


def _split(graph: ir.Graph, node: ir.Node, layer: Layer, factors: Factors) -> None:
    first = add_initializer(graph, factor_name(layer, "first"), first_weight(layer, factors.first))
    second = add_initializer(graph, factor_name(layer, "second"), second_weight(layer, factors.second))
    attributes = [a for name, a in node.attributes.items() if name in (*_SPATIAL_ATTRIBUTES, "transB")]
    inner = ir.Node("", node.op_type, [node.inputs[0], first], attributes, name=first_name(layer.node_name))
    inner.outputs[0].name = inner_name(node.outputs[0].name or "")
    inner.outputs[0].type = node.outputs[0].type
    graph.insert_before(node, inner)
    node.replace_input_with(0, inner.outputs[0])
    replace_constant(graph, node, 1, second)
    if layer.op_type != "MatMul":
        _swap_bias(graph, node, add_initializer(graph, factor_name(layer, "second_bias"), factors.bias))
    if layer.op_type == "Conv":
        for name in _SPATIAL_ATTRIBUTES:
            node.attributes.pop(name, None)
        node.attributes.add(ir.AttrInt64s("kernel_shape", [1] * (len(layer.weight_shape) - 2)))


def _swap_bias(graph: ir.Graph, node: ir.Node, bias: ir.Value) -> None:
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        replace_constant(graph, node, 2, bias)
        return
    node.resize_inputs(3)
    node.replace_input_with(2, bias)
