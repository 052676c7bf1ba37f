"""One pass over the data: what it must see, and what it must say when it cannot."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from compress.calibration import calibrate, load_calibration, save_calibration
from compress.errors import CompressionError
from compress.factorize import decompose
from compress.graph import constant, operand
from compress.layers import Layer
from compress.network import load_network, serialize
from compress.runtime import open_session
from tests.compress.conftest import Loaded
from tests.compress.policies import assorted
from tests.compress.zoo import ZOO, write
from tests.compress.zoo.case import images, vectors


def test_ranges_are_those_of_all_batches(load: Callable[[str], Loaded]) -> None:
    loaded = load("plain_convolutions")
    image = loaded.case.example["image"]
    seen: list[int] = []
    in_parts = calibrate(loaded.network, [{"image": image[:1]}, {"image": image[1:]}], progress=seen.append)
    assert seen == [1, len(image), len(image) + 1, 2 * len(image)]
    assert in_parts.sample_count == len(image)
    assert in_parts.ranges["image"] == (image.min(), image.max())
    assert set(in_parts.ranges) == set(loaded.calibration.ranges)
    for name, bounds in loaded.calibration.ranges.items():
        assert in_parts.ranges[name] == pytest.approx(bounds, rel=1e-4, abs=1e-4)


def test_inner_channels_are_scaled_to_one(load: Callable[[str], Loaded]) -> None:
    loaded = load("transformer_block")
    for name, bounds in loaded.calibration.inner_ranges.items():
        assert bounds.shape == (2, len(loaded.calibration.factors[name].first))
        np.testing.assert_allclose(np.abs(bounds).max(axis=0), 1, atol=1e-5)
        low, high = loaded.calibration.inner_range(name, 1)
        assert -1.001 <= low < high <= 1.001


@pytest.mark.parametrize("name", ["plain_convolutions", "residual", "gemm_spellings", "transformer_block"])
def test_factors_answer_the_data_better_than_the_weights_own(load: Callable[[str], Loaded], name: str) -> None:
    """Principal components of the outputs minimize the error of the outputs, rank by rank (Zhang et al. 2015)."""
    loaded = load(name)
    feeds = dict(loaded.case.example)
    calibration = calibrate(loaded.network, [feeds])
    for layer in loaded.network.layers:
        if layer.name not in calibration.factors:
            continue
        weight = constant(loaded.network.model.graph.initializers[layer.weight_name])
        plain, ours = decompose(layer, weight), calibration.factors[layer.name]
        inputs, outputs, bias = _rows(loaded, layer, feeds)
        for rank in range(1, len(ours.first)):
            cut, cut_plain = ours.cut(rank), plain.cut(rank)
            answer = inputs @ cut.first.T @ cut.second.T + (0 if layer.op_type == "MatMul" else cut.bias)
            answer_plain = inputs @ cut_plain.first.T @ cut_plain.second.T + bias
            assert np.square(outputs - answer).sum() <= 1.02 * np.square(outputs - answer_plain).sum() + 1e-6
            if layer.op_type != "MatMul":
                np.testing.assert_allclose(answer.mean(axis=0), outputs.mean(axis=0), atol=1e-3)


def _rows(loaded: Loaded, layer: Layer, feeds: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every input patch (rows, in × kernel) of a layer, its outputs (rows, out) and its bias, by torch's unfold."""
    import torch

    model = loaded.network.model.clone()
    node = next(node for node in model.graph if node.name == layer.node_name)
    model.graph.outputs.clear()
    model.graph.outputs.extend([operand(node, 0), node.outputs[0]])
    value, output = open_session(serialize(model), optimize=False).run(None, feeds)
    bias = constant(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] is not None else np.zeros(1)
    if layer.op_type != "Conv":
        return value.reshape(-1, value.shape[-1]), output.reshape(-1, output.shape[-1]), bias
    spatial = len(layer.weight_shape) - 2
    pads = list(node.attributes["pads"].as_ints()) if "pads" in node.attributes else [0] * 2 * spatial
    strides = list(node.attributes["strides"].as_ints()) if "strides" in node.attributes else [1] * spatial
    padded = np.pad(value, [(0, 0), (0, 0), *zip(pads[:spatial], pads[spatial:], strict=True)])
    patches = torch.nn.functional.unfold(torch.from_numpy(padded), layer.weight_shape[2:], stride=strides).numpy()
    rows = patches.transpose(0, 2, 1).reshape(-1, patches.shape[1])
    return rows, np.moveaxis(output, 1, -1).reshape(-1, output.shape[1]), bias


def test_a_saved_calibration_builds_the_same_bytes(loaded: Loaded, tmp_path: Path) -> None:
    from compress.scheme import SCHEMES
    from compress.stitch import Compressor

    path = tmp_path / "calibration.npz"
    save_calibration(loaded.calibration, path)
    again = Compressor(loaded.network, load_calibration(path), SCHEMES["u8s8"])
    for policy in assorted(loaded.network, 1).values():
        assert again.build(policy).onnx_bytes == loaded.compressor().build(policy).onnx_bytes


def test_no_data(load: Callable[[str], Loaded]) -> None:
    for name in ("plain_convolutions", "nothing_to_compress"):
        with pytest.raises(CompressionError, match="must yield at least one batch"):
            calibrate(load(name).network, [])


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
def test_data_that_is_not_finite(load: Callable[[str], Loaded], poison: float) -> None:
    image = images()
    image[0, 0, 0, 0] = poison
    batches = [{"image": images()}, {"image": image}]
    with pytest.raises(CompressionError, match=r"tensor '\w+' of the FP32 network is not finite") as caught:
        calibrate(load("plain_convolutions").network, batches)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "feeds", [{"image": images().astype(np.float64)}, {"image": images(channels=4)}, {"picture": images()}, {}]
)
def test_data_that_the_network_does_not_take(load: Callable[[str], Loaded], feeds: dict[str, np.ndarray]) -> None:
    with pytest.raises(CompressionError, match="the network does not run on the calibration data") as caught:
        calibrate(load("plain_convolutions").network, [feeds])
    assert "\n" not in str(caught.value)


def test_a_batch_axis_that_is_not_dynamic(tmp_path: Path) -> None:
    network = load_network(write(ZOO["fixed_batch"](), tmp_path), {"image": images(batch=1)})
    with pytest.raises(CompressionError, match="does not run on the calibration data"):
        calibrate(network, [{"image": images(batch=4)}])


def test_ranges_of_masks_do_not_matter(load: Callable[[str], Loaded], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        calibration = calibrate(load("masked").network, [{"x": vectors(16, 8)}])
    assert all(np.isfinite(bounds).all() for bounds in calibration.ranges.values())
