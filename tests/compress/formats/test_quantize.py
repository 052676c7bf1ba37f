"""Where the pairs stand, and what they hold."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from compress.errors import PolicyError
from compress.formats.quantize import QuantizeLayers
from compress.formats.scheme import SCHEMES
from tests.compress.conftest import Loaded
from tests.compress.nearest import rounded_to_nearest
from tests.compress.policies import mixed


def _build(loaded: Loaded, *integer: str, scheme: str = "u8s8") -> onnx.GraphProto:
    names = integer or [layer.name for layer in loaded.network.layers]
    candidate = loaded.compressor(scheme).build(mixed(loaded.network, names))
    return onnx.load_model_from_string(candidate.onnx_bytes).graph


def _writer(graph: onnx.GraphProto, name: str) -> str:
    return next((node.op_type for node in graph.node if name in node.output), "input")


def _node(graph: onnx.GraphProto, name: str) -> onnx.NodeProto:
    return next(node for node in graph.node if node.name == name)


def test_scales_and_zero_points_of_activations_are_scalars(loaded: Loaded) -> None:
    """Runtimes match pairs by that: with an axis on them a Clip stays in float and an AveragePool does not load."""
    graph = _build(loaded)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "QuantizeLinear" and node.name.endswith("@quantize"):
            assert all(list(constants[name].dims) == [] for name in node.input[1:])


def test_weights_are_symmetric_per_channel(load: Callable[[str], Loaded]) -> None:
    loaded = load("plain_convolutions")
    graph = _build(loaded)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for layer in loaded.network.layers:
        stem = f"{layer.node_name}@weight"
        assert constants[f"{stem}_quantized"].dtype == np.int8
        assert constants[f"{stem}_scale"].shape == (layer.output_channels,)
        assert not constants[f"{stem}_zero_point"].any()
        assert layer.weight_name not in constants


def test_an_fp32_layer_reads_the_unrounded_tensor(load: Callable[[str], Loaded]) -> None:
    """The two branches of a fork: the one kept in FP32 does not pay for its neighbour's rounding."""
    loaded = load("forked")
    graph = _build(loaded, "conv0")
    first, second = (_node(graph, f"Conv_{i}") for i in range(2))
    assert _writer(graph, first.input[0]) == "DequantizeLinear"
    assert second.input[0] == "image"


def test_no_pair_between_a_convolution_and_its_relu(load: Callable[[str], Loaded]) -> None:
    for name in ("plain_convolutions", "depthwise_clip"):
        graph = _build(load(name))
        assert not {node.op_type for node in graph.node} & {"Relu", "Clip"}, "saturation does what they did"
        graph = _build(load(name), scheme="s8s8")
        for node in graph.node:
            if node.op_type in ("Relu", "Clip"):
                assert _writer(graph, node.input[0]) == "Conv", "symmetric integers cannot stand for a clamp"


def test_a_clamp_away_from_zero_stays(load: Callable[[str], Loaded]) -> None:
    graph = _build(load("open_ended_clip"))
    clips = [node for node in graph.node if node.op_type == "Clip"]
    assert len(clips) == 1
    assert _writer(graph, clips[0].input[0]) == "DequantizeLinear"


def test_a_clamp_that_others_read_stays(load: Callable[[str], Loaded]) -> None:
    graph = _build(load("forked"))
    assert [node.op_type for node in graph.node].count("Relu") == 2


def test_outputs_behind_pairs_keep_name_and_type(load: Callable[[str], Loaded]) -> None:
    graph = _build(load("inner_outputs"))
    for value in graph.output:
        assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
        wanted = "Relu" if value.name == "rectified" else "DequantizeLinear"  # `raw` is read before it is rectified
        assert _writer(graph, value.name) == wanted


def test_a_tensor_that_came_quantized_is_not_quantized_again(load: Callable[[str], Loaded]) -> None:
    loaded = load("quantized_already")
    graph = _build(loaded)
    node = _node(graph, loaded.network.layers[0].node_name)
    assert _writer(graph, node.input[0]) == "DequantizeLinear"
    assert [n.op_type for n in graph.node].count("QuantizeLinear") == 3, "two of the user's, one for the output"


def test_tensors_without_a_range_are_refused(load: Callable[[str], Loaded]) -> None:
    loaded = load("plain_convolutions")
    layer = loaded.network.layers[0]
    weight = rounded_to_nearest(SCHEMES["u8s8"], np.ones(layer.weight_shape, np.float32), 0)
    edit = QuantizeLayers(SCHEMES["u8s8"], {layer.node_name: weight}, {})
    with pytest.raises(PolicyError, match="tensor 'image' was not calibrated"):
        edit.call(loaded.network.model.clone())
    with pytest.raises(PolicyError, match="no operator 'conv99' to quantize"):
        QuantizeLayers(SCHEMES["u8s8"], {"conv99": weight}, {}).requires(loaded.network.model)
