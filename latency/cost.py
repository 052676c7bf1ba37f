"""Where a meter's time went."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(kw_only=True, slots=True)
class Cost:
    """Where a meter's time went so far.

    ``inference_s`` is inside the models, warm-up included; ``overhead_s`` is everything else while the caller waits;
    ``waited_s`` is what of that others had the machine for, who measure there too.
    ``served`` counts what came from the log.
    """

    inference_s: float = 0.0
    overhead_s: float = 0.0
    waited_s: float = 0.0
    measured: int = 0
    served: int = 0
    workers_lost: int = 0
