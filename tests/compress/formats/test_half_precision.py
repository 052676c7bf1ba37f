"""Casts at the borders only, and nothing that does not fit."""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest

from compress.errors import PolicyError
from compress.formats.half_precision import HalfPrecisionLayers
from compress.formats.scheme import Range
from compress.graph import constant, operand
from tests.compress.conftest import Loaded
from tests.compress.format_mixes import extremes


def _edited(loaded: Loaded, names: list[str] | None = None, ranges: dict[str, Range] | None = None) -> ir.Model:
    chosen = [layer.node_name for layer in loaded.network.layers] if names is None else names
    edit = HalfPrecisionLayers(chosen, extremes(loaded.calibration) if ranges is None else ranges)
    return ir.passes.functionalize(edit)(loaded.network.model).model


def _casts(model: ir.Model) -> list[ir.DataType]:
    return [ir.DataType(node.attributes["to"].as_int()) for node in model.graph if node.op_type == "Cast"]


@pytest.mark.parametrize("name", ["plain_convolutions", "residual", "depthwise_clip", "pooled_into_gemm", "grouped"])
def test_a_network_in_half_precision_casts_at_its_ends_only(load: Callable[[str], Loaded], name: str) -> None:
    """Relus, sums, poolings and whatever else stands between the layers are in half precision too."""
    loaded = load(name)
    edited = _edited(loaded)
    assert _casts(edited) == [ir.DataType.FLOAT16] + [ir.DataType.FLOAT] * len(edited.graph.outputs)
    for value in edited.graph.initializers.values():
        assert value.dtype != ir.DataType.FLOAT


def test_one_layer_has_one_cast_on_either_side(load: Callable[[str], Loaded]) -> None:
    """The Relu behind it goes with it: the cast back comes after, so that runtimes can fuse the two."""
    loaded = load("plain_convolutions")
    layer = loaded.network.layers[1]
    edited = _edited(loaded, [layer.node_name])
    assert _casts(edited) == [ir.DataType.FLOAT16, ir.DataType.FLOAT]
    node = next(node for node in edited.graph if node.name == layer.node_name)
    assert {value.dtype for value in node.inputs if value is not None} == {ir.DataType.FLOAT16}
    follower = next(iter(node.outputs[0].uses())).node
    assert follower.op_type == "Relu"
    assert next(iter(follower.outputs[0].uses())).node.op_type == "Cast"
    float_again = next(iter(follower.outputs[0].uses())).node.outputs[0]
    assert float_again.dtype == ir.DataType.FLOAT


def test_a_sum_with_a_float_stays_in_float(load: Callable[[str], Loaded]) -> None:
    loaded = load("residual")
    model = loaded.network.model
    addition = next(node for node in model.graph if node.op_type == "Add")
    feeding = operand(addition, 0).producer()
    assert feeding is not None
    while feeding.op_type not in ("Conv", "Gemm", "MatMul"):
        feeding = operand(feeding, 0).producer()
        assert feeding is not None
    edited = _edited(loaded, [feeding.name or ""])
    found = next(node for node in edited.graph if node.name == addition.name)
    assert {value.dtype for value in found.inputs if value is not None} == {ir.DataType.FLOAT}


def test_weights_beyond_the_format_are_refused_by_name(load: Callable[[str], Loaded]) -> None:
    loaded = load("plain_convolutions")
    model = loaded.network.model.clone()
    node = next(node for node in model.graph if node.name == loaded.network.layers[1].node_name)
    weight = operand(node, 1)
    weight.const_value = ir.tensor(constant(weight) * np.float32(1e6), name=weight.name)
    with pytest.raises(PolicyError, match=f"'{node.name}': weights '{weight.name}' reach .* ends at 65504"):
        HalfPrecisionLayers([node.name or ""]).call(model)
    HalfPrecisionLayers([loaded.network.layers[0].node_name]).call(model)


def test_activations_beyond_half_of_the_format_are_refused_by_name(load: Callable[[str], Loaded]) -> None:
    """Other data may reach twice as far as the calibration data."""
    loaded = load("plain_convolutions")
    model, layer = loaded.network.model, loaded.network.layers[1]
    node = next(node for node in model.graph if node.name == layer.node_name)
    for value in (operand(node, 0).name or "", node.outputs[0].name or ""):
        HalfPrecisionLayers([layer.node_name], {value: (-30000.0, 5.0)}).call(model.clone())
        with pytest.raises(PolicyError, match=f"'{layer.node_name}': tensor '{value}' reaches 4e\\+04"):
            HalfPrecisionLayers([layer.node_name], {value: (-40000.0, 5.0)}).call(model.clone())


def test_a_sum_that_could_overflow_stays_in_float(load: Callable[[str], Loaded]) -> None:
    loaded = load("residual")
    addition = next(node.name for node in loaded.network.model.graph if node.op_type == "Add")
    layers = {layer.node_name for layer in loaded.network.layers}
    written = [node.outputs[0].name or "" for node in loaded.network.model.graph if node.name in layers]
    for reach, dtype in ((10000.0, ir.DataType.FLOAT16), (20000.0, ir.DataType.FLOAT)):
        edited = _edited(loaded, ranges=dict.fromkeys(written, (-reach, reach)))
        found = next(node for node in edited.graph if node.name == addition)
        assert {value.dtype for value in found.inputs if value is not None} == {dtype}
