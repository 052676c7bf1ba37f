"""All number formats on one graph: every layer in its own, valid, in the kernels that the format calls for."""

from collections.abc import Callable

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from compress.errors import PolicyError
from compress.faithfulness import relative_difference
from compress.formats.half_precision import HalfPrecisionLayers
from compress.formats.kernels import disagreements
from compress.formats.quantize_dynamic import DynamicQuantizeLayers
from compress.formats.scheme import SCHEMES
from compress.formats.weight_only import WeightOnlyLayers
from compress.network import load_network, serialize
from compress.policy import FORMATS
from compress.runtime import FAITHFUL_SESSION_ENTRIES, open_session
from tests.compress.conftest import Loaded
from tests.compress.format_mixes import build, formats_for, open_and_read, random_formats, uniform_formats
from tests.compress.nearest import rounded_to_nearest

# Distances from FP32 with weights rounded to nearest; the networks are small, so their errors do not average out.
_FURTHEST = {"fp16": 0.002, "int8-dynamic": 0.1, "int8-weights": 0.05, "int4-weights": 0.3}


@pytest.mark.parametrize("name", _FURTHEST)
def test_each_format_runs_in_its_kernels_and_stays_close(loaded: Loaded, name: str) -> None:
    formats = uniform_formats(loaded.network, name)
    if set(formats.values()) <= {"fp32"}:
        return
    outputs = _check(loaded, formats, build(loaded.network, loaded.calibration, formats))
    assert relative_difference(outputs, loaded.outputs) < _FURTHEST[name]


@pytest.mark.parametrize("seed", range(3))
def test_formats_mix(loaded: Loaded, seed: int) -> None:
    formats = random_formats(loaded.network, seed)
    onnx_bytes = build(loaded.network, loaded.calibration, formats, accuracy_level=4 if seed == 1 else 1)
    outputs = _check(loaded, formats, onnx_bytes)
    assert relative_difference(outputs, loaded.outputs) < 0.35
    assert build(loaded.network, loaded.calibration, formats, accuracy_level=4 if seed == 1 else 1) == onnx_bytes
    assert serialize(loaded.network.model) == loaded.network.onnx_bytes


def _check(loaded: Loaded, formats: dict[str, str], onnx_bytes: bytes) -> list[np.ndarray]:
    """The candidate's outputs; it is valid, keeps the interface, and runs as `formats` say, optimized or not."""
    model, before = (onnx.load_model_from_string(b) for b in (onnx_bytes, loaded.network.onnx_bytes))
    onnx.checker.check_model(model, full_check=True)
    assert _interface(model.graph) == _interface(before.graph)
    session, kernels = open_and_read(loaded.network, onnx_bytes)
    assert disagreements(loaded.network.layers, kernels, formats) == []
    feeds = dict(loaded.case.example)
    outputs: list[np.ndarray] = session.run(None, feeds)
    assert relative_difference(outputs, open_session(onnx_bytes, optimize=False).run(None, feeds)) < 0.01
    return outputs


def _interface(graph: onnx.GraphProto) -> list[tuple[str, bytes]]:
    return [(value.name, value.type.SerializeToString()) for value in (*graph.input, *graph.output)]


def test_the_test_offers_every_format(load: Callable[[str], Loaded]) -> None:
    offered = {name for layer in load("transformer_block").network.layers for name in formats_for(layer)}
    assert offered == set(FORMATS)


@pytest.mark.parametrize("name", ["pooled_into_gemm", "transformer_block", "gemm_spellings"])
def test_a_layer_in_another_format_than_asked_is_found(load: Callable[[str], Loaded], name: str) -> None:
    """Whichever format a layer is in, it passes for no other."""
    loaded = load(name)
    layer = next(layer for layer in loaded.network.layers if layer.op_type != "Conv")
    others = {other.name: "fp32" for other in loaded.network.layers}
    for built in FORMATS:
        onnx_bytes = build(loaded.network, loaded.calibration, {**others, layer.name: built})
        _, kernels = open_and_read(loaded.network, onnx_bytes)
        for asked in FORMATS:
            problems = disagreements(loaded.network.layers, kernels, {**others, layer.name: asked})
            assert bool(problems) == (asked != built), (built, asked, kernels)
            assert all(f"layer {layer.name!r} should run" in problem for problem in problems)


def test_symmetric_keeps_biases_in_float(loaded: Loaded) -> None:
    """TensorRT takes no 32-bit integers to dequantize, and no zero point but 0."""
    formats = uniform_formats(loaded.network, "int8")
    onnx_bytes = build(loaded.network, loaded.calibration, formats, scheme="symmetric")
    model = onnx.load_model_from_string(onnx_bytes)
    onnx.checker.check_model(model, full_check=True)
    made = {node.name for node in model.graph.node if "@" in node.name}
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and node.name in made:
            zero_point = constants[node.input[2]]
            assert zero_point.dtype == np.int8
            assert not zero_point.any()
    outputs = open_session(onnx_bytes, optimize=False).run(None, dict(loaded.case.example))
    assert relative_difference(outputs, loaded.outputs) < 0.15


def test_a_candidate_in_mixed_formats_can_be_a_network_again(load: Callable[[str], Loaded]) -> None:
    """What is compressed already is left alone and listed, whatever its format."""
    loaded = load("transformer_block")
    names = [layer.name for layer in loaded.network.layers]
    formats = dict(zip(names, FORMATS, strict=True))
    onnx_bytes = build(loaded.network, loaded.calibration, formats)
    again = load_network(onnx_bytes, loaded.case.example)
    assert len(again.layers) == 1
    reasons = " ".join(item.reason for item in again.skipped)
    for part in ("float16", "quantized already", "com.microsoft:MatMulNBits"):
        assert part in reasons


def test_half_precision_beside_static_integers_needs_no_pairs_in_half(load: Callable[[str], Loaded]) -> None:
    """Pairs stay in float32: opset 17 has none for half precision."""
    loaded = load("residual")
    names = [layer.name for layer in loaded.network.layers]
    formats = {name: "int8" if index % 2 else "fp16" for index, name in enumerate(names)}
    onnx_bytes = build(loaded.network, loaded.calibration, formats)
    model = ir.from_proto(onnx.load_model_from_string(onnx_bytes))
    for node in model.graph:
        if node.op_type in ("QuantizeLinear", "DynamicQuantizeLinear"):
            assert node.inputs[0] is not None
            assert node.inputs[0].dtype == ir.DataType.FLOAT
    open_session(onnx_bytes, session_entries=FAITHFUL_SESSION_ENTRIES)


def test_passes_refuse_operators_that_they_do_not_understand(load: Callable[[str], Loaded]) -> None:
    model = load("pooled_into_gemm").network.model
    convolution = next(node for node in model.graph if node.op_type == "Conv")
    weight = rounded_to_nearest(SCHEMES["u8s8"], np.ones((1, 1), np.float32), 0)
    with pytest.raises(PolicyError, match="no operator 'absent' to quantize dynamically"):
        DynamicQuantizeLayers(SCHEMES["u8s8"], {"absent": weight}).requires(model)
    with pytest.raises(PolicyError, match="expected one of Gemm, MatMul to quantize dynamically, got Conv"):
        DynamicQuantizeLayers(SCHEMES["u8s8"], {convolution.name or "": weight}).requires(model)
    with pytest.raises(PolicyError, match="no operator 'absent' to make weight-only"):
        WeightOnlyLayers({"absent": None}).requires(model)  # type: ignore[dict-item]
    pooling = next(node for node in model.graph if node.op_type not in ("Conv", "Gemm", "MatMul"))
    with pytest.raises(PolicyError, match=f"got {pooling.op_type}"):
        HalfPrecisionLayers([pooling.name or ""]).requires(model)
