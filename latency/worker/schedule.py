"""The order in which inferences are timed: warm up until it settles, then A-B-B-A."""

from __future__ import annotations

import gc
import statistics
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latency.worker.engine import Engine

_GROUP = 5  # inferences of each model between two looks at whether the times have settled
_FAST_NS = 5_000_000
_FAST_STAY = 3
_SETTLED = 0.02  # relative change of the median from one group to the next


def warm_up(engines: list[Engine], budget_s: float) -> dict[str, Any]:
    """Runs the engines in turn until their times settle, or until the budget is spent.

    Settled: each engine's median of five inferences is within 2% of its median of the five before. However slow
    the models, each runs at least once.

    Returns:
        ``inferences`` of each engine, ``settled``, and ``inference_ns``, the sum of all wall times.
    """
    deadline = time.perf_counter() + budget_s
    inferences, total_ns, settled = 0, 0, False
    before: list[float] = []
    while not settled:
        group: list[list[int]] = [[] for _ in engines]
        for _ in range(_GROUP):
            for walls, engine in zip(group, engines):  # noqa: B905 - zip(strict=) needs Python 3.10
                walls.append(_wall_ns(engine))
            inferences += 1
            if time.perf_counter() >= deadline:
                break
        total_ns += sum(sum(walls) for walls in group)
        now = [statistics.median(walls) for walls in group]
        settled = bool(before) and all(abs(a - b) <= _SETTLED * b for a, b in zip(now, before))  # noqa: B905
        before = now
        if time.perf_counter() >= deadline:
            break
    return {"inferences": inferences, "settled": settled, "inference_ns": total_ns}


def interleave(first: Engine, second: Engine, budget_s: float, min_rounds: int, limit_s: float) -> dict[str, Any]:
    """Times two engines in the order A-B-B-A until the budget is spent.

    In this order a drift that is linear in time falls on both alike. Models below 5 ms stay for three inferences
    where slower ones stay for one, and their first inference after a change is not timed: it finds the caches full
    of the other model (measured: 5% slower at 0.16 ms), which no user of either model will see. There are at least
    ``min_rounds`` rounds, but no new one after ``limit_s``, and always one. The garbage collector rests meanwhile.

    Returns:
        ``samples``: the samples of the first and of the second engine, each in the order they were taken;
        ``untimed_ns``: the wall time of the inferences that were not timed.
    """
    samples: tuple[list[Any], list[Any]] = ([], [])
    collecting = gc.isenabled()
    gc.disable()
    try:
        untimed_ns = [_wall_ns(second), _wall_ns(first)]
        fast = min(untimed_ns) < _FAST_NS
        stay = _FAST_STAY if fast else 1
        start = time.perf_counter()
        rounds, elapsed_s = 0, 0.0
        while rounds == 0 or elapsed_s < budget_s or (rounds < min_rounds and elapsed_s < limit_s):
            samples[0].extend(first.time(stay))
            untimed_ns.append(_wall_ns(second) if fast else 0)
            samples[1].extend(second.time(2 * stay))
            untimed_ns.append(_wall_ns(first) if fast else 0)
            samples[0].extend(first.time(stay))
            rounds += 1
            elapsed_s = time.perf_counter() - start
    finally:
        if collecting:
            gc.enable()
    return {"samples": list(samples), "untimed_ns": sum(untimed_ns)}


def _wall_ns(engine: Engine) -> int:
    wall_ns = engine.time(1)[0][0]
    return 0 if wall_ns is None else wall_ns
