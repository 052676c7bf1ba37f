"""What measurements of a network against itself say of a target."""

from __future__ import annotations

import math
from collections import Counter
from typing import TYPE_CHECKING

from latency.finding import Finding, Status
from latency.grading import Grade, baseline_level_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

    from latency.measurement import Measurement
    from latency.sustained import Drift

_UNSTEADY = 0.05  # the level of a quiet machine wanders by 3% between measurements
_MISS = 0.05  # how often a 95% interval leaves the truth out
_SURPRISE = 0.01
_THROTTLES = 0.01
_MISSES_REMEDY = (
    "the intervals are too narrow for this machine: stop other work there, fix its clock, and check again with more "
    "--repeats"
)


def quiet(measurements: Sequence[Measurement]) -> Finding:
    """Whether other work got in the way: the worst grade, with its reason and remedy."""
    order: tuple[Grade, ...] = ("unreliable", "contended", "clean")
    worst = min(measurements, key=lambda one: order.index(one.grade))
    counts = Counter(one.grade for one in measurements)
    grades = ", ".join(f"{counts[grade]} {grade}" for grade in reversed(order) if counts[grade])
    if worst.grade == "clean":
        return Finding(name="quiet", status="ok", seen=f"{grades}: {worst.reason}")
    return Finding(
        name="quiet",
        status="failed" if counts["unreliable"] == len(measurements) else "warning",
        seen=f"{grades}: {worst.reason}",
        remedy=worst.remedy,
    )


def level(measurements: Sequence[Measurement]) -> Finding:
    """Whether the network takes the same time from one measurement to the next: the clock's steadiness."""
    levels = [baseline_level_ms(one.processes) for one in measurements]
    spread = (max(levels) - min(levels)) / min(levels)
    drift = levels[-1] / levels[0] - 1
    seen = (
        f"the network took {min(levels):.3g} to {max(levels):.3g} ms over {len(levels)} measurements "
        f"(spread {spread:.1%}, last over first {drift:+.1%})"
    )
    if spread <= _UNSTEADY:
        return Finding(name="steady clock", status="ok", seen=seen)
    return Finding(
        name="steady clock",
        status="warning",
        seen=seen,
        remedy="compare ratios here, which are measured side by side, and not milliseconds of different minutes; "
        "a fixed clock and a machine of one's own would help",
    )


def noise(measurements: Sequence[Measurement]) -> Finding:
    """Whether the intervals are honest: the network's ratio to itself must differ from 1 by less than its interval."""
    known = [one for one in measurements if one.grade != "unreliable"]
    if not known:
        return Finding(name="A/A", status="failed", seen="no measurement was good enough", remedy=_MISSES_REMEDY)
    misses = sum(not one.ratio_low <= 1 <= one.ratio_high for one in known)
    widths = sorted(one.ratio_half_width for one in known)
    furthest = max(abs(one.ratio - 1) for one in known)
    seen = (
        f"the network against itself: 1 lies in {len(known) - misses} of {len(known)} intervals "
        f"(±{widths[len(widths) // 2]:.1%}); the ratio that is furthest off, by {furthest:.1%}"
    )
    if len(known) < len(measurements):
        seen += f"; {len(measurements) - len(known)} were too noisy to say anything"
    if misses <= _expected_misses(len(known)):
        return Finding(name="A/A", status="ok", seen=seen)
    # One more than chance allows may still be chance, seen from a hundred machines.
    status: Status = "failed" if misses > _expected_misses(len(known)) + 1 else "warning"
    return Finding(name="A/A", status=status, seen=seen, remedy=_MISSES_REMEDY)


def sustained(drift: Drift) -> Finding:
    """What being kept busy did to the target."""
    change = drift.ratio - 1
    half = (drift.ratio_high - drift.ratio_low) / 2
    before_c, after_c = drift.temperature_before_c, drift.temperature_after_c
    heat = "" if before_c is None or after_c is None else f", {before_c:.0f} °C before and {after_c:.0f} °C after"
    figures = (
        f"{drift.before_ms:.3g} ms at first and {drift.after_ms:.3g} ms after {_minutes(drift.duration_s)} "
        f"and {drift.inferences:,} inferences{heat}"
    )
    if drift.ratio_low > 1 and change > _THROTTLES:
        return Finding(
            name="sustained load",
            status="warning",
            seen=f"throttles by {change:.0%} ±{half:.1%}: {figures}",
            remedy="cool it better, or cap its clock at what it can keep up; "
            "until then measure it in the state that production runs it in",
        )
    if drift.ratio_high < 1 and -change > _THROTTLES:
        return Finding(
            name="sustained load", status="ok", seen=f"becomes faster by {-change:.0%} ±{half:.1%}: {figures}"
        )
    bound = max(abs(drift.ratio_low - 1), abs(drift.ratio_high - 1))
    if bound > _UNSTEADY:
        return Finding(
            name="sustained load",
            status="warning",
            seen=f"cannot be told from noise: {change:+.0%} ±{half:.1%}: {figures}",
            remedy="stop other work there, and keep it busy for longer",
        )
    return Finding(name="sustained load", status="ok", seen=f"steady within ±{bound:.1%}: {figures}")


def _expected_misses(count: int) -> int:
    """The most misses among ``count`` intervals of 95% that are no surprise: more have a probability below 1%."""
    likely, misses = 0.0, -1
    while 1 - likely > _SURPRISE:
        misses += 1
        likely += math.comb(count, misses) * _MISS**misses * (1 - _MISS) ** (count - misses)
    return misses


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
