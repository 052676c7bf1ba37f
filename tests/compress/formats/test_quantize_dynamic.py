"""The chain for ranges of the moment, and that what reads one tensor quantizes it once."""

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from compress.errors import PolicyError
from compress.formats.quantize_dynamic import DynamicQuantizeLayers
from compress.formats.scheme import SCHEMES
from compress.graph import constant, operand, output_axis
from compress.network import serialize
from compress.runtime import open_session
from tests.compress.conftest import Loaded
from tests.compress.format_mixes import integer_weight


def _edited(loaded: Loaded) -> ir.Model:
    weights = {node.name or "": integer_weight(node) for node in _products(loaded)}
    edit = DynamicQuantizeLayers(SCHEMES["u8s8"], weights)
    return ir.passes.functionalize(edit)(loaded.network.model).model


def _products(loaded: Loaded) -> list[ir.Node]:
    names = {layer.node_name for layer in loaded.network.layers}
    return [node for node in loaded.network.model.graph if node.name in names]


def test_layers_that_read_one_tensor_share_its_quantized_form(load: Callable[[str], Loaded]) -> None:
    """Query, key and value of the attention."""
    loaded = load("transformer_block")
    edited = _edited(loaded)
    operators = [node.op_type for node in edited.graph]
    assert operators.count("MatMulInteger") == len(loaded.network.layers) == 6
    assert operators.count("DynamicQuantizeLinear") == 4


@pytest.mark.parametrize("name", ["gemm_spellings", "transformer_block", "transposed_weight"])
def test_the_chain_computes_what_its_integers_stand_for(load: Callable[[str], Loaded], name: str) -> None:
    """Against NumPy: round the input to 256 steps over its range, multiply, add the bias."""
    loaded = load(name)
    node = next(node for node in _products(loaded) if node.op_type != "Conv")
    integers, scale = integer_weight(node)
    model = ir.passes.functionalize(DynamicQuantizeLayers(SCHEMES["u8s8"], {node.name or "": (integers, scale)}))(
        loaded.network.model
    ).model
    values = {value.name: value for made in model.graph for value in made.outputs}
    values |= {value.name: value for value in model.graph.inputs}
    source, product = values[operand(node, 0).name], values[node.outputs[0].name]
    del model.graph.outputs[:]
    model.graph.outputs.append(product)
    if source.producer() is not None:
        model.graph.outputs.append(source)
    found, *read = open_session(serialize(model), optimize=False).run(None, dict(loaded.case.example))
    x = read[0] if read else next(iter(loaded.case.example.values()))
    weight = integers * (scale if output_axis(node) == 1 else scale[:, None])
    wanted = _rounded(x) @ (weight if output_axis(node) == 1 else weight.T)
    wanted = wanted + constant(operand(node, 2)) if len(node.inputs) > 2 else wanted
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def _rounded(x: np.ndarray) -> np.ndarray:
    low, high = min(float(x.min()), 0.0), max(float(x.max()), 0.0)
    step = np.float32((high - low) / 255)
    zero_point = np.rint(-low / step)
    points: np.ndarray = (np.clip(np.rint(x / step) + zero_point, 0, 255) - zero_point) * step
    return points


def test_weights_have_no_zero_point(load: Callable[[str], Loaded]) -> None:
    """They are symmetric: bytes and corrections for nothing."""
    for node in _edited(load("gemm_spellings")).graph:
        if node.op_type == "MatMulInteger":
            assert len(node.inputs) == 3


def test_integers_of_another_weight_are_refused(load: Callable[[str], Loaded]) -> None:
    loaded = load("gemm_spellings")
    node = _products(loaded)[0]
    integers, scale = integer_weight(node)
    for wrong, part in (
        ((integers.T, scale), "got integers of shape"),
        ((integers, scale[:1]), r"scales of shape \(1,\)"),
        ((integers.astype(np.int32), scale), "got int32"),
    ):
        with pytest.raises(PolicyError, match=part):
            DynamicQuantizeLayers(SCHEMES["u8s8"], {node.name or "": wrong}).requires(  # type: ignore[dict-item]
                loaded.network.model
            )
    with pytest.raises(PolicyError, match="u8s7 weights are int8 up to 63, got int8 up to 127"):
        DynamicQuantizeLayers(SCHEMES["u8s7"], {node.name or "": (integers, scale)}).requires(loaded.network.model)


def test_float_weights_leave_the_file(load: Callable[[str], Loaded]) -> None:
    loaded = load("transformer_block")
    names = {tensor.name for tensor in onnx.load_model_from_string(serialize(_edited(loaded))).graph.initializer}
    assert not names & {layer.weight_name for layer in loaded.network.layers}
