"""The check must catch a runtime that does something else, and only that."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx
import pytest

from compress.errors import CompressionError, FaithfulnessError
from compress.faithfulness import open_checked, relative_difference
from tests.compress.conftest import Loaded
from tests.compress.policies import mixed


@pytest.mark.parametrize("name", ["plain_convolutions", "depthwise_clip", "pooled_into_gemm"])
def test_a_layer_quantized_behind_the_policys_back_is_caught(load: Callable[[str], Loaded], name: str) -> None:
    """Without its session entries, ONNX Runtime quantizes an FP32 layer that stands between 8-bit layers."""
    loaded = load(name)
    names = [layer.name for layer in loaded.network.layers]
    kept = names[1]
    candidate = loaded.compressor().build(mixed(loaded.network, [n for n in names if n != kept]))
    inputs = loaded.network, loaded.case.example, loaded.outputs
    assert open_checked(candidate, *inputs).faithfulness.problems == ()
    verdict = open_checked(replace(candidate, session_entries={}), *inputs).faithfulness
    assert any(f"layer {kept!r} should run in FP32" in problem for problem in verdict.problems)
    with pytest.raises(FaithfulnessError, match=f"layer {kept!r} should run in FP32 and runs in Q"):
        verdict.require()


def test_a_layer_left_in_float_is_caught(load: Callable[[str], Loaded]) -> None:
    """A candidate whose bytes are the FP32 network while its policy says 8 bits."""
    loaded = load("residual")
    names = [layer.name for layer in loaded.network.layers]
    candidate = loaded.compressor().build(mixed(loaded.network, names))
    fake = replace(candidate, onnx_bytes=loaded.network.onnx_bytes)
    verdict = open_checked(fake, loaded.network, loaded.case.example, loaded.outputs).faithfulness
    assert len(verdict.problems) == len(names)
    assert "should run in integers and runs in " in verdict.problems[0]


def test_symmetric_activations_on_this_cpu_are_caught(load: Callable[[str], Loaded]) -> None:
    """A Relu has no integers to hide in when they are symmetric: the convolution before it stays in float."""
    loaded = load("plain_convolutions")
    candidate = loaded.compressor("s8s8").build(mixed(loaded.network, [layer.name for layer in loaded.network.layers]))
    verdict = open_checked(candidate, loaded.network, loaded.case.example, loaded.outputs).faithfulness
    assert verdict.problems


def test_bytes_that_do_not_load_are_one_sentence(load: Callable[[str], Loaded]) -> None:
    loaded = load("residual")
    candidate = replace(loaded.compressor().build(mixed(loaded.network)), onnx_bytes=b"\x08\x01garbage")
    with pytest.raises(CompressionError, match="ONNX Runtime does not load") as caught:
        open_checked(candidate, loaded.network, loaded.case.example, loaded.outputs)
    assert "\n" not in str(caught.value)


def test_the_checked_session_is_the_one_that_ships(load: Callable[[str], Loaded]) -> None:
    loaded = load("residual")
    checked = open_checked(
        loaded.compressor().build(mixed(loaded.network)), loaded.network, loaded.case.example, loaded.outputs
    )
    for found, wanted in zip(checked.session.run(None, dict(loaded.case.example)), loaded.outputs, strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert checked.faithfulness.relative_difference < 1e-5
    assert set(checked.faithfulness.kernels) == {layer.name for layer in loaded.network.layers}
    checked.faithfulness.require()


def test_relative_difference() -> None:
    one, two = np.ones(4, np.float32), np.full(4, 2, np.float32)
    assert relative_difference([two], [one]) == pytest.approx(1.0)
    assert relative_difference([one], [one]) == 0.0
    assert relative_difference([one * 0], [one * 0]) == 0.0
    assert relative_difference([one], [one * 0]) == 1.0
    assert relative_difference([np.array([1, 2])], [np.array([3, 4])]) == 0.0, "classes are not a distance"
    assert np.isnan(relative_difference([one * np.nan], [one]))


def test_where_another_engine_runs_it_kernels_here_are_nobodys_fault_and_wrong_outputs_are(
    load: Callable[[str], Loaded],
) -> None:
    loaded = load("plain_convolutions")
    names = [layer.name for layer in loaded.network.layers]
    candidate = loaded.compressor("symmetric").build(mixed(loaded.network, names))
    inputs = loaded.network, loaded.case.example, loaded.outputs
    assert open_checked(candidate, *inputs).faithfulness.problems
    verdict = open_checked(candidate, *inputs, judge_kernels=False).faithfulness
    assert verdict.problems == ()
    assert verdict.kernels, "what runs here is recorded all the same"
    untouched = loaded.compressor().build(mixed(loaded.network, []))
    model = onnx.load_model_from_string(untouched.onnx_bytes)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.full(tuple(tensor.dims), np.nan, np.float32), tensor.name))
    broken = replace(untouched, onnx_bytes=model.SerializeToString())
    verdict = open_checked(broken, *inputs, judge_kernels=False).faithfulness
    assert verdict.problems == ("its outputs are not finite",)
