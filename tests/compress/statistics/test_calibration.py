"""One pass over the data: what it must see, and what it must say when it cannot."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from compress.bias import bias_behind
from compress.errors import CompressionError
from compress.graph import constant, operand
from compress.layers import Layer
from compress.network import load_network, serialize
from compress.runtime import open_session
from compress.statistics.calibration import Calibration, calibrate
from compress.weight_rows import to_rows
from tests.compress.conftest import Loaded
from tests.compress.zoo import ZOO, write
from tests.compress.zoo.case import images, vectors

_EVERY_SHAPE = ["plain_convolutions", "grouped", "one_dimensional", "three_dimensional", "gemm_spellings", "residual"]


def test_batches_are_one_after_the_other(load: Callable[[str], Loaded]) -> None:
    """How samples are cut into batches changes nothing but the order of additions."""
    loaded = load("plain_convolutions")
    image = loaded.case.example["image"]
    seen: list[int] = []
    in_parts = calibrate(loaded.network, [{"image": image[:1]}, {"image": image[1:]}], progress=seen.append)
    assert seen[-1] == len(image)
    assert seen == sorted(set(seen))
    _assert_alike(in_parts, loaded.calibration)
    assert (in_parts.histograms["image"].low, in_parts.histograms["image"].high) == (image.min(), image.max())


def test_little_memory_changes_no_range(load: Callable[[str], Loaded]) -> None:
    """With room for next to nothing samples go one by one, and what does not fit is left out, never wrong."""
    loaded = load("plain_convolutions")
    small = calibrate(loaded.network, [loaded.case.example], limit_bytes=1)
    assert small.moments == {}
    for name, histogram in loaded.calibration.histograms.items():
        # Single samples and batches go through other kernels.
        assert small.histograms[name].low == pytest.approx(histogram.low, rel=1e-4, abs=1e-4)
        assert small.histograms[name].high == pytest.approx(histogram.high, rel=1e-4, abs=1e-4)


def _assert_alike(found: Calibration, wanted: Calibration) -> None:
    assert found.sample_count == wanted.sample_count
    assert set(found.histograms) == set(wanted.histograms)
    for name, histogram in wanted.histograms.items():
        assert found.histograms[name].low == pytest.approx(histogram.low, rel=1e-4, abs=1e-4)
        assert found.histograms[name].high == pytest.approx(histogram.high, rel=1e-4, abs=1e-4)
    assert set(found.moments) == set(wanted.moments)
    for layer, moments in wanted.moments.items():
        np.testing.assert_allclose(found.moments[layer].second, moments.second, rtol=1e-3, atol=1e-3)
    assert set(found.responses) == set(wanted.responses)
    for layer, responses in wanted.responses.items():
        np.testing.assert_allclose(found.responses[layer].covariance, responses.covariance, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", _EVERY_SHAPE)
def test_moments_of_the_inputs_foretell_the_outputs(load: Callable[[str], Loaded], name: str) -> None:
    """W E[x] + b and diag(W cov(x) Wᵀ) are the mean and the variance of what the layer really writes."""
    loaded = load(name)
    for layer in loaded.network.layers:
        moments = loaded.calibration.moments[layer.name]
        assert not moments.by_channel
        rows = to_rows(layer, constant(loaded.network.model.graph.initializers[layer.weight_name])).astype(np.float64)
        mean = np.einsum("grk,gk->gr", rows, moments.mean).reshape(-1)
        variance = np.einsum("grk,gkl,grl->gr", rows, moments.covariance, rows).reshape(-1)
        written, bias = _written(loaded, layer)
        np.testing.assert_allclose(mean + bias, written.mean(axis=0), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(variance, written.var(axis=0), rtol=1e-3, atol=1e-5)


def _written(loaded: Loaded, layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """The outputs of the layer's operator, shape (rows, out), and its own bias."""
    model = loaded.network.model.clone()
    node = next(node for node in model.graph if node.name == layer.node_name)
    model.graph.outputs.clear()
    model.graph.outputs.append(node.outputs[0])
    (output,) = open_session(serialize(model), optimize=False).run(None, dict(loaded.case.example))
    flat = np.moveaxis(output, 1, -1) if layer.op_type == "Conv" else output
    has_bias = len(node.inputs) > 2 and node.inputs[2] is not None
    bias = constant(operand(node, 2)) if has_bias else np.zeros(layer.output_channels)
    return flat.reshape(-1, layer.output_channels).astype(np.float64), bias


@pytest.mark.parametrize("name", ["plain_convolutions", "transformer_block"])
def test_responses_are_the_outputs_with_their_bias(load: Callable[[str], Loaded], name: str) -> None:
    loaded = load(name)
    assert loaded.calibration.responses
    for layer in loaded.network.layers:
        responses = loaded.calibration.responses.get(layer.name)
        if responses is None:
            continue
        written, _ = _written(loaded, layer)
        behind = bias_behind(next(node for node in loaded.network.model.graph if node.name == layer.node_name))
        written = written if behind is None else written + behind
        np.testing.assert_allclose(responses.mean, written.mean(axis=0), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(responses.covariance, np.cov(written.T, bias=True), rtol=1e-3, atol=1e-4)
        for row in responses.rows[:50]:
            assert np.abs(written - row).max(axis=1).min() < 1e-3


def test_layers_that_read_the_same_share_their_moments(load: Callable[[str], Loaded]) -> None:
    """The three projections of an attention block see one tensor: it is gathered once."""
    found = load("transformer_block").calibration.moments
    assert found["q"] is found["k"] is found["v"]
    assert found["q"] is not found["o"]


def test_no_data(load: Callable[[str], Loaded]) -> None:
    nothing = {"image": np.zeros((0, 3, 8, 8), np.float32)}
    for name, batches in (("plain_convolutions", []), ("nothing_to_compress", []), ("plain_convolutions", [nothing])):
        with pytest.raises(CompressionError, match=r"calibration\(\) gives no samples; give some 100 to 500"):
            calibrate(load(name).network, batches)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_data_that_is_not_finite(load: Callable[[str], Loaded], poison: float) -> None:
    image = images()
    image[0, 0, 0, 0] = poison
    batches = [{"image": images()}, {"image": image}]
    with pytest.raises(CompressionError, match=r"tensor '\w+' of the FP32 network is not finite") as caught:
        calibrate(load("plain_convolutions").network, batches)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "feeds", [{"image": images().astype(np.float64)}, {"image": images(channels=4)}, {"picture": images()}]
)
def test_data_that_the_network_does_not_take(load: Callable[[str], Loaded], feeds: dict[str, np.ndarray]) -> None:
    with pytest.raises(CompressionError, match="the network does not run on the calibration data") as caught:
        calibrate(load("plain_convolutions").network, [feeds])
    assert "\n" not in str(caught.value)


def test_a_batch_without_inputs(load: Callable[[str], Loaded]) -> None:
    with pytest.raises(CompressionError, match=r"calibration\(\) gives no samples"):
        calibrate(load("plain_convolutions").network, [{}])


def test_a_batch_axis_that_is_not_dynamic_is_fed_one_sample_at_a_time(tmp_path: Path) -> None:
    network = load_network(write(ZOO["fixed_batch"](), tmp_path), {"image": images(batch=1)})
    assert calibrate(network, [{"image": images(batch=1)}] * 3).sample_count == 3
    with pytest.raises(CompressionError, match="does not run on the calibration data"):
        calibrate(network, [{"image": images(batch=4)}])


def test_ranges_of_masks_do_not_matter(load: Callable[[str], Loaded], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        calibration = calibrate(load("masked").network, [{"x": vectors(16, 8)}])
    for histogram in calibration.histograms.values():
        assert np.isfinite([histogram.low, histogram.high]).all()
