"""A machine whose CUDA driver is a fake."""

from __future__ import annotations

import pytest

from latency.worker.cuda_driver import CudaDriver
from tests.latency.worker.fake_cuda import FakeCuda


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    """The fake in the driver's place, on a machine without NVIDIA's management library."""
    fake = FakeCuda()

    def initialized() -> CudaDriver:
        driver = CudaDriver(fake)
        driver.call("cuInit", 0)
        return driver

    monkeypatch.setattr(CudaDriver, "open", initialized)
    monkeypatch.setattr("latency.worker.cuda_driver._MANAGEMENT_LIBRARY", "libabsent.so")
    return fake
