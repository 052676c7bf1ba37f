"""Matrix products in all their spellings, and weights in all the places where exporters leave them."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.compress.zoo.case import Case, GraphBuilder, images, vectors


def gemm_spellings() -> Case:
    g = GraphBuilder(seed=20)
    x = g.node("Relu", g.node("Gemm", "x", g.weight("a.weight", 16, 24), g.bias("a.bias", 24)))
    x = g.node("Relu", g.node("Gemm", x, g.weight("b.weight", 32, 24), g.bias("b.bias", 32), transB=1))
    x = g.node("Relu", g.node("Gemm", x, g.weight("c.weight", 32, 16)))
    x = g.node("Add", g.node("MatMul", x, g.weight("d.weight", 16, 12)), g.bias("d.bias", 12))
    g.node("MatMul", g.node("Tanh", x), g.weight("e.weight", 12, 4), to="y")
    proto = g.build({"x": ["batch", 16]}, {"y": ["batch", 4]})
    macs = 16 * 24 + 32 * 24 + 32 * 16 + 16 * 12 + 48
    return Case(proto=proto, example={"x": vectors(8, 16)}, layers=5, macs=macs)


def matrix_residual() -> Case:
    """Products added to what is no bias: another product, the input, a column; and clamps right behind products."""
    g = GraphBuilder(seed=30)
    a = g.node("MatMul", "x", g.weight("a.weight", 16, 16))
    b = g.node("MatMul", "x", g.weight("b.weight", 16, 16))
    x = g.node("Relu", g.node("Add", g.node("Add", a, b), "x"))
    x = g.node(
        "Clip", g.node("MatMul", x, g.weight("c.weight", 16, 16)), g.constant("low", -1.0), g.constant("high", 1.0)
    )
    x = g.node("Relu", g.node("MatMul", x, g.weight("d.weight", 16, 16)))
    x = g.node(
        "Add", g.constant("row", g.random.normal(0, 1, (1, 16))), g.node("MatMul", x, g.weight("e.weight", 16, 16))
    )
    x = g.node("Add", g.node("MatMul", x, g.weight("f.weight", 16, 4)), g.constant("scalar", [0.5]))
    g.node("Clip", g.node("Gemm", x, g.weight("g.weight", 4, 4), g.bias("g.bias", 4)), "low", "high", to="y")
    proto = g.build({"x": ["batch", 16]}, {"y": ["batch", 4]})
    return Case(proto=proto, example={"x": vectors(8, 16)}, layers=7)


def forked_products() -> Case:
    """A product read by another layer and by an Add: an integer kernel writes integers or floats, never both."""
    g = GraphBuilder(seed=31)
    a = g.node("MatMul", "x", g.weight("a.weight", 16, 16))
    b = g.node("Gemm", a, g.weight("b.weight", 16, 16), g.bias("b.bias", 16))
    c = g.node("MatMul", b, g.weight("c.weight", 16, 16))
    x = g.node("Tanh", g.node("Add", g.node("Add", a, b), c))
    g.node("Gemm", x, g.weight("d.weight", 16, 4), g.bias("d.bias", 4), to="y")
    proto = g.build({"x": ["batch", 16]}, {"y": ["batch", 4]})
    return Case(proto=proto, example={"x": vectors(8, 16)}, layers=4)


def gemm_oddities() -> Case:
    """Scaled, broadcast and transposed products are left alone."""
    g = GraphBuilder(seed=21)
    x = g.node("Gemm", "x", g.weight("a.weight", 16, 24), g.bias("a.bias", 24), alpha=0.5)
    x = g.node("Gemm", x, g.weight("b.weight", 24, 24), g.bias("b.bias", 24), beta=2.0)
    x = g.node("Gemm", x, g.weight("c.weight", 24, 24), g.bias("c.bias", 1))
    x = g.node("MatMul", g.weight("d.weight", 1, 24), g.node("Transpose", x, perm=[1, 0]))
    g.node("Gemm", x, g.weight("e.weight", 1, 3), transA=1, to="y")
    proto = g.build({"x": ["batch", 16]}, {"y": ["batch", 3]})
    skipped = {"Gemm": "", "MatMul": "left operand"}
    return Case(proto=proto, example={"x": vectors(8, 16)}, layers=0, skipped=skipped)


def transposed_weight() -> Case:
    g = GraphBuilder(seed=22)
    weight = g.node("Transpose", g.weight("a.weight", 24, 16), perm=[1, 0])
    x = g.node("Relu", g.node("MatMul", "x", weight))
    kernel = g.node("Transpose", g.weight("b.weight", 3, 3, 24, 8), perm=[3, 2, 0, 1])
    x = g.node("Reshape", x, g.constant("shape", [-1, 24, 3, 3], np.int64))
    g.node("Conv", x, kernel, g.bias("b.bias", 8), to="map")
    proto = g.build({"x": ["batch", 9, 16]}, {"map": ["batch", 8, 1, 1]})
    return Case(proto=proto, example={"x": vectors(4, 9, 16)}, layers=2, macs=9 * 16 * 24 + 8 * 24 * 9)


def old_opset() -> Case:
    """Opset 11: attributes have become inputs since."""
    g = GraphBuilder(opset=11, seed=23)
    x = g.node("Relu", g.conv("image", 3, 8))
    x = g.node("Squeeze", g.node("ReduceMean", x, axes=[2]), axes=[2])
    x = g.node("Flatten", g.node("Unsqueeze", x, axes=[1]))
    g.node("Softmax", g.node("Gemm", x, g.weight("b.weight", 64, 5), g.bias("b.bias", 5)), axis=1, to="y")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"y": ["batch", 5]}, as_inputs=True)
    return Case(proto=proto, example={"image": images()}, layers=2)


def constant_nodes() -> Case:
    g = GraphBuilder(seed=24)
    for name, shape in (("a", (8, 3, 3, 3)), ("b", (8, 5))):
        g.weight(name, *shape)
        tensor = numpy_helper.from_array(g.initializers.pop(name), name)
        g.nodes.append(helper.make_node("Constant", [], [name], name=f"{name}_constant", value=tensor))
    x = g.node("Flatten", g.node("GlobalAveragePool", g.node("Relu", g.node("Conv", "image", "a"))))
    g.node("MatMul", x, "b", to="y")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"y": ["batch", 5]})
    return Case(proto=proto, example={"image": images()}, layers=2)


def through_identity() -> Case:
    g = GraphBuilder(seed=25)
    weight = g.node("Identity", g.node("Identity", g.weight("a.weight", 8, 3, 3, 3)))
    x = g.node("Relu", g.node("Conv", "image", weight, g.node("Identity", g.bias("a.bias", 8))))
    x = g.node("Flatten", g.node("Identity", x))
    x = g.node("MatMul", x, g.node("Identity", g.weight("b.weight", 288, 5)))
    g.node("Identity", x, to="y")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"y": ["batch", 5]})
    return Case(proto=proto, example={"image": images()}, layers=2)


def shared_weight() -> Case:
    """The same weight and bias in two layers, and one weight in two spellings."""
    g = GraphBuilder(seed=26)
    g.weight("a.weight", 8, 8, 3, 3)
    g.bias("a.bias", 8)
    x = g.node("Relu", g.conv("image", 3, 8))
    for _ in range(2):
        x = g.node("Relu", g.node("Conv", x, "a.weight", "a.bias", pads=[1] * 4))
    x = g.node("Flatten", g.node("GlobalAveragePool", x))
    g.weight("b.weight", 8, 8)
    x = g.node("Relu", g.node("Gemm", x, "b.weight", "a.bias"))
    g.node("Gemm", x, "b.weight", "a.bias", transB=1, to="y")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"y": ["batch", 8]})
    return Case(proto=proto, example={"image": images()}, layers=5)


def fixed_batch() -> Case:
    g = GraphBuilder(seed=27)
    x = g.node("Relu", g.conv("image", 3, 8))
    x = g.node("Reshape", x, g.constant("shape", [1, 512], np.int64))
    g.node("Gemm", x, g.weight("b.weight", 512, 5), g.bias("b.bias", 5), to="y")
    proto = g.build({"image": [1, 3, 8, 8]}, {"y": [1, 5]})
    return Case(proto=proto, example={"image": images(batch=1)}, layers=2, macs=64 * 8 * 27 + 2560)


def half_precision() -> Case:
    g = GraphBuilder(seed=28)
    half = g.node("Cast", "image", to="half")
    g.nodes[-1].attribute.append(helper.make_attribute("to", onnx.TensorProto.FLOAT16))
    g.weight("a.weight", 8, 3, 3, 3)
    g.initializers["a.weight"] = g.initializers["a.weight"].astype(np.float16)
    single = g.node("Cast", g.node("Relu", g.node("Conv", half, "a.weight")), to="single")
    g.nodes[-1].attribute.append(helper.make_attribute("to", onnx.TensorProto.FLOAT))
    g.conv(single, 8, 4, kernel=1, to="map")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"map": ["batch", 4, 6, 6]})
    return Case(proto=proto, example={"image": images()}, layers=1, skipped={"Conv": "float16"})


def computed_weight() -> Case:
    """A weight that depends on the input cannot be compressed."""
    g = GraphBuilder(seed=29)
    x = g.node("Relu", g.node("Gemm", "x", g.weight("a.weight", 16, 16), g.bias("a.bias", 16)))
    g.node("MatMul", g.node("Transpose", x, perm=[1, 0]), x, to="y")
    proto = g.build({"x": ["batch", 16]}, {"y": [16, 16]})
    return Case(proto=proto, example={"x": vectors(8, 16)}, layers=1, skipped={"MatMul": "run time"})
