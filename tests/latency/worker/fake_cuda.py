"""A CUDA driver without a GPU: the driver's functions over ordinary memory, with a clock that tests set."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any


class FakeCuda:
    """Stands in for the loaded driver library. Addresses are real, so that copies really copy.

    Attributes:
        calls: the functions called, in order.
        fails: function to the status that it returns.
        elapsed_ms: what is between the next pairs of events.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fails: dict[str, int] = {}
        self.elapsed_ms: list[float] = []
        self.devices = 1
        self.capability = (8, 9)
        self.event_flags: list[int] = []
        self._memory: dict[int, Any] = {}
        self._handles = 0x1000

    @property
    def allocated(self) -> int:
        """How many pieces of memory are not freed."""
        return len(self._memory)

    def __getattr__(self, name: str) -> Callable[..., int]:
        if name not in FUNCTIONS:
            raise AttributeError(name)

        def function(*arguments: Any) -> int:
            self.calls.append(name)
            if name in self.fails:
                return self.fails[name]
            perform = FUNCTIONS[name]
            if perform is not None:
                perform(self, *arguments)
            return 0

        return function

    def _error_name(self, status: Any, text: Any) -> None:
        text._obj.value = f"CUDA_ERROR_{status.value}".encode()

    def _error_words(self, status: Any, text: Any) -> None:
        text._obj.value = b"in words"

    def _count(self, count: Any) -> None:
        count._obj.value = self.devices

    def _number(self, number: Any, device: Any) -> None:
        number._obj.value = device.value

    def _name(self, name: Any, size: Any, device: Any) -> None:
        name.value = b"NVIDIA Fake"

    def _attribute(self, value: Any, attribute: Any, device: Any) -> None:
        value._obj.value = dict(zip((75, 76), self.capability, strict=True))[attribute.value]

    def _version(self, version: Any) -> None:
        version._obj.value = 13010

    def _handle(self, target: Any, *_: Any) -> None:
        self._handles += 1
        target._obj.value = self._handles

    def _event(self, target: Any, flags: Any) -> None:
        self.event_flags.append(flags.value)
        self._handle(target)

    def _allocate(self, address: Any, size: Any) -> None:
        block = ctypes.create_string_buffer(size.value)
        address._obj.value = ctypes.addressof(block)
        self._memory[ctypes.addressof(block)] = block

    def _free(self, address: Any) -> None:
        del self._memory[address.value]

    def _copy(self, target: Any, source: Any, size: Any, stream: Any) -> None:
        ctypes.memmove(target.value, source.value, size.value)

    def _elapsed(self, elapsed: Any, start: Any, end: Any) -> None:
        elapsed._obj.value = self.elapsed_ms.pop(0)


FUNCTIONS: dict[str, Callable[..., None] | None] = {
    "cuInit": None,
    "cuGetErrorName": FakeCuda._error_name,
    "cuGetErrorString": FakeCuda._error_words,
    "cuDeviceGetCount": FakeCuda._count,
    "cuDeviceGet": FakeCuda._number,
    "cuDeviceGetName": FakeCuda._name,
    "cuDeviceGetAttribute": FakeCuda._attribute,
    "cuDriverGetVersion": FakeCuda._version,
    "cuDevicePrimaryCtxRetain": FakeCuda._handle,
    "cuDevicePrimaryCtxRelease_v2": None,
    "cuCtxSetCurrent": None,
    "cuStreamCreate": FakeCuda._handle,
    "cuStreamDestroy_v2": None,
    "cuStreamSynchronize": None,
    "cuEventCreate": FakeCuda._event,
    "cuEventDestroy_v2": None,
    "cuEventRecord": None,
    "cuEventSynchronize": None,
    "cuEventElapsedTime": FakeCuda._elapsed,
    "cuMemAlloc_v2": FakeCuda._allocate,
    "cuMemFree_v2": FakeCuda._free,
    "cuMemcpyHtoDAsync_v2": FakeCuda._copy,
    "cuMemcpyDtoHAsync_v2": FakeCuda._copy,
}
"""What the driver has, as far as it is called, and what the fake does then."""
