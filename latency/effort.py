"""How much time a measurement may take, and how exact it should be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Effort:
    """A stop rule.

    In a pass every worker times the two models for ``seconds_per_process``; with slow models, for three rounds of four
    inferences at least. When the ratio's interval is then wider than ``target_half_width`` (relative), there is another
    pass, up to ``max_passes``, as long as one fits into ``max_seconds``: in the same workers, and from the third on in
    fresh ones where not samples but processes are wanting (starting them costs more than a pass).
    """

    target_half_width: float
    seconds_per_process: float
    max_passes: int
    max_seconds: float

    def __post_init__(self) -> None:
        positive = {
            "target_half_width": self.target_half_width,
            "seconds_per_process": self.seconds_per_process,
            "max_passes": self.max_passes,
            "max_seconds": self.max_seconds,
        }
        for name, value in positive.items():
            if not value > 0:
                msg = f"{name} must be above 0, got {value}"
                raise ValueError(msg)


# Enough to rank candidates.
SEARCH = Effort(target_half_width=0.007, seconds_per_process=0.13, max_passes=2, max_seconds=4.0)
# For what that could not tell.
RETRY = Effort(target_half_width=0.03, seconds_per_process=0.3, max_passes=3, max_seconds=10.0)
# One pass of a confirmation; whoever confirms takes several and combines them. Between two passes over several
# candidates the ring renews its workers anyway.
CONFIRM = Effort(target_half_width=0.004, seconds_per_process=0.3, max_passes=1, max_seconds=20.0)
