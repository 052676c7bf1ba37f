"""Networks whose channels are tied in every way that pruning must see through."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import onnx
import torch
from onnx import helper
from torch import nn

from tests.compress.zoo.case import Case, GraphBuilder, TorchCase, images, vectors


def grouped_between() -> Case:
    """A ResNeXt bottleneck: a grouped convolution between two pointwise ones, added to what it read."""
    g = GraphBuilder(seed=70)
    x = g.node("Relu", g.conv("image", 3, 8))
    y = g.node("Relu", g.conv(x, 8, 16, kernel=1))
    y = g.node("Relu", g.conv(y, 16, 16, group=4))
    x = g.node("Relu", g.node("Add", g.conv(y, 16, 8, kernel=1), x))
    g.conv(x, 8, 4, kernel=1, to="map")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"map": ["batch", 4, 8, 8]})
    return Case(proto=proto, example={"image": images()}, layers=5)


def depthwise_multiplied() -> Case:
    """A depthwise convolution that makes two channels of each."""
    g = GraphBuilder(seed=71)
    x = g.node("Relu", g.conv("image", 3, 6))
    x = g.node("Relu", g.conv(x, 6, 12, group=6))
    g.conv(x, 12, 4, kernel=1, to="map")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"map": ["batch", 4, 8, 8]})
    return Case(proto=proto, example={"image": images()}, layers=3)


def shuffled() -> Case:
    """A ShuffleNet unit: halves of the channels go different ways, are joined and shuffled."""
    g = GraphBuilder(seed=72)
    x = g.node("Relu", g.conv("image", 3, 8))
    g.node("Split", x, g.constant("halves", [4, 4], np.int64), outputs=2, axis=1, to="half")
    y = g.node("Relu", g.conv("half_1", 4, 4, group=4))
    x = g.node("Concat", "half", y, axis=1)
    x = g.node("Reshape", x, g.constant("apart", [0, 2, 4, 8, 8], np.int64))
    x = g.node("Reshape", g.node("Transpose", x, perm=[0, 2, 1, 3, 4]), g.constant("joined", [0, 8, 8, 8], np.int64))
    g.conv(x, 8, 4, kernel=1, to="map")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"map": ["batch", 4, 8, 8]})
    return Case(proto=proto, example={"image": images()}, layers=3)


def group_normed() -> Case:
    """GroupNorm as exporters write it: statistics over groups of channels, then a factor per channel."""
    g = GraphBuilder(seed=73)
    x = g.node("Reshape", g.conv("image", 3, 8), g.constant("apart", [0, 4, -1], np.int64))
    x = g.node("InstanceNormalization", x, g.constant("ones", np.ones(4)), g.constant("zeros", np.zeros(4)))
    x = g.node("Reshape", x, g.constant("joined", [0, 8, 8, 8], np.int64))
    x = g.node("Mul", x, g.constant("scale", g.random.uniform(0.5, 1.5, (8, 1, 1))))
    x = g.node("Add", g.constant("shift", g.random.normal(0, 1, (8, 1, 1))), x)
    g.conv(g.node("Relu", x), 8, 4, kernel=1, to="map")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"map": ["batch", 4, 8, 8]})
    return Case(proto=proto, example={"image": images()}, layers=2)


def sliced_from_the_end() -> Case:
    """Slices whose bounds count from the end, a Split without sizes, a padded and a repeated tensor."""
    g = GraphBuilder(seed=74)
    x = g.node("Relu", g.conv("image", 3, 8))
    axis = g.constant("axis", [1], np.int64)
    last = g.node("Slice", x, g.constant("from", [-4], np.int64), g.constant("until", [2**62], np.int64), axis)
    rest = g.node("Slice", x, g.constant("zero", [0], np.int64), g.constant("minus", [-4], np.int64), axis)
    g.node("Split", g.conv(last, 4, 8), outputs=2, axis=1, to="part")
    x = g.node("Concat", g.node("Mul", "part", "part_1"), rest, axis=1)
    x = g.node("Pad", x, g.constant("pads", [0, 0, 1, 1, 0, 0, 1, 1], np.int64))
    x = g.node("Tile", x, g.constant("twice", [1, 1, 2, 1], np.int64))
    g.conv(x, 8, 4, kernel=1, to="map")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"map": ["batch", 4, 20, 10]})
    return Case(proto=proto, example={"image": images()}, layers=3)


def sizes_at_run_time() -> Case:
    """Two axes of unknown length: heads are split by a target made of the input's own sizes and written numbers."""
    g = GraphBuilder(seed=75)
    rows = g.node("Shape", "tokens", start=0, end=2)
    apart = g.node("Concat", rows, g.constant("heads", [4, 3], np.int64), axis=0)
    joined = g.node("Concat", rows, g.constant("width", [12], np.int64), axis=0)
    q, k, v = (
        g.node("Transpose", g.node("Reshape", _linear(g, "tokens", n, 12, 12), apart), perm=[0, 2, 1, 3]) for n in "qkv"
    )
    scores = g.node("Softmax", g.node("MatMul", q, g.node("Transpose", k, perm=[0, 1, 3, 2])))
    x = g.node("Transpose", g.node("MatMul", scores, v), perm=[0, 2, 1, 3])
    x = _linear(g, g.node("Reshape", x, joined), "o", 12, 12)
    g.node("Add", x, "tokens", to="y")
    proto = g.build({"tokens": ["batch", "length", 12]}, {"y": ["batch", "length", 12]})
    return Case(proto=proto, example={"tokens": vectors(3, 5, 12)}, layers=4)


def _linear(g: GraphBuilder, source: str, name: str, inputs: int, outputs: int) -> str:
    product = g.node("MatMul", source, g.weight(f"{name}.weight", inputs, outputs))
    return g.node("Add", product, g.bias(f"{name}.bias", outputs))


def counted_channels() -> Case:
    """The number of channels is computed with, together with one that only the input decides."""
    g = GraphBuilder(seed=76)
    x = g.node("Relu", g.conv("image", 3, 8))
    g.nodes.append(_to_float(g.node("Shape", x, start=0, end=2)))
    x = g.conv(g.node("Div", x, g.node("ReduceMax", "sizes", keepdims=0)), 8, 8)
    g.conv(g.node("Relu", x), 8, 4, kernel=1, to="map")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"map": ["batch", 4, 8, 8]})
    return Case(proto=proto, example={"image": images()}, layers=3)


def _to_float(source: str) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], ["sizes"], name="sizes", to=onnx.TensorProto.FLOAT)


def single_channel_gate() -> Case:
    """Spatial attention: one channel scales all others, and a gate of a single unit cannot get smaller."""
    g = GraphBuilder(seed=77)
    x = g.node("Relu", g.conv("image", 3, 8))
    x = g.node("Mul", x, g.node("Sigmoid", g.conv(x, 8, 1)))
    g.conv(x, 8, 4, kernel=1, to="map")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"map": ["batch", 4, 8, 8]})
    return Case(proto=proto, example={"image": images()}, layers=3)


def opposite_branches() -> Case:
    """Two branches that are added to each other: one of them may vanish, not both."""
    g = GraphBuilder(seed=78)
    x = g.node("Relu", g.conv("image", 3, 8))
    a, b = (g.conv(g.node("Relu", g.conv(x, 8, 6)), 6, 8) for _ in range(2))
    g.conv(g.node("Relu", g.node("Add", a, b)), 8, 4, kernel=1, to="map")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"map": ["batch", 4, 8, 8]})
    return Case(proto=proto, example={"image": images()}, layers=6)


class _Attention(nn.Module):
    def __init__(self, *, fused: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(12), nn.LayerNorm(12)
        self.qkv = nn.Linear(12, 36) if fused else nn.ModuleList(nn.Linear(12, 12) for _ in range(3))
        self.project = nn.Linear(12, 12)
        self.up, self.down = nn.Linear(12, 24), nn.Linear(24, 12)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.norm1(tokens)
        if isinstance(self.qkv, nn.Linear):
            q, k, v = self.qkv(x).unflatten(-1, (3, 4, 3)).permute(2, 0, 3, 1, 4).unbind(0)
        else:
            q, k, v = (part(x).unflatten(-1, (4, 3)).transpose(1, 2) for part in self.qkv)
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        x = tokens + self.project(y.transpose(1, 2).flatten(2))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))


def separate_heads_net() -> TorchCase:
    return _attention(fused=False)


def fused_heads_net() -> TorchCase:
    return _attention(fused=True)


def _attention(*, fused: bool) -> TorchCase:
    torch.manual_seed(0)
    layers = 4 if fused else 6
    return TorchCase(module=_Attention(fused=fused).eval(), example={"tokens": vectors(4, 6, 12)}, layers=layers)


CHANNEL_ZOO: Mapping[str, Callable[[], Case | TorchCase]] = MappingProxyType(
    {
        maker.__name__: maker
        for maker in (
            grouped_between,
            depthwise_multiplied,
            shuffled,
            group_normed,
            sliced_from_the_end,
            sizes_at_run_time,
            counted_channels,
            single_channel_gate,
            opposite_branches,
            separate_heads_net,
            fused_heads_net,
        )
    }
)
