"""Times one call: wall clock, this thread's processor time, and how often the system took the processor away.

On a GPU the clock is a pair of events in the stream, and the processor's time says nothing of the inference.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latency.worker.cuda_driver import Gpu

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]


def switch_counter(threads: int) -> Callable[[], int | None]:
    """A function that counts involuntary context switches so far, or returns None where the system does not tell.

    With one thread it counts those of the calling thread; with more, those of the whole process, since any of the
    runtime's threads may hold up an inference.
    """
    scope = getattr(resource, "RUSAGE_THREAD" if threads == 1 else "RUSAGE_SELF", None)
    if resource is None or scope is None:
        return _unknown
    getrusage = resource.getrusage

    def count() -> int | None:
        return getrusage(scope).ru_nivcsw

    return count


def _unknown() -> None:
    return None


def time_calls(call: Callable[[], Any], count: int, switches: Callable[[], int | None]) -> list[list[int | None]]:
    """Calls ``count`` times; returns ``[wall_ns, thread_cpu_ns, switches]`` for each call."""
    samples: list[list[int | None]] = []
    for _ in range(count):
        switches_before = switches()
        cpu_before = time.thread_time_ns()
        wall_before = time.perf_counter_ns()
        call()
        wall_ns = time.perf_counter_ns() - wall_before
        cpu_ns = time.thread_time_ns() - cpu_before
        switches_after = switches()
        known = switches_before is not None and switches_after is not None
        samples.append([wall_ns, cpu_ns, switches_after - switches_before if known else None])  # type: ignore[operator]
    return samples


def time_on_gpu(
    gpu: Gpu, enqueue: Callable[[], Any], count: int, switches: Callable[[], int | None]
) -> list[list[int | None]]:
    """Lets ``enqueue`` put one inference into the GPU's stream ``count`` times, each alone in it.

    The time is that between an event before and one behind the inference: with what the processor needs to launch
    it, since the GPU waits for that too, and without transfers. Returns ``[event_ns, None, switches]`` for each.
    """
    samples: list[list[int | None]] = []
    for _ in range(count):
        switches_before = switches()
        gpu.start_clock()
        enqueue()
        event_ns = gpu.stop_clock()
        switches_after = switches()
        known = switches_before is not None and switches_after is not None
        samples.append([event_ns, None, switches_after - switches_before if known else None])  # type: ignore[operator]
    return samples
