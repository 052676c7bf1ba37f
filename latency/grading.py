"""How far a measurement can be trusted, from what its own samples say about the machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from latency.statistics import RatioEstimate, SpreadPrior, estimate_ratio

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from latency.reference_speed import ReferenceSpeed
    from latency.samples import Clock, ProcessSamples, Samples

Grade = Literal["clean", "contended", "unreliable"]

_CROWDED_SHARE = 0.05  # of inferences that were interrupted; a quiet machine stays below 2%
_STOLEN_SHARE = 0.02  # of wall time that went to others; long inferences are interrupted often and harmlessly
_STOLEN_TOO_MUCH = 0.10  # few inferences were interrupted, but for long: every one of them found cold caches after
_CROWDED_MEDIAN = 1.05  # median wall time over median processor time
_CROWDED_RATE_HZ = 20.0  # interruptions a second of a multi-threaded process
_WORTH_A_WORD = 1.08  # the baseline against its best so far
_WIDEST = 0.10  # half-width beyond which a ratio cannot rank candidates; below it the interval says how far it can

_QUIET = "stop other work on the machine, or pin the worker with engine.affinity to cores that nothing else uses"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """A grade with its reason and remedy, the clock that the ratio is taken on, and the ratio.

    ``crowded`` says that other work got in the way, whatever that did to the grade.
    """

    grade: Grade
    reason: str
    remedy: str
    clock: Clock
    estimate: RatioEstimate
    crowded: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Crowding:
    """What the samples say of other work on the machine; None where the system does not tell.

    ``slowdown`` is the baseline against its best so far. It does not decide anything: on a shared host the level
    wanders by half while nothing else runs on this machine, and rounds of neighbours in time do not see it.
    """

    interrupted_share: float | None
    interruptions_per_s: float | None
    stolen_share: float | None
    median_wall_over_cpu: float | None
    slowdown: float


def judge(
    processes: Sequence[ProcessSamples],
    *,
    threads: int,
    priors: Mapping[Clock, SpreadPrior],
    best_baseline_ms: float | None = None,
    speed: ReferenceSpeed | None = None,
) -> Verdict:
    """Grades the samples of one candidate.

    With one thread, processor time does not count what other work took, so a crowded machine still gives a ratio,
    ``contended``. With more threads it counts spinning and says nothing, and on a GPU it is not taken at all, so a
    crowded machine is ``unreliable`` there. So is a ratio known to no better than 10%.

    Args:
        processes: the samples.
        threads: threads within an inference.
        priors: for each clock, what earlier models say of the spread between processes.
        best_baseline_ms: the best ``baseline_level_ms`` so far under the same settings, or None.
        speed: the speed that the ratio is to be at; None for the one that it was taken at.
    """
    crowding = look_for_others(processes, best_baseline_ms)
    crowded = _is_crowded(crowding, threads)
    clock: Clock = "cpu" if crowded and threads == 1 and crowding.stolen_share is not None else "wall"
    estimate = ratio_on(processes, clock, priors[clock], speed)
    # What is uncertain of another speed is no fault of these samples, and neither time nor quiet would help.
    taken = ratio_on(processes, clock, priors[clock], speed.certain) if speed is not None else estimate
    grade, reason, remedy = _grade(crowding, taken, crowded=crowded, processes=len(processes), threads=threads)
    return Verdict(grade=grade, reason=reason, remedy=remedy, clock=clock, estimate=estimate, crowded=crowded)


def ratio_on(
    processes: Sequence[ProcessSamples], clock: Clock, prior: SpreadPrior, speed: ReferenceSpeed | None = None
) -> RatioEstimate:
    """The ratio and its interval on one of the two clocks, as it was taken or as it would be at `speed`."""
    log_ratios = [process.log_ratios(clock) for process in processes]
    if speed is None:
        return estimate_ratio(log_ratios, prior)
    levels = [process.log_baseline_ms(clock) for process in processes]
    there = [speed.corrected(ratios, level) for ratios, level in zip(log_ratios, levels, strict=True)]
    return estimate_ratio(there, prior).widened(speed.uncertainty(levels))


def baseline_level_ms(processes: Sequence[ProcessSamples]) -> float:
    """How fast the baseline runs when little disturbs it: the fastest tenth of wall times, median over processes."""
    import numpy as np

    return float(np.median([np.quantile(process.baseline.wall_ms, 0.1) for process in processes]))


def look_for_others(processes: Sequence[ProcessSamples], best_baseline_ms: float | None) -> Crowding:
    """Sums up, over candidate and baseline alike, what other work did to the inferences."""
    models: list[Samples] = [model for process in processes for model in (process.candidate, process.baseline)]
    interrupted, rate = _interruptions(models)
    stolen, slower = _against_processor_time(models)
    return Crowding(
        interrupted_share=interrupted,
        interruptions_per_s=rate,
        stolen_share=stolen,
        median_wall_over_cpu=slower,
        slowdown=baseline_level_ms(processes) / best_baseline_ms if best_baseline_ms else 1.0,
    )


def _interruptions(models: Sequence[Samples]) -> tuple[float | None, float | None]:
    """The share of inferences that were interrupted, and interruptions per second."""
    import numpy as np

    counted = [model.switches for model in models if model.switches is not None]
    if len(counted) < len(models):
        return None, None
    switches = np.concatenate(counted)
    wall_ms = sum(sum(model.wall_ms) for model in models)
    return float(np.mean(switches > 0)), float(switches.sum() / wall_ms * 1e3)


def _against_processor_time(models: Sequence[Samples]) -> tuple[float | None, float | None]:
    """The share of wall time that went to others, and the typical median of wall time over that of processor time."""
    import numpy as np

    timed = [(model.wall_ms, model.cpu_ms) for model in models if model.cpu_ms is not None]
    if len(timed) < len(models):
        return None, None
    wall_ms, cpu_ms = sum(sum(wall) for wall, _ in timed), sum(sum(cpu) for _, cpu in timed)
    slower = [np.median(wall) / max(float(np.median(cpu)), 1e-6) for wall, cpu in timed]
    return max(0.0, 1 - cpu_ms / wall_ms), float(np.median(slower))


def _grade(
    crowding: Crowding, estimate: RatioEstimate, *, crowded: bool, processes: int, threads: int
) -> tuple[Grade, str, str]:
    """The grade, its reason and its remedy."""
    if crowded and threads > 1:
        reason = f"{_words(crowding, threads)}, and with {threads} threads processor time cannot stand in for wall time"
        return "unreliable", reason, f"{_QUIET}; or measure with one thread"
    if estimate.half_width > _WIDEST:
        reason = f"the ratio is known to ±{estimate.half_width:.1%} only, over {processes} processes"
        return "unreliable", reason, f"measure with more effort; {_QUIET}"
    if crowded:
        return "contended", f"{_words(crowding, threads)}, so the ratio is one of undisturbed processor time", _QUIET
    return "clean", _words(crowding, threads), ""


def _is_crowded(crowding: Crowding, threads: int) -> bool:
    interrupted = crowding.interrupted_share is None or crowding.interrupted_share > _CROWDED_SHARE
    if threads > 1 or crowding.stolen_share is None or crowding.median_wall_over_cpu is None:
        rate = crowding.interruptions_per_s
        return interrupted and rate is not None and rate > _CROWDED_RATE_HZ
    stolen = interrupted and crowding.stolen_share > _STOLEN_SHARE
    return stolen or crowding.stolen_share > _STOLEN_TOO_MUCH or crowding.median_wall_over_cpu > _CROWDED_MEDIAN


def _words(crowding: Crowding, threads: int) -> str:
    """What was seen. What shares the core, its caches or the memory interrupts nothing, and shows in the level."""
    seen = []
    if crowding.interrupted_share is not None:
        seen.append(f"{crowding.interrupted_share:.1%} of inferences were interrupted")
    if threads == 1 and crowding.stolen_share is not None:
        seen.append(f"other work took {crowding.stolen_share:.1%} of the time")
    if crowding.slowdown > _WORTH_A_WORD:
        seen.append(f"the baseline ran {crowding.slowdown - 1:.0%} slower than it did before")
    return ", ".join(seen) or "nothing was seen of other work"
