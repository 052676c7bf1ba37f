"""Random small networks under random policies: whatever the wiring, a candidate is what its policy says."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from compress.faithfulness import open_checked
from compress.formats.scheme import SCHEMES
from compress.network import load_network, serialize
from compress.policy import FORMATS
from compress.runtime import open_session
from compress.statistics.calibration import calibrate
from compress.stitch import Compressor
from tests.compress.policies import joint
from tests.compress.zoo import write
from tests.compress.zoo.case import Case, GraphBuilder, images, vectors

_ACTIVATIONS = ["", "", "Relu", "Relu", "Clip", "Sigmoid", "HardSwish", "LeakyRelu", "Tanh"]


def _activate(g: GraphBuilder, source: str, kind: str) -> str:
    if kind == "Clip":
        return g.node("Clip", source, g.constant("low", 0.0), g.constant("high", 1.5))
    return g.node(kind, source) if kind else source


@st.composite
def convolutional(draw: st.DrawFn) -> Case:
    """A chain of convolutions with skips, forks and poolings, and maybe a Gemm at the end."""
    g = GraphBuilder(seed=draw(st.integers(0, 99)), opset=draw(st.sampled_from([13, 17, 20])))
    activations = [kind for kind in _ACTIVATIONS if g.opset >= 17 or kind != "HardSwish"]
    size, channels = 8, 3
    x, earlier = "image", []
    for _ in range(draw(st.integers(1, 6))):
        kernel, stride = draw(st.sampled_from([(1, 1), (3, 1), (3, 1), (5, 1), (3, 2)]))
        if size < 4:
            stride = 1
        depthwise = draw(st.integers(0, 4)) == 0
        outputs = channels if depthwise else draw(st.sampled_from([1, 4, 5, 8, 16]))
        x = g.conv(x, channels, outputs, kernel=kernel, strides=[stride] * 2, group=channels if depthwise else 1)
        channels, size = outputs, (size + stride - 1) // stride
        x = _activate(g, x, draw(st.sampled_from(activations)))
        partners = [name for name, c, s in earlier if (c, s) == (channels, size)]
        joint = draw(st.sampled_from(["", "", "Add", "Add", "Concat", "Mul"]))
        if partners and joint:
            other = draw(st.sampled_from(partners))
            x = g.node(joint, x, other, **({"axis": 1} if joint == "Concat" else {}))
            channels *= 2 if joint == "Concat" else 1
            x = _activate(g, x, draw(st.sampled_from(["", "Relu", "Clip"])))
        earlier.append((x, channels, size))
        if size >= 4 and draw(st.integers(0, 4)) == 0:
            x = g.node(draw(st.sampled_from(["MaxPool", "AveragePool"])), x, kernel_shape=[2, 2], strides=[2, 2])
            size //= 2
    if draw(st.booleans()):
        x = g.node("Flatten", x)
        g.node("Gemm", x, g.weight("head.weight", channels * size * size, 4), g.bias("head.bias", 4), to="y")
        shape: list[str | int] = ["batch", 4]
    else:
        g.node("Identity", x, to="y")
        shape = ["batch", channels, size, size]
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"y": shape})
    return Case(proto=proto, example={"image": images()}, layers=-1)


@st.composite
def fully_connected(draw: st.DrawFn) -> Case:
    """A chain of matrix products on 2 or 3 axes with biases, activations and residuals in any combination."""
    g = GraphBuilder(seed=draw(st.integers(0, 99)))
    rows: list[str | int] = draw(st.sampled_from([["batch"], ["batch", 5]]))
    x, width, earlier = "x", 12, []
    for i in range(draw(st.integers(1, 6))):
        outputs = draw(st.sampled_from([4, 12, 12, 24]))
        kind = draw(st.sampled_from(["MatMul", "MatMul+bias", "Gemm"]))
        if kind == "Gemm" and len(rows) == 1:
            x = g.node("Gemm", x, g.weight(f"w{i}", width, outputs), g.bias(f"b{i}", outputs))
        else:
            x = g.node("MatMul", x, g.weight(f"w{i}", width, outputs))
            x = g.node("Add", x, g.bias(f"b{i}", outputs)) if kind == "MatMul+bias" else x
        width = outputs
        x = _activate(g, x, draw(st.sampled_from(_ACTIVATIONS)))
        partners = [name for name, w in earlier if w == width]
        if partners and draw(st.booleans()):
            x = g.node("Add", x, draw(st.sampled_from(partners)))
        earlier.append((x, width))
    g.node("Identity", x, to="y")
    proto = g.build({"x": [*rows, 12]}, {"y": [*rows, width]})
    return Case(proto=proto, example={"x": vectors(6, *rows[1:], 12)}, layers=-1)  # type: ignore[arg-type]


_RELAXED = settings(
    deadline=None,
    max_examples=80,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # a graph that fails is small enough as it is
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@_RELAXED
@given(convolutional(), st.data())
def test_convolutional_networks(case: Case, data: st.DataObject) -> None:
    _check(case, data)


@_RELAXED
@given(fully_connected(), st.data())
def test_fully_connected_networks(case: Case, data: st.DataObject) -> None:
    _check(case, data)


def _check(case: Case, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        network = load_network(write(case, Path(folder)), case.example)
    reference = open_session(network.onnx_bytes).run(None, dict(case.example))
    original = open_session(case.proto.SerializeToString(), optimize=False).run(None, dict(case.example))
    for found, wanted in zip(reference, original, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-4, rtol=1e-4)
    assert network.layers
    assert not network.skipped
    compressor = Compressor(
        network,
        calibrate(network, [case.example]),
        SCHEMES["u8s8"],
        channel_multiple=data.draw(st.sampled_from([1, 1, 4])),
        formats=FORMATS,
        weight_block=16,
    )
    for formats in (("int8",), None):
        candidate = compressor.build(joint(compressor, data.draw(st.integers(0, 999)), formats))
        assert compressor.build(candidate.policy).onnx_bytes == candidate.onnx_bytes
        onnx.checker.check_model(onnx.load_model_from_string(candidate.onnx_bytes), full_check=True)
        checked = open_checked(candidate, network, case.example, reference)
        assert checked.faithfulness.problems == ()
        assert not any("unknown" in kernels for kernels in checked.faithfulness.kernels.values())
        for output in checked.session.run(None, dict(case.example)):
            assert np.isfinite(output).all()
    assert serialize(network.model) == network.onnx_bytes
