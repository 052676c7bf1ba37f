"""The order in which inferences are timed: warm up until it settles, then A-B-B-A."""

from __future__ import annotations

import gc
import statistics
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latency.worker.engine import Engine

_GROUP = 3  # inferences of each model between two looks at whether the times have settled
_SETTLED = 0.05  # relative change of the median from one group to the next
_STAY_NS = 2_000_000  # a fast model is timed several times in a row, for about this long
_LONGEST_STAY = 64


def warm_up(engines: list[Engine], budget_s: float) -> dict[str, Any]:
    """Runs the engines in turn until their times settle, or until the budget is spent.

    Settled: each engine's median of three inferences is within 5% of its median of the three before. However slow
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


def interleave(
    first: Engine,
    second: Engine,
    budget_s: float,
    min_rounds: int,
    limit_s: float,
    stays: list[int] | None = None,
) -> dict[str, Any]:
    """Times two engines in the order A-B-B-A until the budget is spent.

    In this order a drift that is linear in time falls on both alike. A slow model stays for one inference, a fast one
    for as many as fill two milliseconds, after one that is not timed: it finds the caches full of the other model
    (measured: 5% slower at 0.16 ms), which no user of either model will see. Each model's two turns are two calls, also
    where they follow each other: what happens between two calls costs the next inference half a percent at 1 ms.

    There are at least ``min_rounds`` rounds, but no new one after ``limit_s``, and always one. ``stays`` are those of
    an earlier call that this one goes on from. The garbage collector rests meanwhile.

    Returns:
        ``samples``: the samples of the first and of the second engine, each in the order they were taken;
        ``rounds``: how many there were, each with the same number of samples of an engine; ``stays``: how many
        inferences each engine stays for;
        ``untimed_ns``: the wall time of the inferences that were not timed.
    """
    samples: tuple[list[Any], list[Any]] = ([], [])
    collecting = gc.isenabled()
    gc.disable()
    try:
        untimed_ns = [_wall_ns(second), _wall_ns(first)]
        stay_first, stay_second = stays or [_stay(wall_ns) for wall_ns in reversed(untimed_ns)]
        before_first, before_second = int(stay_first > 1), int(stay_second > 1)
        start = time.perf_counter()
        rounds, elapsed_s = 0, 0.0
        while rounds == 0 or elapsed_s < budget_s or (rounds < min_rounds and elapsed_s < limit_s):
            samples[0].extend(first.time(stay_first))
            untimed_ns.extend(_wall_ns(second) for _ in range(before_second))
            samples[1].extend(second.time(stay_second))
            samples[1].extend(second.time(stay_second))
            untimed_ns.extend(_wall_ns(first) for _ in range(before_first))
            samples[0].extend(first.time(stay_first))
            rounds += 1
            elapsed_s = time.perf_counter() - start
    finally:
        if collecting:
            gc.enable()
    return {
        "samples": list(samples),
        "rounds": rounds,
        "stays": [stay_first, stay_second],
        "untimed_ns": sum(untimed_ns),
    }


def _stay(wall_ns: int) -> int:
    """How many inferences a model is timed for before the other has its turn."""
    return max(1, min(_LONGEST_STAY, -(-_STAY_NS // max(wall_ns, 1)))) if wall_ns < _STAY_NS else 1


def _wall_ns(engine: Engine) -> int:
    wall_ns = engine.time(1)[0][0]
    return 0 if wall_ns is None else wall_ns
