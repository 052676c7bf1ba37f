"""Convolutional networks of the usual shapes."""

import numpy as np

from tests.compress.zoo.case import Case, GraphBuilder, images, vectors


def plain_convolutions() -> Case:
    g = GraphBuilder()
    x = g.node("Relu", g.conv("image", 3, 8))
    x = g.node("Relu", g.conv(x, 8, 16, strides=[2, 2]))
    x = g.node("Relu", g.conv(x, 16, 16))
    x = g.node("Flatten", g.node("GlobalAveragePool", x))
    g.node("Gemm", x, g.weight("head.weight", 5, 16), g.bias("head.bias", 5), transB=1, to="scores")
    macs = 64 * 8 * 27 + 16 * 16 * 72 + 16 * 16 * 144 + 5 * 16
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"scores": ["batch", 5]})
    return Case(proto=proto, example={"image": images()}, layers=4, macs=macs)


def residual() -> Case:
    """Two blocks, the second with a projection on its shortcut; BatchNorm everywhere."""
    g = GraphBuilder(seed=3)
    x = g.node("Relu", _normed(g, g.conv("image", 3, 8), 8))
    for inputs, outputs, stride in ((8, 8, 1), (8, 16, 2)):
        inner = g.node("Relu", _normed(g, g.conv(x, inputs, outputs, strides=[stride] * 2), outputs))
        inner = _normed(g, g.conv(inner, outputs, outputs), outputs)
        shortcut = x if stride == 1 else _normed(g, g.conv(x, inputs, outputs, kernel=1, strides=[2, 2]), outputs)
        x = g.node("Relu", g.node("Add", inner, shortcut))
    x = g.node("Flatten", g.node("GlobalAveragePool", x))
    g.node("Gemm", x, g.weight("head.weight", 5, 16), g.bias("head.bias", 5), transB=1, to="scores")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"scores": ["batch", 5]})
    return Case(proto=proto, example={"image": images()}, layers=7)


def _normed(g: GraphBuilder, source: str, channels: int) -> str:
    i = len(g.nodes)
    return g.node(
        "BatchNormalization",
        source,
        g.constant(f"bn{i}.scale", g.random.uniform(0.5, 1.5, channels)),
        g.bias(f"bn{i}.shift", channels),
        g.bias(f"bn{i}.mean", channels),
        g.constant(f"bn{i}.variance", g.random.uniform(0.5, 1.5, channels)),
    )


def depthwise_clip() -> Case:
    g = GraphBuilder(seed=2)
    low, high = g.constant("low", 0.0), g.constant("high", 6.0)
    x = g.node("Clip", g.conv("image", 3, 8, strides=[2, 2]), low, high)
    x = g.node("Clip", g.conv(x, 8, 8, group=8), low, high)
    y = g.conv(x, 8, 8, kernel=1)
    x = g.node("Clip", g.conv(y, 8, 24, kernel=1), low, high)
    x = g.node("Clip", g.conv(x, 24, 24, group=24), low, high)
    x = g.node("Add", g.conv(x, 24, 8, kernel=1), y)
    x = g.node("Flatten", g.node("GlobalAveragePool", x))
    g.node("Gemm", x, g.weight("head.weight", 8, 5), g.bias("head.bias", 5), to="scores")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"scores": ["batch", 5]})
    return Case(proto=proto, example={"image": images()}, layers=7)


def open_ended_clip() -> Case:
    """Clips without a minimum, without a maximum, and with a minimum above zero."""
    g = GraphBuilder(seed=4)
    x = g.node("Clip", g.conv("image", 3, 8), "", g.constant("high", 1.0))
    x = g.node("Clip", g.conv(x, 8, 8), g.constant("low", 0.25))
    x = g.node("Clip", g.conv(x, 8, 8))
    g.conv(x, 8, 4, to="map")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"map": ["batch", 4, 8, 8]})
    return Case(proto=proto, example={"image": images()}, layers=4)


def hard_swish() -> Case:
    g = GraphBuilder(seed=5)
    x = g.node("HardSwish", g.conv("image", 3, 8))
    gate = g.node("Relu", g.conv(g.node("GlobalAveragePool", x), 8, 4, kernel=1))
    gate = g.node("HardSigmoid", g.conv(gate, 4, 8, kernel=1))
    x = g.conv(g.node("Mul", x, gate), 8, 8, kernel=1)
    x = g.node("HardSwish", g.conv(x, 8, 8, group=8))
    g.node("Flatten", g.node("GlobalAveragePool", g.conv(x, 8, 5)), to="scores")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"scores": ["batch", 5]})
    return Case(proto=proto, example={"image": images()}, layers=6)


def concatenated() -> Case:
    """Dense connections with BatchNorm and Relu before each convolution: nothing to fold them into."""
    g = GraphBuilder(seed=6)
    features = g.conv("image", 3, 8)
    for channels in (8, 12, 16):
        x = g.node("Relu", _normed(g, features, channels))
        features = g.node("Concat", features, g.conv(x, channels, 4), axis=1)
    x = g.node("AveragePool", features, kernel_shape=[2, 2], strides=[2, 2])
    x = g.node("Relu", g.conv(x, 20, 8))
    x = g.node("Flatten", x)
    g.node("Gemm", x, g.weight("head.weight", 128, 5), to="scores")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"scores": ["batch", 5]})
    return Case(proto=proto, example={"image": images()}, layers=6)


def inception() -> Case:
    """Branches of convolutions that meet in a Concat."""
    g = GraphBuilder(seed=7)
    x = g.node("Relu", g.conv("image", 3, 8))
    branches = [
        g.node("Relu", g.conv(x, 8, 8, kernel=1)),
        g.node("Relu", g.conv(g.node("Relu", g.conv(x, 8, 4, kernel=1)), 4, 8)),
        g.node("Relu", g.conv(g.node("MaxPool", x, kernel_shape=[3, 3], pads=[1] * 4), 8, 8, kernel=1)),
    ]
    x = g.node("Concat", *branches, axis=1)
    g.conv(x, 24, 4, kernel=1, to="map")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"map": ["batch", 4, 8, 8]})
    return Case(proto=proto, example={"image": images()}, layers=6)


def grouped() -> Case:
    g = GraphBuilder(seed=8)
    x = g.node("Relu", g.conv("image", 4, 8, group=2))
    x = g.node("Relu", g.conv(x, 8, 16, group=4, dilations=[2, 2], pads=[2] * 4))
    g.conv(x, 16, 4, kernel=1, to="map")
    proto = g.build({"image": ["batch", 4, 8, 8]}, {"map": ["batch", 4, 8, 8]})
    return Case(proto=proto, example={"image": images(4)}, layers=3, macs=64 * (8 * 18 + 16 * 18 + 4 * 16))


def one_dimensional() -> Case:
    g = GraphBuilder(seed=9)
    x = g.node("Conv", "signal", g.weight("a.weight", 8, 2, 5), g.bias("a.bias", 8), pads=[2, 2])
    x = g.node("MaxPool", g.node("Relu", x), kernel_shape=[2], strides=[2])
    x = g.node("Conv", x, g.weight("b.weight", 16, 8, 3), g.bias("b.bias", 16), auto_pad="SAME_UPPER")
    x = g.node("ReduceMean", g.node("Relu", x), axes=[2], keepdims=0)
    g.node("Gemm", x, g.weight("head.weight", 16, 3), g.bias("head.bias", 3), to="scores")
    proto = g.build({"signal": ["batch", 2, 32]}, {"scores": ["batch", 3]})
    return Case(proto=proto, example={"signal": vectors(4, 2, 32)}, layers=3, macs=32 * 80 + 16 * 16 * 24 + 48)


def three_dimensional() -> Case:
    g = GraphBuilder(seed=10)
    x = g.node("Conv", "volume", g.weight("a.weight", 8, 2, 3, 3, 3), g.bias("a.bias", 8), pads=[1] * 6)
    g.node("Conv", g.node("Relu", x), g.weight("b.weight", 4, 8, 1, 1, 1), to="map")
    proto = g.build({"volume": ["batch", 2, 4, 4, 4]}, {"map": ["batch", 4, 4, 4, 4]})
    return Case(proto=proto, example={"volume": vectors(2, 2, 4, 4, 4)}, layers=2)


def without_bias() -> Case:
    g = GraphBuilder(seed=11)
    x = g.node("Relu", g.node("Conv", "image", g.weight("a.weight", 8, 3, 3, 3)))
    x = g.node("Conv", x, g.weight("b.weight", 8, 8, 3, 3), strides=[2, 2])
    x = g.node("Flatten", g.node("Sigmoid", x))
    g.node("Gemm", x, g.weight("head.weight", 32, 5), to="scores")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"scores": ["batch", 5]})
    return Case(proto=proto, example={"image": images()}, layers=3)


def pooled_into_gemm() -> Case:
    g = GraphBuilder(seed=12)
    x = g.node("Relu", g.conv("image", 3, 8))
    x = g.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = g.node("Flatten", x)
    x = g.node("Relu", g.node("Gemm", x, g.weight("a.weight", 128, 32), g.bias("a.bias", 32)))
    x = g.node("Dropout", x)
    g.node("Gemm", x, g.weight("b.weight", 5, 32), g.bias("b.bias", 5), transB=1, to="scores")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"scores": ["batch", 5]})
    return Case(proto=proto, example={"image": images()}, layers=3, macs=64 * 8 * 27 + 128 * 32 + 160)


def padded_resized() -> Case:
    """Pad, Resize, Slice and PRelu between the convolutions, as in segmentation networks."""
    g = GraphBuilder(seed=13)
    pads = g.constant("pads", [0, 0, 1, 1, 0, 0, 1, 1], np.int64)
    x = g.conv(g.node("Pad", "image", pads), 3, 8, pads=[0] * 4)
    skip = g.node("PRelu", x, g.constant("slope", np.full((8, 1, 1), 0.1)))
    x = g.node("Relu", g.conv(g.node("MaxPool", skip, kernel_shape=[2, 2], strides=[2, 2]), 8, 8))
    x = g.node("Resize", x, "", g.constant("scales", [1, 1, 2, 2]), mode="nearest")
    x = g.node("Relu", g.conv(g.node("Concat", x, skip, axis=1), 16, 8))
    x = g.node("Slice", x, *(g.constant(n, v, np.int64) for n, v in (("from", [0]), ("until", [4]), ("axis", [1]))))
    g.conv(x, 4, 2, kernel=1, to="map")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"map": ["batch", 2, 8, 8]})
    return Case(proto=proto, example={"image": images()}, layers=4)
