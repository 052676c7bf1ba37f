"""Graphs whose wiring is unusual, and numbers at the edge."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.compress.zoo.case import Case, GraphBuilder, images, vectors


def inner_outputs() -> Case:
    """Convolutions whose outputs leave the graph: raw, behind a Relu, and read on as well."""
    g = GraphBuilder(seed=40)
    raw = g.conv("image", 3, 8, to="raw")
    x = g.node("Relu", raw, to="rectified")
    x = g.conv(x, 8, 8)
    x = g.node("Relu", x, to="second")
    g.conv(x, 8, 4, kernel=1, to="map")
    shape = ["batch", 8, 8, 8]
    proto = g.build(
        {"image": ["batch", 3, 8, 8]}, {"map": ["batch", 4, 8, 8], "raw": shape, "rectified": shape, "second": shape}
    )
    return Case(proto=proto, example={"image": images()}, layers=3)


def forked() -> Case:
    """Convolution outputs read by Relu and by others; an input read by two layers; a tensor added to itself."""
    g = GraphBuilder(seed=41)
    a, b = g.conv("image", 3, 8), g.conv("image", 3, 8, kernel=1)
    x = g.node("Add", g.node("Relu", a), a)
    x = g.node("Add", x, b)
    x = g.node("Add", x, x)
    c = g.conv(x, 8, 8)
    x = g.node("Add", g.node("Relu", c), g.node("Sigmoid", c))
    d = g.conv(x, 8, 8)
    g.conv(g.node("Add", d, d), 8, 4, to="map")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"map": ["batch", 4, 8, 8]})
    return Case(proto=proto, example={"image": images()}, layers=5)


def two_inputs_two_outputs() -> Case:
    g = GraphBuilder(seed=42)
    x = g.node("Flatten", g.node("Relu", g.conv("image", 3, 4)))
    x = g.node("Concat", x, "extra", axis=1)
    x = g.node("Relu", g.node("Gemm", x, g.weight("a.weight", 260, 16), g.bias("a.bias", 16)))
    g.node("Gemm", x, g.weight("b.weight", 16, 5), g.bias("b.bias", 5), to="scores")
    g.node("Gemm", x, g.weight("c.weight", 16, 2), to="box")
    proto = g.build({"image": ["batch", 3, 8, 8], "extra": ["batch", 4]}, {"scores": ["batch", 5], "box": ["batch", 2]})
    return Case(proto=proto, example={"image": images(), "extra": vectors(4, 4)}, layers=4)


def input_is_output() -> Case:
    g = GraphBuilder(seed=43)
    g.conv("image", 3, 4, to="map")
    shape = ["batch", 3, 8, 8]
    proto = g.build({"image": shape}, {"image": shape, "map": ["batch", 4, 8, 8]})
    return Case(proto=proto, example={"image": images()}, layers=1)


def transposed_convolution() -> Case:
    g = GraphBuilder(seed=44)
    x = g.node("Relu", g.conv("image", 3, 8, strides=[2, 2]))
    x = g.node("ConvTranspose", x, g.weight("up.weight", 8, 8, 2, 2), g.bias("up.bias", 8), strides=[2, 2])
    g.conv(g.node("Relu", x), 8, 3, to="map")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"map": ["batch", 3, 8, 8]})
    return Case(proto=proto, example={"image": images()}, layers=2, skipped={"ConvTranspose": "not supported"})


def recurrent() -> Case:
    g = GraphBuilder(seed=45)
    g.weight("w", 1, 32, 6)
    g.weight("r", 1, 32, 8)
    x = g.node("Transpose", "sequence", perm=[1, 0, 2])
    x = g.node("LSTM", x, "w", "r", hidden_size=8, outputs=2)
    x = g.node("Squeeze", "lstm_1_1", g.constant("axis", [0], np.int64))
    g.node("Gemm", x, g.weight("head.weight", 8, 3), g.bias("head.bias", 3), to="y")
    proto = g.build({"sequence": ["batch", 5, 6]}, {"y": ["batch", 3]})
    return Case(proto=proto, example={"sequence": vectors(4, 5, 6)}, layers=1, skipped={"LSTM": "not supported"})


def branching() -> Case:
    """An If whose branches hold layers of their own and read the outer graph."""
    g = GraphBuilder(seed=46)
    x = g.node("Relu", g.conv("image", 3, 8), to="features")
    mean = g.node("ReduceMean", x, keepdims=0)
    branches = {}
    for name in ("then", "else"):
        weight = numpy_helper.from_array(g.random.normal(0, 0.2, (4, 8, 1, 1)).astype(np.float32), f"{name}.weight")
        node = helper.make_node("Conv", ["features", f"{name}.weight"], [f"{name}_map"], name=f"{name}_conv")
        out = helper.make_tensor_value_info(f"{name}_map", onnx.TensorProto.FLOAT, None)
        branches[f"{name}_branch"] = helper.make_graph([node], name, [], [out], initializer=[weight])
    condition = g.node("Greater", mean, g.constant("zero", 0.0))
    chosen = g.node("If", condition, **branches)
    g.conv(chosen, 4, 2, kernel=1, to="map")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"map": ["batch", 2, 8, 8]})
    return Case(proto=proto, example={"image": images()}, layers=2, skipped={"Conv": "control-flow"})


def quantized_already() -> Case:
    """A Q/DQ network with one layer left in float."""
    g = GraphBuilder(seed=47)
    scale, zero = g.constant("scale", 0.02), g.constant("zero", 128, np.uint8)
    weight = g.constant("a.weight", g.random.integers(-127, 128, (8, 3, 3, 3)), np.int8)
    weight_scale = g.constant("weight_scale", 0.002)
    x = g.node("DequantizeLinear", g.node("QuantizeLinear", "image", scale, zero), scale, zero)
    x = g.node("Relu", g.node("Conv", x, g.node("DequantizeLinear", weight, weight_scale)))
    x = g.node("DequantizeLinear", g.node("QuantizeLinear", x, scale, zero), scale, zero)
    g.conv(x, 8, 4, kernel=1, to="map")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"map": ["batch", 4, 6, 6]})
    return Case(proto=proto, example={"image": images()}, layers=1, skipped={"Conv": "quantized already"})


def dead_channels() -> Case:
    """Channels of zero weight with and without bias, a layer of zeros, and an activation that is always zero."""
    g = GraphBuilder(seed=48)
    x = g.node("Relu", g.conv("image", 3, 8))
    weight, bias = g.initializers["conv0.weight"], g.initializers["conv0.bias"]
    weight[:4] = 0
    bias[:2] = 0
    weight[5] *= 1e-12
    bias[5] = 3.0
    x = g.node("Relu", g.conv(x, 8, 8))
    g.initializers["conv2.weight"][:] = 0
    g.initializers["conv2.bias"][:] = -1
    x = g.conv(x, 8, 8)
    g.conv(g.node("Relu", x), 8, 4, kernel=1, to="map")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"map": ["batch", 4, 8, 8]})
    return Case(proto=proto, example={"image": images()}, layers=4)


def gathered() -> Case:
    """Range-keeping operators between layers, Gather on data and by computed indices among them."""
    g = GraphBuilder(seed=49)
    x = g.node("Relu", g.conv("image", 3, 8))
    x = g.node("Gather", x, g.constant("channels", [5, 1, 2, 7], np.int64), axis=1)
    x = g.node("Reshape", x, g.constant("flat", [0, 4, 64], np.int64))
    x = g.node("Transpose", x, perm=[0, 2, 1])
    x = g.node("Relu", g.node("MatMul", x, g.weight("a.weight", 4, 8)))
    best = g.node("ArgMax", g.node("ReduceMean", x, axes=[0, 1], keepdims=0), axis=0, keepdims=1)
    row = g.node("Gather", x, best, axis=2)
    x = g.node("Concat", x, row, axis=2)
    g.node("MatMul", x, g.weight("b.weight", 9, 3), to="y")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"y": ["batch", 64, 3]})
    return Case(proto=proto, example={"image": images()}, layers=3)


def shared_batch_norm() -> Case:
    """A convolution read by a BatchNorm and by something else: the norm must not be folded."""
    g = GraphBuilder(seed=50)
    a = g.conv("image", 3, 8)
    names = [
        g.constant("scale", g.random.uniform(0.5, 1.5, 8)),
        g.bias("shift", 8),
        g.bias("mean", 8),
        g.constant("variance", g.random.uniform(0.5, 1.5, 8)),
    ]
    x = g.node("Add", g.node("Relu", g.node("BatchNormalization", a, *names)), a)
    x = g.node("BatchNormalization", g.conv(x, 8, 8), *names)
    g.conv(g.node("Relu", x), 8, 4, kernel=1, to="map")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"map": ["batch", 4, 8, 8]})
    return Case(proto=proto, example={"image": images()}, layers=3)


def unnamed_and_colliding() -> Case:
    """Operators without names, names with slashes and spaces, and names that our own edits like to use."""
    g = GraphBuilder(seed=51)
    x = g.node("Relu", g.conv("image", 3, 8, to="x"), to="x@quantized")
    x = g.node("Relu", g.conv(x, 8, 8, to="a b/c"), to="x@scale")
    x = g.conv(x, 8, 8, to="a b/c@inner")
    g.conv(x, 8, 4, kernel=1, to="map")
    for node in g.nodes:
        node.name = "" if node.op_type == "Relu" else node.name.replace("_2", "_0@first")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"map": ["batch", 4, 8, 8]})
    return Case(proto=proto, example={"image": images()}, layers=4)


def classes_by_arg_max() -> Case:
    """An integer output, and an unused input."""
    g = GraphBuilder(seed=52)
    x = g.node("Flatten", g.node("Relu", g.conv("image", 3, 4)))
    x = g.node("Gemm", x, g.weight("a.weight", 256, 5), g.bias("a.bias", 5))
    g.node("ArgMax", x, axis=1, keepdims=0, to="class")
    proto = g.build(
        {"image": ["batch", 3, 8, 8], "unused": ["batch", 1]},
        {"class": ["batch"]},
        output_type=onnx.TensorProto.INT64,
    )
    return Case(proto=proto, example={"image": images(), "unused": vectors(4, 1)}, layers=2)


def masked() -> Case:
    """A tensor of minus infinities, as attention masks are, beside the layers."""
    g = GraphBuilder(seed=54)
    x = g.node("MatMul", "x", g.weight("a.weight", 8, 8))
    keep = g.node("Greater", x, g.constant("zero", 0.0))
    x = g.node("Softmax", g.node("Where", keep, x, g.constant("never", -np.inf)))
    g.node("MatMul", g.node("Where", g.node("IsNaN", x), "x", x), g.weight("b.weight", 8, 4), to="y")
    proto = g.build({"x": ["batch", 8]}, {"y": ["batch", 4]})
    return Case(proto=proto, example={"x": vectors(16, 8)}, layers=2)


def embedded() -> Case:
    """A looked-up table feeds a layer: its range is not one that a tensor in the graph has."""
    g = GraphBuilder(seed=55)
    g.nodes.append(helper.make_node("Cast", ["token"], ["indices"], name="cast", to=onnx.TensorProto.INT64))
    x = g.node("Gather", g.constant("table", g.random.normal(0, 1, (7, 8))), "indices")
    g.node("Gemm", x, g.weight("a.weight", 8, 4), g.bias("a.bias", 4), to="y")
    proto = g.build({"token": ["batch"]}, {"y": ["batch", 4]})
    return Case(proto=proto, example={"token": np.arange(6, dtype=np.float32)}, layers=1)


def nothing_to_compress() -> Case:
    g = GraphBuilder(seed=53)
    g.node("Softmax", g.node("Relu", "x"), to="y")
    return Case(proto=g.build({"x": ["batch", 4]}, {"y": ["batch", 4]}), example={"x": vectors(4, 4)}, layers=0)
