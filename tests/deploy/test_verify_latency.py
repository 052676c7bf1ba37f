"""A claim of speed is broken only where the interval says so, read in the unit that means something there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deploy.errors import RemeasuredOtherwiseError
from deploy.export import write_bundle_files
from deploy.exportable import Exportable
from deploy.manifest import Manifest, SpeedFacts, read_manifest
from deploy.promises import Budgets
from deploy.remeasure import Remeasured, level_of, promised_speed, require_as_confirmed
from deploy.verdict import Check, Verdict, judge_at_most
from deploy.verify_latency import judge_latency
from hwprofiles import load_profile
from latency import Measurement, ProcessSamples, Samples
from latency.elasticity import Elasticity
from latency.reference_speed import ReferenceSpeed
from latency.statistics import SpreadPrior

THEN_MS = 2.0


def samples(ms: float, seed: int) -> Samples:
    drawn = tuple(np.random.default_rng(seed).normal(ms, 0.001 * ms, 40).tolist())
    return Samples(wall_ms=drawn, cpu_ms=drawn, switches=(0,) * 40)


def measurement(template: Measurement, candidate_ms: float, baseline_ms: float) -> Measurement:
    processes = tuple(
        ProcessSamples(candidate=samples(candidate_ms, seed), baseline=samples(baseline_ms, 50 + seed), rounds=10)
        for seed in range(4)
    )
    return replace(
        template, processes=processes, grade="clean", reason="", remedy="", clock="wall", spread_prior=SpreadPrior()
    )


def crowded(process: ProcessSamples) -> ProcessSamples:
    """The same inferences, each of them interrupted for a third of its time."""

    def interrupted(taken: Samples) -> Samples:
        return replace(taken, wall_ms=tuple(1.5 * ms for ms in taken.wall_ms), switches=(1,) * len(taken.wall_ms))

    return replace(process, candidate=interrupted(process.candidate), baseline=interrupted(process.baseline))


@pytest.fixture
def manifest(bundle: Path) -> Manifest:
    found = read_manifest((bundle / "manifest.json").read_bytes())
    assert isinstance(found, Manifest)
    return found.model_copy(update={"latency": found.latency.model_copy(update={"fp32_ms": THEN_MS})})


def judged(manifest: Manifest, measured: Remeasured, candidate_ms: float, baseline_ms: float, most_ms: float) -> Check:
    taken = measurement(measured.passes[0], candidate_ms, baseline_ms)
    promises = manifest.promises.model_copy(update={"max_latency_ms": most_ms, "min_speedup": None})
    judgement = judge_latency(
        manifest, promises, load_profile("local-cpu"), replace(measured, passes=(taken, taken)), 1.0
    )
    return judgement.checks[-1]


def test_the_level_is_what_the_processes_tell(measured: Remeasured) -> None:
    level = level_of(measurement(measured.passes[0], 1.0, THEN_MS))
    assert level.ms_low < 1.0 < level.ms_high
    assert level.ms_high / level.ms_low < 1.01
    assert level_of(measurement(measured.passes[0], 1.0, THEN_MS), "baseline").ms == pytest.approx(THEN_MS, rel=0.01)


@pytest.mark.parametrize(
    ("candidate_ms", "baseline_ms", "most_ms", "status"),
    [
        (1.0, 2.0, 1.1, "kept"),
        (1.0, 2.0, 0.5, "broken"),
        (1.0, 2.0, 0.9999, "undecided"),
        (2.0, 4.0, 1.1, "undecided"),  # the machine is half as fast as it was
        (2.0, 4.0, 0.9, "broken"),  # and it would have been too slow then, too
        (0.5, 1.0, 1.1, "kept"),  # the machine is faster now
        (2.0, 2.0, 1.1, "broken"),
    ],
)
def test_on_the_promised_device_milliseconds_count(
    manifest: Manifest, measured: Remeasured, candidate_ms: float, baseline_ms: float, most_ms: float, status: str
) -> None:
    assert judged(manifest, measured, candidate_ms, baseline_ms, most_ms).status == status


@pytest.mark.parametrize(
    ("device", "candidate_ms", "status"),
    [
        ("promised", 1.0 * 1.5 * 1.5**0.4, "kept"),  # half as slow again, and 8 bits lose 18% more than FP32 by that
        ("promised", 1.2 * 1.5 * 1.5**0.4, "broken"),  # a fifth of that is the network's own
        ("another", 1.0 * 1.5 * 1.5**0.4, "broken"),  # elsewhere it is not known what a ratio does
    ],
)
def test_a_slower_moment_of_the_device_breaks_no_promise(
    manifest: Manifest, measured: Remeasured, device: str, candidate_ms: float, status: str
) -> None:
    """1.9 times as fast as FP32 was promised, and that it is at the speed that it was promised at."""
    follows = SpeedFacts(elasticity=0.4, deviation=0.01)
    latency = manifest.latency.model_copy(update={"follows": follows})
    target = manifest.target.model_copy(update={} if device == "promised" else {"hardware_id": "elsewhere"})
    promising = manifest.model_copy(update={"latency": latency, "target": target})
    promises = manifest.promises.model_copy(update={"max_latency_ms": None, "min_speedup": 1.9})
    taken = measurement(measured.passes[0], candidate_ms, 1.5 * THEN_MS)
    found = replace(measured, passes=(taken, taken))
    judgement = judge_latency(promising, promises, load_profile("local-cpu"), found, 1.0)
    assert judgement.checks[-1].status == status


@pytest.mark.parametrize(
    ("most_ms", "speedup", "spread", "clear"),
    [
        (1.1, None, 0.0, True),
        (1.1, 1.9, 0.0, True),
        (1.1, 2.1, 0.0, False),  # one of two is not kept
        (0.99, None, 0.0, False),
        (1.1, None, 0.1, False),  # kept, but by a ratio that is not known well
        (None, None, 0.0, True),
    ],
)
def test_nothing_is_left_to_doubt_where_a_ratio_that_is_known_well_keeps_all_promises(
    manifest: Manifest, measured: Remeasured, most_ms: float | None, speedup: float | None, spread: float, clear: bool
) -> None:
    promises = manifest.promises.model_copy(update={"max_latency_ms": most_ms, "min_speedup": speedup})
    passes = tuple(measurement(measured.passes[0], 1.0 - share, THEN_MS) for share in (0.0, spread))
    found = replace(measured, passes=passes)
    assert judge_latency(manifest, promises, load_profile("local-cpu"), found, 1.0).is_clear is clear


def test_what_is_known_of_speeds_travels_with_the_bundle(
    point: Exportable, measured: Remeasured, tmp_path: Path
) -> None:
    """And where nothing is known nothing is said, as in bundles from before it was."""
    elasticity = Elasticity(value=0.37, deviation=0.06)
    told = replace(point, speed=ReferenceSpeed(baseline_ms=point.fp32_ms, elasticity=elasticity))
    for name, each, speed in (("told", told, told.speed), ("silent", point, None)):
        written = write_bundle_files(each, measured, tmp_path / name, {}, budgets=Budgets()).folder
        text = (written / "manifest.json").read_text()
        assert ("follows" in text) == (speed is not None)
        read = read_manifest(text.encode())
        assert isinstance(read, Manifest)
        assert promised_speed(read.latency) == speed


@pytest.mark.parametrize(
    ("is_crowded", "most_ms", "status"),
    [
        (False, 0.9, "broken"),
        (True, 0.9, "undecided"),  # other work alone takes as much
        (True, 0.8, "broken"),  # none has been seen to take a quarter
        (True, 1.1, "kept"),
    ],
)
def test_on_a_busy_machine_nobody_is_accused_of_what_other_work_does(
    manifest: Manifest, measured: Remeasured, is_crowded: bool, most_ms: float, status: str
) -> None:
    taken = measurement(measured.passes[0], 1.0, THEN_MS)
    if is_crowded:
        taken = replace(taken, processes=tuple(crowded(process) for process in taken.processes))
    promises = manifest.promises.model_copy(update={"max_latency_ms": most_ms, "min_speedup": THEN_MS / most_ms})
    found = replace(measured, passes=(taken, taken))
    judgement = judge_latency(manifest, promises, load_profile("local-cpu"), found, 1.0)
    _, latency, speedup = judgement.checks
    assert (latency.status, speedup.status) == (status, status)
    for check in (latency, speedup) if status == "undecided" else ():
        assert "this machine is busy (" in check.reason
        assert "verify again when it is quiet" in check.reason


def test_a_machine_that_is_slower_than_it_was_is_named_as_the_reason(manifest: Manifest, measured: Remeasured) -> None:
    check = judged(manifest, measured, 2.0, 4.0, 1.1)
    assert "FP32 itself takes 2.00 times what it took when this was promised (4 ms, then 2)" in check.reason


@pytest.mark.parametrize(
    ("candidate_ms", "baseline_ms", "most_ms", "status"),
    [(10.0, 20.0, 1.1, "kept"), (10.0, 20.0, 0.9, "broken"), (0.1, 0.1, 1.1, "broken")],
)
def test_elsewhere_the_share_of_fp32s_time_counts(
    manifest: Manifest, measured: Remeasured, candidate_ms: float, baseline_ms: float, most_ms: float, status: str
) -> None:
    """1.1 ms where FP32 took 2 ms is a promise of 0.55."""
    target = manifest.target.model_copy(update={"hardware_id": "elsewhere"})
    there = manifest.model_copy(update={"target": target})
    assert judged(there, measured, candidate_ms, baseline_ms, most_ms).status == status


def test_another_runtime_is_said(manifest: Manifest, measured: Remeasured) -> None:
    target = manifest.target.model_copy(update={"runtime": "onnxruntime 0.1"})
    other = manifest.model_copy(update={"target": target})
    found = judge_latency(other, other.promises, load_profile("local-cpu"), measured, 1.0)
    assert found.checks[0].reason == "promised with onnxruntime 0.1"


@pytest.mark.parametrize(
    ("low", "value", "high", "status"),
    [(1.0, 2.0, 3.0, "kept"), (1.0, 3.5, 5.0, "undecided"), (3.1, 3.5, 4.0, "broken"), (3.0, 3.0, 3.0, "kept")],
)
def test_only_an_interval_beyond_the_promise_breaks_it(low: float, value: float, high: float, status: str) -> None:
    assert judge_at_most(3.0, low, value, high)[0] == status


def test_what_is_undecided_fails_where_strictness_is_asked() -> None:
    check = Check(name="latency", status="undecided")
    noted = Check(name="machine", status="noted")
    loose = Verdict(bundle="b", name="n", checks=(check, noted), figures={})
    assert loose.is_kept
    assert replace(loose, strict=True).failed == (check,)


@pytest.mark.parametrize(("candidate_ms", "agrees"), [(1.0, True), (1.05, True), (1.3, False), (0.7, False)])
def test_measured_again_it_must_be_what_was_confirmed_and_not_faster_either(
    measured: Remeasured, candidate_ms: float, agrees: bool
) -> None:
    taken = measurement(measured.passes[0], candidate_ms, 2.0)
    if agrees:
        require_as_confirmed(taken, (0.5, 0.47, 0.53), "#3")
    else:
        with pytest.raises(RemeasuredOtherwiseError, match=r"#3 takes .* now, the search confirmed 0.500 \[0.470, 0.5"):
            require_as_confirmed(taken, (0.5, 0.47, 0.53), "#3")
