"""Several measurements of one model, taken at different times, as one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from latency.grading import judge
from latency.statistics import SpreadPrior

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latency.measurement import Measurement
    from latency.reference_speed import ReferenceSpeed
    from latency.samples import Clock


def combine(measurements: Sequence[Measurement], speed: ReferenceSpeed | None = None) -> Measurement:
    """All processes of `measurements` together, graded anew.

    The processes are the sample, so more of them at different moments narrow the interval honestly: what drifts
    between the moments is in it.

    Args:
        measurements: Of one model; at which speed each of them is looked at does not matter.
        speed: The speed that the whole is looked at; None leaves each round at the one that it was taken at.

    Raises:
        ValueError: There is none, or they are not of the same model under the same conditions.
    """
    if not measurements:
        raise ValueError("combine needs at least one measurement, got none")
    if len({measurement.key for measurement in measurements}) > 1:
        raise ValueError("combine takes measurements of one model under the same conditions, got several keys")
    first = measurements[0]
    processes = tuple(process for measurement in measurements for process in measurement.processes)
    priors: dict[Clock, SpreadPrior] = {"wall": SpreadPrior(), "cpu": SpreadPrior()}
    verdict = judge(processes, threads=first.threads, priors=priors, speed=speed)
    return replace(
        first,
        processes=processes,
        grade=verdict.grade,
        reason=verdict.reason,
        remedy=verdict.remedy,
        clock=verdict.clock,
        spread_prior=SpreadPrior(),
        inference_s=sum(measurement.inference_s for measurement in measurements),
        overhead_s=sum(measurement.overhead_s for measurement in measurements),
        speed=speed,
    )
