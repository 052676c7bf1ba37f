"""What holds an added constant in the constant's place: the same answers from a smaller graph."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from compress.channels.absorption import AbsorbConstants
from compress.narrowing import sparse
from compress.network import serialize
from compress.runtime import open_session
from tests.compress.conftest import Loaded
from tests.compress.zoo.case import GraphBuilder, images, vectors

_BELOW, _MIXED = -np.linspace(0.1, 1, 6), np.linspace(-1, 1, 6)


def _map(shift: np.ndarray, write: Callable[[GraphBuilder], str], *, then: str | None = "Relu") -> ir.Model:
    """`write` gives a map of six channels; `shift` is added to it, and one more convolution reads the sum."""
    g = GraphBuilder(seed=5)
    total = g.node("Add", write(g), g.constant("shift", shift.reshape(6, 1, 1)), to="total")
    g.conv(total if then is None else g.node(then, total, to="clamped"), 6, 2, kernel=1, to="map")
    return ir.from_proto(g.build({"image": ["batch", 3, 8, 8]}, {"map": ["batch", 2, 8, 8]}))


def _absorbed(model: ir.Model, *observed: str) -> ir.Model:
    (addition,) = [node.name or "" for node in model.graph if node.outputs[0].name == "total"]
    return ir.passes.functionalize(AbsorbConstants([addition], observed))(model).model


def _outputs(model: ir.Model) -> np.ndarray:
    (found,) = open_session(serialize(model)).run(None, {"image": images()})
    return np.asarray(found)


def _operators(model: ir.Model) -> Counter[str]:
    return Counter(node.op_type for node in model.graph)


def _convolution(g: GraphBuilder) -> str:
    return g.conv("image", 3, 6, to="wide")


def _convolution_without_bias(g: GraphBuilder) -> str:
    return g.node("Conv", "image", g.weight("bare", 6, 3, 1, 1), to="wide")


def _clamped(g: GraphBuilder) -> str:
    return g.node("Relu", g.conv("image", 3, 6), to="wide")


def _joined(g: GraphBuilder) -> str:
    return g.node("Add", g.conv("image", 3, 6), g.node("Relu", g.conv("image", 3, 6)), to="wide")


def _shifted(g: GraphBuilder) -> str:
    bounded = g.node("Sigmoid", g.conv("image", 3, 6))
    return g.node("Add", g.constant("earlier", vectors(1, 6, 1, 1)), bounded, to="wide")


@pytest.mark.parametrize("write", [_convolution, _convolution_without_bias, _clamped, _joined, _shifted])
@pytest.mark.parametrize("then", ["Relu", None])
def test_the_sum_is_the_same_without_the_addition(write: Callable[[GraphBuilder], str], then: str | None) -> None:
    """Whatever writes the stream; between two clamps for constants that are not positive."""
    model = _map(_BELOW, write, then=then)
    absorbed = _absorbed(model, "wide", "clamped")
    if write is _clamped and then is None:  # what is below zero is cut off before the addition, not behind it
        assert _operators(absorbed) == _operators(model)
        return
    assert _operators(absorbed)["Add"] == _operators(model)["Add"] - 1
    np.testing.assert_allclose(_outputs(absorbed), _outputs(model), rtol=1e-5, atol=1e-5)


def test_between_two_clamps_one_stays_and_positive_constants_are_off_by_no_more_than_themselves() -> None:
    model = _map(_MIXED, _clamped)
    absorbed = _absorbed(model, "wide")
    assert _operators(absorbed) == {"Conv": 2, "Relu": 1}
    assert "wide" in {value.name for node in absorbed.graph for value in node.outputs}
    before, after = _tensor(model, "clamped"), _tensor(absorbed, "wide")
    assert (before - after >= -1e-5).all()
    assert (before - after <= np.maximum(_MIXED, 0).reshape(6, 1, 1) + 1e-5).all()
    exact = _MIXED <= 0
    np.testing.assert_allclose(after[:, exact], before[:, exact], rtol=1e-5, atol=1e-5)


def _tensor(model: ir.Model, name: str) -> np.ndarray:
    opened = model.clone()
    values = {value.name: value for node in opened.graph for value in node.outputs}
    opened.graph.outputs.clear()
    opened.graph.outputs.append(values[name])
    return _outputs(opened)


@pytest.mark.parametrize(
    ("write", "observed"),
    [
        (_clamped, ("clamped",)),  # the clamp that would stay is unknown to calibration
        (_convolution, ("wide",)),  # and here the one that the layer would write
        (lambda g: g.node("Sigmoid", g.conv("image", 3, 6)), ("wide", "clamped")),
        (lambda g: g.node("Mul", *[g.conv("image", 3, 6, to="read")] * 2), ("wide", "clamped")),
    ],
)
def test_what_nothing_can_hold_stays(write: Callable[[GraphBuilder], str], observed: tuple[str, ...]) -> None:
    model = _map(_BELOW, write)
    assert serialize(_absorbed(model, *observed)) == serialize(model)


def test_a_stream_that_others_read_stays() -> None:
    g = GraphBuilder(seed=5)
    wide = g.conv("image", 3, 6)
    total = g.node("Add", wide, g.constant("shift", _BELOW.reshape(6, 1, 1)), to="total")
    g.conv(g.node("Concat", total, wide, axis=1), 12, 2, to="map")
    model = ir.from_proto(g.build({"image": ["batch", 3, 8, 8]}, {"map": ["batch", 2, 8, 8]}))
    assert serialize(_absorbed(model, "total")) == serialize(model)


def test_nothing_is_left_of_a_branch_that_has_vanished(load: Callable[[str], Loaded]) -> None:
    """Neither the addition nor the second of two clamps that follow one another."""
    loaded = load("residual")
    compressor = loaded.compressor()
    (branch,) = [
        group for group in compressor.groups.values() if group.vanishing and group.producers[0].layer == "conv3"
    ]
    built = ir.from_proto(
        onnx.load_model_from_string(compressor.build(sparse(compressor, {branch.name: 1.0})).onnx_bytes)
    )
    lost = _operators(loaded.network.model) - _operators(built)
    assert lost == {"Conv": 2, "Relu": 2, "Add": 1}
