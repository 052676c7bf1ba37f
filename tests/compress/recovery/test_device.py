"""Training computes where it is told to: nothing is made or read on the way without saying where."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._device import _device_constructors  # what a device context must know too; torch has no public list

from compress.errors import CompressionError
from compress.policy import LayerPolicy, Policy
from compress.recovery.device import fetch, find_device, place, steady
from compress.recovery.lessons import Lessons
from compress.recovery.recover import recover
from compress.recovery.settings import RecoverySettings
from tests.compress.conftest import Loaded
from tests.compress.policies import masked, mixed, names_of

CPU = torch.device("cpu")
DYNAMIC = LayerPolicy(weight_bits=8, activation_bits=8, activation_mode="dynamic")
WEIGHTS = LayerPolicy(weight_bits=4)


class _SayingWhere(TorchFunctionMode):
    """Refuses what would fail, or be in the wrong place, were the processor not where everything is."""

    def __init__(self) -> None:
        super().__init__()
        self.made = 0
        self._before: Any = None

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func in _device_constructors():
            assert kwargs.get("device") is not None, f"{func.__name__} without a device"
            self.made += 1
        assert func is not torch.from_numpy, "an array enters past place()"
        if func is torch.Tensor.numpy:
            assert self._before is torch.Tensor.cpu, "a tensor is read where it is"
        self._before = func
        return func(*args, **kwargs)


def _lessons(loaded: Loaded) -> Lessons:
    random = np.random.default_rng(0)
    feeds = {
        name: random.standard_normal((24, *array.shape[1:])).astype(array.dtype)
        for name, array in loaded.case.example.items()
    }
    return Lessons.of([(feeds, random.integers(0, 2, 24))], score=lambda outputs, targets: np.zeros(len(targets)))


@pytest.mark.parametrize("name", ["depthwise_clip", "transformer_block"])
def test_nothing_is_made_or_read_without_saying_where(load: Callable[[str], Loaded], name: str) -> None:
    """Over every number format, masks, hints, mixtures, labels and a checkpoint's state."""
    loaded = load(name)
    compressor = loaded.compressor()
    names = names_of(loaded.network)
    settings = RecoverySettings(epochs=1, batch_size=8, hint_weight=0.1, mixing=0.5, float_share=0.4)
    for policy in (mixed(loaded.network, names), masked(compressor.network, "unstructured", 0.5)):
        with _SayingWhere() as mode:
            recover(compressor, policy, _lessons(loaded), settings)
        assert mode.made > len(names)


def test_arrays_come_back_as_they_were() -> None:
    for array in (np.arange(6.0).reshape(2, 3).T[::-1], np.float32(2.5), np.zeros((0, 3), np.int64)):
        found = fetch(place(np.asarray(array), CPU))
        assert found.dtype == np.asarray(array).dtype
        np.testing.assert_array_equal(found, array)


def test_a_device_that_is_not_there_is_named(load: Callable[[str], Loaded], monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load("residual")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    settings = RecoverySettings(device="cuda", epochs=1)
    with pytest.raises(CompressionError, match=r"device 'cuda' is not there: torch .* finds no CUDA; use 'cpu'"):
        recover(loaded.compressor(), mixed(loaded.network), _lessons(loaded), settings)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert find_device("cuda:0") == torch.device("cuda", 0)
    with pytest.raises(CompressionError, match=r"device 'cuda:1' is not there: torch finds 1"):
        find_device("cuda:1")
    with pytest.raises(CompressionError, match="device must be 'cpu', 'cuda' or 'cuda:' and a number, got 'gpu'"):
        replace(settings, device="gpu")


def test_torch_is_left_as_it_was() -> None:
    before = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.allow_tf32)
    with steady(CPU, 1):
        assert torch.are_deterministic_algorithms_enabled()
    after = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.allow_tf32)
    assert after == before


def test_the_device_is_part_of_the_lineage(load: Callable[[str], Loaded]) -> None:
    loaded = load("residual")
    recovered = recover(
        loaded.compressor(), mixed(loaded.network), _lessons(loaded), RecoverySettings(epochs=1, mixing=0.0)
    )
    assert recovered.lineage.device == "cpu"
    document = recovered.lineage.as_dict()
    document.pop("device")  # as files have it that are older than the choice
    assert type(recovered.lineage).from_dict(document) == recovered.lineage


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here")
def test_a_graphics_processor_gives_nearly_the_same_weights_and_the_same_each_time(
    load: Callable[[str], Loaded],
) -> None:
    loaded = load("transformer_block")
    settings = RecoverySettings(epochs=1, batch_size=8, mixing=0.0)
    policy = Policy.uniform(names_of(loaded.network), LayerPolicy())
    lessons, compressor = _lessons(loaded), loaded.compressor()
    there = [recover(compressor, policy, lessons, replace(settings, device="cuda")) for _ in range(2)]
    here = recover(compressor, policy, lessons, settings)
    assert there[0].digest == there[1].digest
    for name, array in here.weights.items():
        np.testing.assert_allclose(there[0].weights[name], array, atol=1e-2)
