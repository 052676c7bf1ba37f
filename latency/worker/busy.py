"""Keeps a target busy: back-to-back inferences, as production under full load has them."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latency.worker.engine import Engine

_LOOK_S = 0.05  # about how often the clock is looked at between inferences
_KEPT = 4096  # newest times that the median is taken of


def keep_busy(engine: Engine, seconds: float) -> dict[str, Any]:
    """Runs inferences until ``seconds`` have passed, at least one.

    Returns:
        ``inferences``; ``median_ns``, of the newest of them; and ``elapsed_s``.
    """
    start = time.perf_counter()
    deadline = start + seconds
    walls_ns: list[int] = []
    inferences, count = 0, 1
    while True:
        rows = engine.time(count)
        inferences += len(rows)
        walls_ns = [*walls_ns, *(row[0] or 0 for row in rows)][-_KEPT:]
        now = time.perf_counter()
        if now >= deadline:
            return {"inferences": inferences, "median_ns": statistics.median(walls_ns), "elapsed_s": now - start}
        fits = _LOOK_S * 1e9 / max(rows[-1][0] or 1, 1)
        count = int(max(1, min(fits, _KEPT)))
