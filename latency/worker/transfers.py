"""What it takes to bring inputs to a GPU and outputs back, which timing on the GPU leaves out."""

from __future__ import annotations

import functools
import statistics
import time
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from latency.worker.cuda_driver import Gpu

_REPEATS = 11


def time_transfers(gpu: Gpu, inputs: Iterable[np.ndarray], outputs: Iterable[np.ndarray]) -> dict[str, float]:
    """Median wall time in milliseconds of copying arrays ``to_device`` and ``to_host``, one after another.

    The arrays lie in ordinary (pageable) memory, as those of most users do.
    """
    sources = [(gpu.allocate(array.nbytes), np.ascontiguousarray(array)) for array in inputs]
    targets = [(gpu.allocate(array.nbytes), np.empty_like(array, order="C")) for array in outputs]
    try:
        return {
            "to_device": _median_ms([functools.partial(gpu.upload, address, array) for address, array in sources]),
            "to_host": _median_ms([functools.partial(gpu.download, array, address) for address, array in targets]),
        }
    finally:
        for address, _array in [*sources, *targets]:
            gpu.free(address)


def _median_ms(copies: list[Callable[[], None]]) -> float:
    times = []
    for _ in range(_REPEATS + 1):
        start = time.perf_counter_ns()
        for copy in copies:
            copy()
        times.append(time.perf_counter_ns() - start)
    return statistics.median(times[1:]) / 1e6  # the first touches pages that later ones find
