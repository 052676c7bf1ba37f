"""What every network of the zoo must go through unharmed, under every kind of policy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from compress.faithfulness import open_checked, relative_difference
from compress.intake.normalize import MINIMUM_OPSET
from compress.network import load_network, serialize
from compress.runtime import open_session
from tests.compress.conftest import Loaded
from tests.compress.policies import assorted, joint, mixed, names_of
from tests.compress.zoo import ZOO
from tests.compress.zoo.case import Case
from tests.compress.zoo.channels import CHANNEL_ZOO

# Distances from FP32 of small random networks, whose errors do not average out.
_FURTHEST = {"fp16": 0.002, "int8": 0.1, "int8-dynamic": 0.1, "int8-weights": 0.05, "int4-weights": 0.3}


def test_normalizing_changes_no_output(loaded: Loaded) -> None:
    for found, wanted in zip(loaded.outputs, _original_outputs(loaded), strict=True):
        assert found.dtype == wanted.dtype
        np.testing.assert_allclose(found, wanted, atol=1e-4, rtol=1e-4)


def _original_outputs(loaded: Loaded) -> list[Any]:
    case = loaded.case
    if isinstance(case, Case):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.log_severity_level = 3
        session = onnxruntime.InferenceSession(
            case.proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        outputs: list[Any] = session.run(None, dict(case.example))
        return outputs
    import torch

    with torch.no_grad():
        return [case.module(**{name: torch.from_numpy(array) for name, array in case.example.items()}).numpy()]


def test_normalizing_keeps_the_interface(loaded: Loaded) -> None:
    assert loaded.network.model.graph.opset_imports[""] >= MINIMUM_OPSET
    if isinstance(loaded.case, Case):
        initializers = {tensor.name for tensor in loaded.case.proto.graph.initializer}
        inputs = [value for value in loaded.case.proto.graph.input if value.name not in initializers]
        wanted = _interface(inputs), _interface(loaded.case.proto.graph.output)
        graph = onnx.load_model_from_string(loaded.network.onnx_bytes).graph
        assert (_interface(graph.input), _interface(graph.output)) == wanted


def _interface(values: Any) -> list[tuple[str, int, tuple[int | str, ...]]]:
    """Name, element type and shape of graph inputs or outputs."""
    return [
        (v.name, v.type.tensor_type.elem_type, tuple(d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim))
        for v in values
    ]


def test_every_weight_is_a_layer_or_has_a_reason(loaded: Loaded) -> None:
    network, case = loaded.network, loaded.case
    assert len(network.layers) == case.layers, [layer.name for layer in network.layers]
    assert len({layer.name for layer in network.layers}) == case.layers
    if case.macs is not None:
        assert sum(layer.macs for layer in network.layers) == case.macs
    expected = case.skipped if isinstance(case, Case) else {"MatMul": "run time"}
    assert {item.op_type for item in network.skipped} <= set(expected)
    for item in network.skipped:
        assert item.reason
        assert expected[item.op_type] in item.reason
    listed = {layer.node_name for layer in network.layers} | {item.name for item in network.skipped}
    for node in network.model.graph.all_nodes():
        if node.op_type in ("Conv", "Gemm", "MatMul", "ConvTranspose", "LSTM"):
            assert node.name in listed


def test_normalizing_twice_is_normalizing_once(loaded: Loaded) -> None:
    again = load_network(loaded.network.onnx_bytes, loaded.case.example)
    assert again.layers == loaded.network.layers
    assert again.onnx_bytes == loaded.network.onnx_bytes
    assert serialize(again.model) == loaded.network.onnx_bytes


def test_candidates_are_valid_and_run_as_their_policy_says(loaded: Loaded) -> None:
    compressor = loaded.compressor()
    graph = onnx.load_model_from_string(loaded.network.onnx_bytes).graph
    for name, policy in assorted(compressor, 4).items():
        candidate = compressor.build(policy)
        assert compressor.build(policy).onnx_bytes == candidate.onnx_bytes, name
        built = onnx.load_model_from_string(candidate.onnx_bytes)
        onnx.checker.check_model(built, full_check=True)
        assert _interface(built.graph.input) == _interface(graph.input), name
        assert _interface(built.graph.output) == _interface(graph.output), name
        checked = open_checked(candidate, loaded.network, loaded.case.example, loaded.outputs)
        assert checked.faithfulness.problems == (), name
        assert not any("unknown" in kernels for kernels in checked.faithfulness.kernels.values()), name
        outputs = checked.session.run(None, dict(loaded.case.example))
        assert np.isfinite(relative_difference(outputs, loaded.outputs)), name
        assert relative_difference(outputs, loaded.outputs) < _FURTHEST.get(name, np.inf), name
    assert serialize(loaded.network.model) == loaded.network.onnx_bytes


@pytest.mark.parametrize(("scheme", "furthest"), [("s8s8", 0.15), ("symmetric", 0.15), ("u8s7", 0.2)])
def test_other_schemes_are_valid_and_accurate(loaded: Loaded, scheme: str, furthest: float) -> None:
    """They are for engines that are not here: their bytes must be right, which kernels they run in is not asked."""
    candidate = loaded.compressor(scheme).build(mixed(loaded.network, names_of(loaded.network)))
    model = onnx.load_model_from_string(candidate.onnx_bytes)
    onnx.checker.check_model(model, full_check=True)
    outputs = open_session(candidate.onnx_bytes, optimize=False).run(None, dict(loaded.case.example))
    assert relative_difference(outputs, loaded.outputs) < furthest


def test_the_untouched_policy_gives_the_network_itself(loaded: Loaded) -> None:
    candidate = loaded.compressor().build(mixed(loaded.network))
    assert candidate.onnx_bytes == loaded.network.onnx_bytes
    assert candidate.digest == loaded.network.digest
    assert candidate.session_entries == {}


def test_a_candidate_can_be_a_network_again(load: Callable[[str], Loaded], tmp_path: Any) -> None:
    """Bytes that we made go through our own door: names that we derive do not collide with themselves."""
    loaded = load("residual")
    half = [layer.name for layer in loaded.network.layers][::2]
    path = tmp_path / "candidate.onnx"
    path.write_bytes(loaded.compressor().build(mixed(loaded.network, half)).onnx_bytes)
    again = load_network(path, loaded.case.example)
    assert len(again.layers) == len(loaded.network.layers) - len(half)
    assert {item.reason for item in again.skipped} == {"its weight is quantized already"}


@pytest.mark.parametrize("name", CHANNEL_ZOO)
def test_joint_candidates_where_channels_are_tied(load: Callable[[str], Loaded], name: str) -> None:
    loaded = load(name)
    compressor = loaded.compressor()
    for seed in range(12):
        candidate = compressor.build(joint(compressor, seed))
        onnx.checker.check_model(onnx.load_model_from_string(candidate.onnx_bytes), full_check=True)
        checked = open_checked(candidate, loaded.network, loaded.case.example, loaded.outputs)
        assert checked.faithfulness.problems == (), seed


def test_the_zoo_is_as_large_as_it_was() -> None:
    assert len(ZOO) >= 40
