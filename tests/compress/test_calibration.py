"""One pass over the data: what it must see, and what it must say when it cannot."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from compress.calibration import calibrate, load_calibration, save_calibration
from compress.errors import CompressionError
from compress.network import load_network
from tests.compress.conftest import Loaded
from tests.compress.policies import assorted
from tests.compress.zoo import ZOO, write
from tests.compress.zoo.case import images, vectors


def test_ranges_are_those_of_all_batches(load: Callable[[str], Loaded]) -> None:
    loaded = load("plain_convolutions")
    image = loaded.case.example["image"]
    seen: list[int] = []
    in_parts = calibrate(loaded.network, [{"image": image[:1]}, {"image": image[1:]}], progress=seen.append)
    assert seen == [1, len(image)]
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
