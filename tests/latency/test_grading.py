"""The samples say how far they can be trusted, why, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from latency.grading import baseline_level_ms, judge
from latency.samples import Clock, ProcessSamples
from latency.statistics import SpreadPrior

PRIORS: dict[Clock, SpreadPrior] = {"wall": SpreadPrior(), "cpu": SpreadPrior()}
Maker = Callable[..., ProcessSamples]


def several(make: Maker, **options: float) -> list[ProcessSamples]:
    rng = np.random.default_rng(0)
    return [make(rng, **options) for _ in range(4)]


def test_quiet_machine_is_clean_on_the_wall_clock(make_process: Maker) -> None:
    verdict = judge(several(make_process, interrupted=0.005), threads=1, priors=PRIORS)
    assert (verdict.grade, verdict.clock, verdict.remedy, verdict.crowded) == ("clean", "wall", "", False)
    assert verdict.estimate.ratio == pytest.approx(0.5, rel=0.01)


@pytest.mark.parametrize("crowd", [{"interrupted": 0.3}, {"interrupted": 0.04}, {"wall_factor": 1.2}])
def test_crowded_machine_falls_back_to_processor_time(make_process: Maker, crowd: dict[str, float]) -> None:
    verdict = judge(several(make_process, **crowd), threads=1, priors=PRIORS)
    assert (verdict.grade, verdict.clock, verdict.crowded) == ("contended", "cpu", True)
    assert verdict.estimate.ratio == pytest.approx(0.5, rel=0.02)
    assert "processor time" in verdict.reason
    assert "stop other work" in verdict.remedy


def test_long_inferences_are_interrupted_harmlessly(make_process: Maker) -> None:
    slow = several(make_process, candidate_ms=400, baseline_ms=400, interrupted=0.5, count=16)
    assert judge(slow, threads=1, priors=PRIORS).grade == "clean"


def test_crowded_with_several_threads_is_unreliable(make_process: Maker) -> None:
    verdict = judge(several(make_process, interrupted=0.3), threads=2, priors=PRIORS)
    assert (verdict.grade, verdict.clock) == ("unreliable", "wall")
    assert "2 threads" in verdict.reason
    assert "one thread" in verdict.remedy


def test_several_threads_on_a_quiet_machine_are_clean(make_process: Maker) -> None:
    assert judge(several(make_process, wall_factor=1.4), threads=2, priors=PRIORS).grade == "clean"


def test_level_that_wanders_is_said_and_decides_nothing(make_process: Maker) -> None:
    """On a shared host it does so while nothing else runs on this machine; neighbours in time do not see it."""
    processes = several(make_process)
    best_ms = baseline_level_ms(processes)
    slowed = judge(processes, threads=1, priors=PRIORS, best_baseline_ms=best_ms * 0.85)
    assert (slowed.grade, slowed.clock) == ("clean", "wall")
    assert "the baseline ran 18% slower than it did before" in slowed.reason


def test_gpu_has_no_processor_time_and_is_clean_or_unreliable(make_process: Maker) -> None:
    def on_gpu(process: ProcessSamples) -> ProcessSamples:
        return replace(
            process,
            candidate=replace(process.candidate, cpu_ms=None),
            baseline=replace(process.baseline, cpu_ms=None),
        )

    quiet = judge([on_gpu(each) for each in several(make_process)], threads=1, priors=PRIORS)
    crowded = judge([on_gpu(each) for each in several(make_process, interrupted=0.3)], threads=1, priors=PRIORS)
    assert (quiet.grade, quiet.clock) == ("clean", "wall")
    assert crowded.clock == "wall"
    assert crowded.crowded


def test_wide_interval_is_unreliable(make_process: Maker) -> None:
    rng = np.random.default_rng(0)
    processes = [make_process(rng, candidate_ms=0.5 * factor) for factor in (0.8, 1.0, 1.2, 1.4)]
    verdict = judge(processes, threads=1, priors=PRIORS)
    assert verdict.grade == "unreliable"
    assert "over 4 processes" in verdict.reason
    assert verdict.remedy


def test_where_the_system_counts_no_interruptions_the_clocks_are_compared(make_process: Maker) -> None:
    def uncounted(process: ProcessSamples) -> ProcessSamples:
        return replace(
            process,
            candidate=replace(process.candidate, switches=None),
            baseline=replace(process.baseline, switches=None),
        )

    quiet = [uncounted(process) for process in several(make_process)]
    crowded = [uncounted(process) for process in several(make_process, interrupted=0.3)]
    assert judge(quiet, threads=1, priors=PRIORS).grade == "clean"
    assert judge(crowded, threads=1, priors=PRIORS).grade == "contended"
    assert not judge(crowded, threads=2, priors=PRIORS).crowded, "with several threads nothing is left to tell"
