"""The driver's return codes are never lost, and what was taken is given back."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from latency.worker.cuda_driver import CudaDriver, Gpu, name_gpu, open_gpu
from latency.worker.engine import EngineError
from latency.worker.stopwatch import time_on_gpu
from latency.worker.transfers import time_transfers
from tests.latency.worker.fake_cuda import FUNCTIONS, FakeCuda


def use_gpu() -> None:
    gpu = open_gpu(0)
    gpu.upload(gpu.allocate(4), np.ones(1, np.float32))


def test_gpu_is_named_with_its_driver(cuda: FakeCuda) -> None:
    assert name_gpu(0) == "NVIDIA Fake (8.9), driver for CUDA 13.1"


def test_device_that_is_not_there_is_refused(cuda: FakeCuda) -> None:
    cuda.devices = 2
    with pytest.raises(EngineError, match="device 2 was asked for, this machine has 2 GPUs") as caught:
        open_gpu(2)
    assert caught.value.kind == "accelerator_missing"


@pytest.mark.parametrize(
    ("function", "status", "kind", "words"),
    [
        ("cuInit", 100, "accelerator_missing", "cuInit returned CUDA_ERROR_100 (in words); check what nvidia-smi says"),
        ("cuMemAlloc_v2", 2, "out_of_memory", "cuMemAlloc_v2 returned CUDA_ERROR_2 (in words); free GPU memory"),
        ("cuStreamSynchronize", 700, "cuda", "cuStreamSynchronize returned CUDA_ERROR_700 (in words)"),
    ],
)
def test_return_code_becomes_a_sentence(cuda: FakeCuda, function: str, status: int, kind: str, words: str) -> None:
    cuda.fails[function] = status
    with pytest.raises(EngineError) as caught:
        use_gpu()
    assert caught.value.kind == kind
    assert words in str(caught.value)


def test_function_that_an_old_driver_lacks_is_named(cuda: FakeCuda) -> None:
    with pytest.raises(EngineError, match=r"has no cuFromTheFuture; update NVIDIA's driver"):
        CudaDriver(cuda).call("cuFromTheFuture")


def test_machine_without_a_driver_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latency.worker.cuda_driver._LIBRARY", "libabsent.so.1")
    with pytest.raises(EngineError, match=r"no NVIDIA driver: libabsent\.so\.1: .*install it") as caught:
        open_gpu(0)
    assert caught.value.kind == "accelerator_missing"


def test_arrays_go_there_and_back(cuda: FakeCuda) -> None:
    gpu = open_gpu(0)
    array = np.arange(6, dtype=np.int64).reshape(2, 3)
    address = gpu.allocate(array.nbytes)
    gpu.upload(address, array)
    back = np.empty_like(array)
    gpu.download(back, address)
    np.testing.assert_array_equal(back, array)
    assert cuda.calls[-2:] == ["cuMemcpyDtoHAsync_v2", "cuStreamSynchronize"]


def test_closing_gives_everything_back_once(cuda: FakeCuda) -> None:
    gpu = open_gpu(0)
    gpu.allocate(8)
    gpu.free(gpu.allocate(8))
    gpu.close()
    gpu.close()
    assert cuda.allocated == 0
    for taken, given in [
        ("cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRelease_v2"),
        ("cuStreamCreate", "cuStreamDestroy_v2"),
        ("cuEventCreate", "cuEventDestroy_v2"),
        ("cuMemAlloc_v2", "cuMemFree_v2"),
    ]:
        assert cuda.calls.count(taken) == cuda.calls.count(given) > 0
    assert cuda.calls[-1] == "cuDevicePrimaryCtxRelease_v2"


def test_half_opened_gpu_is_closed(cuda: FakeCuda) -> None:
    cuda.fails["cuEventCreate"] = 1
    with pytest.raises(EngineError, match="cuEventCreate"):
        open_gpu(0)
    assert cuda.calls[-2:] == ["cuStreamDestroy_v2", "cuDevicePrimaryCtxRelease_v2"]


@pytest.mark.parametrize(("spinning", "flags"), [(True, [0, 0]), (False, [1, 1])])
def test_waiting_spins_or_sleeps_as_asked(cuda: FakeCuda, spinning: bool, flags: list[int]) -> None:
    open_gpu(0, spinning=spinning)
    assert cuda.event_flags == flags


def test_time_is_between_an_event_before_and_one_behind(cuda: FakeCuda) -> None:
    gpu = open_gpu(0)
    cuda.calls.clear()
    cuda.elapsed_ms = [0.5, 1.25]
    switches = iter([3, 3, 5, 9])
    rows = time_on_gpu(gpu, lambda: cuda.calls.append("inference"), 2, lambda: next(switches))
    assert rows == [[500_000, None, 0], [1_250_000, None, 4]]
    one = ["cuEventRecord", "inference", "cuEventRecord", "cuEventSynchronize", "cuEventElapsedTime"]
    assert cuda.calls == one * 2


def test_inference_that_fails_is_not_timed(cuda: FakeCuda) -> None:
    def fail() -> None:
        raise EngineError("refused", kind="inference")

    with pytest.raises(EngineError, match="refused"):
        time_on_gpu(open_gpu(0), fail, 2, lambda: None)
    assert "cuEventElapsedTime" not in cuda.calls


def test_transfers_copy_every_array_and_leave_nothing(cuda: FakeCuda) -> None:
    gpu: Gpu = open_gpu(0)
    inputs, outputs = [np.ones((2, 3), np.float32), np.ones(0, np.int64)], [np.ones((4, 5)).T]
    found = time_transfers(gpu, inputs, outputs)
    assert set(found) == {"to_device", "to_host"}
    assert all(isinstance(value, float) and value > 0 for value in found.values())
    assert cuda.calls.count("cuMemcpyHtoDAsync_v2") == 2 * cuda.calls.count("cuMemcpyDtoHAsync_v2") > 0
    assert cuda.allocated == 0


def test_functions_that_are_called_are_the_drivers() -> None:
    """Where there is a driver, it has each of them under the name that is called."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError:
        pytest.skip("no NVIDIA driver on this machine")
    assert [name for name in sorted(FUNCTIONS) if not hasattr(library, name)] == []
