"""CUDA's driver API, as much as timing needs: a GPU, its memory, a stream, two events. Every return code is checked.

Bound with ctypes: wherever there is a GPU there is the driver's library, but not always a Python package for it.
"""

from __future__ import annotations

import ctypes
import sys
from typing import TYPE_CHECKING, Any

from latency.worker.engine import EngineError

if TYPE_CHECKING:
    import numpy as np

_LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
_MANAGEMENT_LIBRARY = "nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1"
_NON_BLOCKING = 1  # a stream that does not wait for the legacy default stream, which other libraries use
_WAIT_ASLEEP = 1  # an event whose waiters sleep instead of spinning
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*
_OUT_OF_MEMORY = 2
_NO_GPU = {34, 35, 100, 803, 804}  # stub library, old driver, no device, driver mismatch, unsupported device


class CudaDriver:
    """The driver's functions by name.

    Args:
        library: the loaded driver library.
    """

    def __init__(self, library: Any) -> None:
        self._library = library

    @classmethod
    def open(cls) -> CudaDriver:
        """The machine's driver, initialized.

        Raises:
            EngineError: there is no driver, or it finds no GPU.
        """
        try:
            library = ctypes.CDLL(_LIBRARY)
        except OSError as error:
            msg = f"no NVIDIA driver: {error}; install it, or choose an engine that runs on the processor"
            raise EngineError(msg, kind="accelerator_missing") from error
        driver = cls(library)
        driver.call("cuInit", ctypes.c_uint(0))
        return driver

    def call(self, function: str, *arguments: Any) -> None:
        """Calls a function of the driver.

        Raises:
            EngineError: it does not return CUDA_SUCCESS, or this driver does not have it.
        """
        try:
            status = int(getattr(self._library, function)(*arguments))
        except AttributeError as error:
            msg = f"{_LIBRARY} has no {function}; update NVIDIA's driver"
            raise EngineError(msg, kind="accelerator_missing") from error
        if status:
            raise self._error(function, status)

    def _error(self, function: str, status: int) -> EngineError:
        texts = []
        for getter in ("cuGetErrorName", "cuGetErrorString"):
            text = ctypes.c_char_p()
            getattr(self._library, getter)(ctypes.c_int(status), ctypes.byref(text))
            texts.append((text.value or b"unknown error").decode())
        remedy, kind = "what ran on the GPU before is the likely cause", "cuda"
        if status in _NO_GPU:
            remedy, kind = "check what nvidia-smi says of GPU and driver", "accelerator_missing"
        elif status == _OUT_OF_MEMORY:
            remedy, kind = "free GPU memory, or lower batch_size", "out_of_memory"
        return EngineError(f"{function} returned {texts[0]} ({texts[1]}); {remedy}", kind=kind)


class Gpu:
    """One GPU with a stream and a pair of events of its own, in the context that CUDA's runtime libraries share.

    Args:
        driver: the driver's functions.
        device: the GPU's number.
        spinning: whether waiting burns a core, which sees the end sooner.

    Raises:
        EngineError: there is no such GPU.
    """

    def __init__(self, driver: CudaDriver, device: int, *, spinning: bool = True) -> None:
        self._driver = driver
        self._device = _device(driver, device)
        self._context = ctypes.c_void_p()
        self._stream = ctypes.c_void_p()
        self._start, self._end = ctypes.c_void_p(), ctypes.c_void_p()
        self._addresses: set[int] = set()
        driver.call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), self._device)
        try:
            self.make_current()
            driver.call("cuStreamCreate", ctypes.byref(self._stream), ctypes.c_uint(_NON_BLOCKING))
            flags = ctypes.c_uint(0 if spinning else _WAIT_ASLEEP)
            for event in (self._start, self._end):
                driver.call("cuEventCreate", ctypes.byref(event), flags)
        except EngineError:
            self.close()
            raise

    @property
    def capability(self) -> str:
        """The compute capability, such as ``8.9``."""
        return _capability(self._driver, self._device)

    @property
    def stream(self) -> int:
        """The stream's handle, as runtimes take it."""
        return int(self._stream.value or 0)

    def make_current(self) -> None:
        """Makes the GPU's context the calling thread's."""
        self._driver.call("cuCtxSetCurrent", self._context)

    def allocate(self, size: int) -> int:
        """The address of ``size`` bytes on the GPU, which are freed at the latest when the GPU is closed."""
        address = ctypes.c_uint64()
        self._driver.call("cuMemAlloc_v2", ctypes.byref(address), ctypes.c_size_t(max(size, 1)))
        self._addresses.add(address.value)
        return address.value

    def free(self, address: int) -> None:
        """Frees what ``allocate`` returned."""
        self._addresses.remove(address)
        self._driver.call("cuMemFree_v2", ctypes.c_uint64(address))

    def upload(self, address: int, array: np.ndarray) -> None:
        """Puts a contiguous array on the GPU, after what the stream holds, and waits for it."""
        source = ctypes.c_void_p(array.ctypes.data)
        size = ctypes.c_size_t(array.nbytes)
        self._driver.call("cuMemcpyHtoDAsync_v2", ctypes.c_uint64(address), source, size, self._stream)
        self.synchronize()

    def download(self, array: np.ndarray, address: int) -> None:
        """Fills a contiguous array from the GPU, after what the stream holds, and waits for it."""
        target = ctypes.c_void_p(array.ctypes.data)
        size = ctypes.c_size_t(array.nbytes)
        self._driver.call("cuMemcpyDtoHAsync_v2", target, ctypes.c_uint64(address), size, self._stream)
        self.synchronize()

    def synchronize(self) -> None:
        """Waits for what the stream holds. What failed on the GPU meanwhile is raised here."""
        self._driver.call("cuStreamSynchronize", self._stream)

    def start_clock(self) -> None:
        """Puts the start event into the stream."""
        self._driver.call("cuEventRecord", self._start, self._stream)

    def stop_clock(self) -> int:
        """Puts the end event into the stream, waits for it, and returns the nanoseconds since the start event."""
        self._driver.call("cuEventRecord", self._end, self._stream)
        self._driver.call("cuEventSynchronize", self._end)
        elapsed_ms = ctypes.c_float()
        self._driver.call("cuEventElapsedTime", ctypes.byref(elapsed_ms), self._start, self._end)
        return round(elapsed_ms.value * 1e6)

    def close(self) -> None:
        """Gives everything back. Closing twice is harmless."""
        if not self._context.value:
            return
        context, self._context = self._context, ctypes.c_void_p()
        self._driver.call("cuCtxSetCurrent", context)
        for address in list(self._addresses):
            self.free(address)
        for event in (self._start, self._end):
            if event.value:
                self._driver.call("cuEventDestroy_v2", event)
        if self._stream.value:
            self._driver.call("cuStreamDestroy_v2", self._stream)
        self._driver.call("cuDevicePrimaryCtxRelease_v2", self._device)


def open_gpu(device: int, *, spinning: bool = True) -> Gpu:
    """The machine's GPU of this number.

    Raises:
        EngineError: there is no driver, or no such GPU.
    """
    return Gpu(CudaDriver.open(), device, spinning=spinning)


def name_gpu(device: int) -> str:
    """A GPU's name, compute capability and driver version, such as ``NVIDIA L4 (8.9), driver 580.65.06``.

    Raises:
        EngineError: there is no driver, or no such GPU.
    """
    driver = CudaDriver.open()
    number = _device(driver, device)
    name = ctypes.create_string_buffer(256)
    driver.call("cuDeviceGetName", name, ctypes.c_int(len(name)), number)
    return f"{name.value.decode()} ({_capability(driver, number)}), {_driver_version(driver)}"


def _capability(driver: CudaDriver, number: ctypes.c_int) -> str:
    parts = []
    for attribute in (_MAJOR, _MINOR):
        value = ctypes.c_int()
        driver.call("cuDeviceGetAttribute", ctypes.byref(value), ctypes.c_int(attribute), number)
        parts.append(str(value.value))
    return ".".join(parts)


def _device(driver: CudaDriver, device: int) -> ctypes.c_int:
    count = ctypes.c_int()
    driver.call("cuDeviceGetCount", ctypes.byref(count))
    if not 0 <= device < count.value:
        msg = f"device {device} was asked for, this machine has {count.value} GPUs, numbered from 0; correct device"
        raise EngineError(msg, kind="accelerator_missing")
    number = ctypes.c_int()
    driver.call("cuDeviceGet", ctypes.byref(number), ctypes.c_int(device))
    return number


def _driver_version(driver: CudaDriver) -> str:
    """NVIDIA's own number where its management library tells it, else the newest CUDA that the driver runs."""
    text = ctypes.create_string_buffer(96)
    try:
        library = ctypes.CDLL(_MANAGEMENT_LIBRARY)
    except OSError:
        library = None
    if library is not None and library.nvmlInit_v2() == 0:
        status = library.nvmlSystemGetDriverVersion(text, ctypes.c_uint(len(text)))
        library.nvmlShutdown()
        if status == 0:
            return f"driver {text.value.decode()}"
    version = ctypes.c_int()
    driver.call("cuDriverGetVersion", ctypes.byref(version))
    return f"driver for CUDA {version.value // 1000}.{version.value % 1000 // 10}"
