"""How a latency was read, beside what it is at the study's reference speed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latency.reference_speed import ReferenceSpeed
    from search.cost import Measured


@dataclass(frozen=True, kw_only=True)
class AsRead:
    """What the latency was put at the reference speed from; the same figures follow from the raw samples with these.

    Attributes:
        read_latency_ratio: Candidate over FP32 as it was read, at whatever speed; NaN where no latency was taken.
        read_fp32_ms: What FP32 took meanwhile.
        elasticity: By which power of FP32's time the ratio was taken to grow; NaN where nothing was known of it, and
            the ratio stands as it was read.
        elasticity_deviation: Standard deviation of that.
    """

    read_latency_ratio: float = math.nan
    read_fp32_ms: float = math.nan
    elasticity: float = math.nan
    elasticity_deviation: float = math.nan

    def seen_from(self, reference_ms: float) -> ReferenceSpeed | None:
        """How the raw samples are to be looked at to give the same figures again; None: as they were read.

        Args:
            reference_ms: What FP32 takes at the study's reference speed.
        """
        from latency.elasticity import Elasticity
        from latency.reference_speed import ReferenceSpeed

        if math.isnan(self.elasticity):
            return None
        elasticity = Elasticity(value=self.elasticity, deviation=self.elasticity_deviation)
        return ReferenceSpeed(baseline_ms=reference_ms, elasticity=elasticity)


def as_read(measured: Measured) -> dict[str, Any]:
    """The fields of `AsRead` that a measurement gives; none where instructions were counted."""
    from latency import Measurement

    if not isinstance(measured, Measurement):
        return {}
    speed = measured.speed
    found = {"read_latency_ratio": measured.at(None).ratio, "read_fp32_ms": measured.baseline_ms}
    if speed is None:
        return found
    elasticity = speed.elasticity
    return {**found, "elasticity": elasticity.value, "elasticity_deviation": elasticity.deviation}
