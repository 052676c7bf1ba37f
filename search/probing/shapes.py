"""Which layers a probe looks at: those of a network, or a grid of what networks are made of."""

import math
from collections import Counter
from dataclasses import dataclass

from compress.layers import Layer
from compress.network import Network
from hwprofiles import LayerShape


@dataclass(frozen=True, kw_only=True)
class SizedLayer:
    """A layer shape and the size of what it reads and writes.

    Attributes:
        shape: Operator, weight and work.
        positions: For Conv the output's spatial size; for matrix products the rows of one sample, empty for one row.
        count: How often the network has it.
    """

    shape: LayerShape
    positions: tuple[int, ...]
    count: int = 1


def shapes_of(network: Network) -> tuple[SizedLayer, ...]:
    """The network's distinct layers, those that do the most work first; layers of unknown work are left out."""
    nodes = {node.name: node for node in network.model.graph}
    found: Counter[tuple[LayerShape, tuple[int, ...]]] = Counter()
    for layer in network.layers:
        if layer.macs:
            shape = shape_of(layer)
            found[shape, _positions(shape, nodes[layer.node_name].outputs[0].shape)] += 1
    sized = [SizedLayer(shape=shape, positions=positions, count=count) for (shape, positions), count in found.items()]
    return tuple(sorted(sized, key=lambda layer: layer.shape.macs * layer.count, reverse=True))


def shape_of(layer: Layer) -> LayerShape:
    """What a profile knows a layer by; matrices as (inputs, outputs), however they are stored."""
    turned = layer.op_type != "Conv" and layer.output_axis == 0
    return LayerShape.model_validate(
        {
            "operator": layer.op_type,
            "weight_shape": layer.weight_shape[::-1] if turned else layer.weight_shape,
            "groups": layer.groups,
            "macs": layer.macs,
        }
    )


def layer_of(shape: LayerShape) -> Layer:
    """A layer of this shape as `compress` describes it, for its arithmetic."""
    return Layer(
        name=shape.kind,
        node_name=shape.kind,
        op_type=shape.operator,
        weight_name=shape.kind,
        weight_shape=shape.weight_shape,
        output_axis=0 if shape.operator == "Conv" else 1,
        groups=shape.groups,
        macs=shape.macs,
    )


def _positions(shape: LayerShape, output: object) -> tuple[int, ...]:
    """The output's spatial size as inferred, or one of as many positions, as square as can be."""
    total = shape.macs // shape.weight_count
    dims = len(shape.kernel)
    if shape.operator != "Conv":
        return (total,) if total > 1 else ()
    sizes = list(output)[2:] if output is not None else []  # type: ignore[call-overload]
    if len(sizes) == dims and all(isinstance(size, int) for size in sizes) and math.prod(sizes) == total:
        return tuple(sizes)
    if dims != 2:
        return (total, *[1] * (dims - 1))
    height = next(side for side in range(math.isqrt(total), 0, -1) if total % side == 0)
    return height, total // height


def _conv(inputs: int, outputs: int, kernel: int, side: int, groups: int = 1) -> SizedLayer:
    weight = (outputs, inputs // groups, kernel, kernel)
    shape = LayerShape(operator="Conv", weight_shape=weight, groups=groups, macs=math.prod(weight) * side * side)
    return SizedLayer(shape=shape, positions=(side, side))


def _matmul(inputs: int, outputs: int, rows: int) -> SizedLayer:
    shape = LayerShape(operator="MatMul", weight_shape=(inputs, outputs), macs=inputs * outputs * rows)
    return SizedLayer(shape=shape, positions=(rows,))


# One of each kind first, so that a short probe has seen them all; then the same smaller and larger. Sizes are those of
# residual networks and MobileNets at 224 pixels, and of transformers of 256 to 768 features.
BUILT_IN = (
    _conv(64, 64, 3, 28),
    _matmul(384, 384, 32),
    _conv(128, 128, 1, 28),
    _conv(128, 128, 3, 28, groups=128),
    _conv(256, 256, 3, 14),
    _matmul(768, 3072, 16),
    _conv(32, 192, 1, 28),
    _conv(16, 16, 3, 56),
    _conv(512, 512, 1, 7),
    _matmul(256, 256, 1),
    _conv(512, 512, 3, 7, groups=512),
)
QUICK = (_conv(16, 16, 3, 8), _matmul(64, 64, 4))
