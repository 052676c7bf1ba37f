"""Whether a bundle is as fast as it promises: in ms on the promised device, elsewhere as a ratio to its own FP32."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from deploy.manifest import Manifest, Promises
from deploy.remeasure import Level, Remeasured, level_of, promised_speed
from deploy.verdict import Check, Status, judge_at_most
from hwprofiles import HardwareProfile
from latency import Measurement

_SETTINGS = ("name", "provider", "threads", "affinity", "spinning", "batch_size", "device", "options")
_NOTABLE = 1.1
"""FP32's own time then and now differ by chance and by the machine's mood up to this factor."""

CROWDED = 1.15
"""By so much the low end of a ratio's interval may lie above a promise on a contended machine before that is broken.

Other work alone slows 8-bit networks more than FP32. Measured with mnist-resnet, six measurements in each of five
crowds (burners, copying, training; two to four of them): medians of 1.02 to 1.11 times the quiet ratio, single ones up
to 1.18.
"""

KNOWN_WELL = 0.03
"""Relative half-width of the ratio's interval that a first look has to reach, as a search's confirmation has."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LatencyJudgement:
    """The checks of latency, and the figures that they rest on.

    Attributes:
        checks: What is promised, and what was found.
        figures: As numbers, for the JSON report.
        is_clear: Whether the ratio is known well and every promise of latency is kept by it, so that further
            processes would hardly break one.
    """

    checks: tuple[Check, ...]
    figures: Mapping[str, Any]
    is_clear: bool

    @property
    def is_broken(self) -> bool:
        """Whether a promise of latency is broken."""
        return any(check.status == "broken" for check in self.checks)

    @property
    def is_undecided(self) -> bool:
        """Whether a promise of latency lies within what was found."""
        return any(check.status == "undecided" for check in self.checks)


def judge_latency(
    manifest: Manifest, promises: Promises, profile: HardwareProfile, found: Remeasured, seconds: float
) -> LatencyJudgement:
    """Hold a measurement against what is promised.

    Args:
        manifest: The bundle's.
        promises: What is promised, by the bundle or by who verifies it.
        profile: As what the machine was measured.
        found: The measurement.
        seconds: How long it took.
    """
    elsewhere = _elsewhere(manifest, profile, found)
    # How the ratio follows the promised device's speed says nothing of another device's.
    speed = None if elsewhere else promised_speed(manifest.latency)
    whole = replace(found, speed=speed).whole
    level, fp32 = level_of(whole), level_of(whole, "baseline")
    checks = [_machine(manifest, found, elsewhere)]
    if promises.max_latency_ms is not None:
        then_ms, most_ms = manifest.latency.fp32_ms, promises.max_latency_ms
        if elsewhere:
            checks.append(_judge_as_ratio(most_ms, then_ms, whole, seconds))
        else:
            checks.append(_judge_in_ms(most_ms, then_ms, whole, level, fp32, seconds))
    if promises.min_speedup is not None:
        checks.append(_judge_speedup(promises.min_speedup, whole))
    figures = {
        "ratio": whole.ratio,
        "ratio_low": whole.ratio_low,
        "ratio_high": whole.ratio_high,
        "latency_ms": level.ms,
        "latency_ms_low": level.ms_low,
        "latency_ms_high": level.ms_high,
        "fp32_latency_ms": fp32.ms,
        "grade": whole.grade,
        "grade_reason": whole.reason,
        "is_promised_device": not elsewhere,
        "hardware_id": found.machine.hardware_id,
        "runtime": found.runtime,
        "processes": len(whole.processes),
        "inference_s": found.inference_s,
        "overhead_s": found.overhead_s,
    }
    return LatencyJudgement(checks=tuple(checks), figures=figures, is_clear=_is_clear(manifest, promises, whole))


def _is_clear(manifest: Manifest, promises: Promises, whole: Measurement) -> bool:
    most = math.inf
    if promises.max_latency_ms is not None:
        most = promises.max_latency_ms / manifest.latency.fp32_ms
    if promises.min_speedup is not None:
        most = min(most, 1 / promises.min_speedup)
    return whole.ratio_half_width <= KNOWN_WELL and whole.ratio <= most


def _elsewhere(manifest: Manifest, profile: HardwareProfile, found: Remeasured) -> str:
    """Why this is not the promised device; empty where it is."""
    if found.machine.hardware_id != manifest.target.hardware_id:
        return f"hardware {found.machine.hardware_id}, promised on {manifest.target.hardware_id}"
    promised, here = manifest.target.engine, profile.engine
    for name in _SETTINGS:
        was, now = getattr(promised, name), getattr(here, name)
        if was != now:
            return f"the same hardware with {name} = {now}, promised with {was}"
    return ""


def _machine(manifest: Manifest, found: Remeasured, elsewhere: str) -> Check:
    machine = found.machine
    here = f"{machine.accelerator or machine.cpu}, {found.runtime}"
    other_runtime = found.runtime != manifest.target.runtime
    reason = f"{elsewhere}: latency is judged as a ratio to FP32" if elsewhere else ""
    if other_runtime:
        reason = "; ".join(part for part in (reason, f"promised with {manifest.target.runtime}") if part)
    return Check(
        name="machine",
        status="noted",
        promised=f"{manifest.target.device}, {manifest.target.runtime}",
        found=here,
        reason=reason,
    )


def _judge_in_ms(
    promised_ms: float, then_ms: float, whole: Measurement, level: Level, fp32: Level, seconds: float
) -> Check:
    """In ms. A machine may be slower than it was, and FP32 beside the candidate tells by how much.

    The interval holds both readings, the milliseconds of today and today's ratio times FP32's milliseconds of then:
    only where both are above the promise is it the network that is too slow.
    """
    low = min(level.ms_low, whole.ratio_low * then_ms)
    high = max(level.ms_high, whole.ratio_high * then_ms)
    status, reason = _judge(promised_ms, low, level.ms, high, whole)
    factor = fp32.ms / then_ms
    if status != "kept" and factor > _NOTABLE:
        reason += (
            f"; FP32 itself takes {factor:.2f} times what it took when this was promised ({fp32.ms:.4g} ms, then "
            f"{then_ms:.4g}): this machine is slower now, or busy"
        )
    return Check(
        name="latency",
        status=status,
        promised=f"at most {promised_ms:.4g} ms",
        found=f"{level.ms:.4g} ms [{low:.4g}, {high:.4g}] ({whole.grade})",
        reason=_in_units(reason, status),
        seconds=seconds,
    )


def _judge_as_ratio(promised_ms: float, then_ms: float, whole: Measurement, seconds: float) -> Check:
    promised = promised_ms / then_ms
    status, reason = _judge(promised, whole.ratio_low, whole.ratio, whole.ratio_high, whole)
    return Check(
        name="latency",
        status=status,
        promised=f"at most {promised:.4g} of FP32's time ({promised_ms:.4g} ms where that took {then_ms:.4g} ms)",
        found=f"{whole.ratio:.4g} [{whole.ratio_low:.4g}, {whole.ratio_high:.4g}] of FP32's time ({whole.grade})",
        reason=_in_units(reason, status),
        seconds=seconds,
    )


def _judge_speedup(promised: float, whole: Measurement) -> Check:
    status, reason = _judge(1 / promised, whole.ratio_low, whole.ratio, whole.ratio_high, whole)
    low, high = 1 / whole.ratio_high, 1 / whole.ratio_low
    return Check(
        name="speedup",
        status=status,
        promised=f"at least {promised:.4g} times as fast as FP32",
        found=f"{1 / whole.ratio:.4g} [{low:.4g}, {high:.4g}] times",
        reason=_in_units(f"as a share of FP32's time, {reason}", status) if status != "kept" else "",
    )


def _judge(promised: float, low: float, value: float, high: float, whole: Measurement) -> tuple[Status, str]:
    """As `judge_at_most`, but nobody is accused by what other work on the machine does as well."""
    status, reason = judge_at_most(promised, low, value, high)
    if status == "broken" and whole.grade == "contended" and low <= promised * CROWDED:
        return "undecided", (
            f"{value:.4g} is above {promised:.4g}, but this machine is busy ({whole.reason}), and other work alone can "
            f"take {CROWDED - 1:.0%}; verify again when it is quiet"
        )
    return status, reason


def _in_units(reason: str, status: Status) -> str:
    return f"too slow: {reason}" if status == "broken" else reason
