"""Transformers."""

import numpy as np

from tests.compress.zoo.case import Case, GraphBuilder, vectors


def transformer_block() -> Case:
    """Self-attention with an additive mask, LayerNorm and Gelu; weights as MatMul right operands with Add biases."""
    g = GraphBuilder(seed=60)
    width, heads = 16, 2
    x = g.node("LayerNormalization", "tokens", g.constant("n1.scale", np.ones(width)), g.bias("n1.bias", width))
    split = g.constant("split", [0, 0, heads, width // heads], np.int64)
    q, k, v = (
        g.node("Transpose", g.node("Reshape", _linear(g, x, f"{n}", width, width), split), perm=perm)
        for n, perm in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3]))
    )
    scores = g.node("Mul", g.node("MatMul", q, k), g.constant("temperature", (width // heads) ** -0.5))
    mask = np.triu(np.full((6, 6), -1e4), 1)
    attention = g.node("Softmax", g.node("Add", scores, g.constant("mask", mask)))
    x = g.node("Transpose", g.node("MatMul", attention, v), perm=[0, 2, 1, 3])
    x = _linear(g, g.node("Reshape", x, g.constant("join", [0, 0, width], np.int64)), "o", width, width)
    x = g.node("Add", x, "tokens")
    y = g.node("LayerNormalization", x, g.constant("n2.scale", np.ones(width)), g.bias("n2.bias", width))
    y = _linear(g, y, "up", width, 32)
    half, root = g.constant("half", 0.5), g.constant("root", 2**0.5)
    erf = g.node("Add", g.node("Erf", g.node("Div", y, root)), g.constant("one", 1.0))
    y = g.node("Mul", g.node("Mul", y, erf), half)
    g.node("Add", _linear(g, y, "down", 32, width), x, to="y")
    proto = g.build({"tokens": ["batch", 6, width]}, {"y": ["batch", 6, width]})
    macs = 6 * (4 * width * width + 2 * 32 * width)
    skipped = {"MatMul": "run time"}
    return Case(proto=proto, example={"tokens": vectors(4, 6, width)}, layers=6, macs=macs, skipped=skipped)


def _linear(g: GraphBuilder, source: str, name: str, inputs: int, outputs: int) -> str:
    product = g.node("MatMul", source, g.weight(f"{name}.weight", inputs, outputs))
    return g.node("Add", product, g.bias(f"{name}.bias", outputs))
