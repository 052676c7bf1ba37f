"""The probe and the digits of the effnet-lite0 workload."""

from __future__ import annotations

import numpy as np
import pytest

from workloads.builtin.effnet_lite0 import PROBE
from workloads.builtin.effnet_lite0_data import load_digits


def test_the_probe_saw_no_digit_that_validates() -> None:
    probe, validation = load_digits()
    assert np.bincount(probe.labels).tolist() == np.bincount(validation.labels).tolist() == [200] * 10
    seen, others = ({image.tobytes() for image in digits.pixels} for digits in (probe, validation))
    assert not seen & others
    assert np.array_equal(validation.labels[:4], [0, 0, 1, 1])


def test_images_are_enlarged_grey_levels_in_three_equal_channels() -> None:
    digits, _ = load_digits()
    images = digits.images(0, 5)
    assert (images.dtype, images.shape) == (np.float32, (5, 3, 96, 96))
    levels = images * 128 + 127
    assert np.array_equal(levels, np.rint(levels))
    assert np.array_equal(images[:, 0], images[:, 2])
    assert levels.mean() == pytest.approx(digits.pixels[:5].mean(), rel=0.02)
    small = digits.pixels[:5].reshape(5, 28, 28)
    # Each 7 pixels become 24; the mean over a 7×7 block moves only by what neighbours share at its rim.
    blocks = small.reshape(5, 4, 7, 4, 7).mean(axis=(2, 4))
    enlarged = levels[:, 0].reshape(5, 4, 24, 4, 24).mean(axis=(2, 4))
    np.testing.assert_allclose(enlarged, blocks, atol=8)


def test_ridge_is_the_minimum_of_its_own_loss() -> None:
    from workloads.builtin.fit_effnet_lite0 import fit

    generator = np.random.default_rng(0)
    features, labels = generator.normal(size=(60, 7)) + 1, generator.integers(0, 10, 60)
    weight, bias = fit(features, labels, penalty=2.0)

    def loss(weight: np.ndarray, bias: np.ndarray) -> float:
        return float(np.square(features @ weight.T + bias - np.eye(10)[labels]).sum() + 2.0 * np.square(weight).sum())

    best = loss(weight, bias)
    assert (weight.shape, bias.shape) == ((10, 7), (10,))
    for _ in range(20):
        step, shift = generator.normal(size=weight.shape), generator.normal(size=bias.shape)
        assert loss(weight + 1e-3 * step, bias + 1e-3 * shift) > best


def test_the_shipped_head_is_a_linear_layer_of_the_network() -> None:
    pytest.importorskip("efficientnet_lite_pytorch", reason="pip install 'paretune[benchmarks]'")
    from safetensors.numpy import load_file

    from workloads.builtin.effnet_lite0 import model

    shipped, network = load_file(PROBE), model().state_dict()
    assert {name: array.shape for name, array in shipped.items()} == {"_fc.weight": (10, 1280), "_fc.bias": (10,)}
    assert all(np.array_equal(network[name].numpy(), array) for name, array in shipped.items())
