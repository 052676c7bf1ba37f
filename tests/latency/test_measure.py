"""The meter measures real models in real workers, and a bad candidate costs one trial."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil
import pytest

from hwprofiles import HardwareProfile, detect_machine
from latency import CONFIRM, SEARCH, Effort, Measurement, MeasurementError, MeasurementLog, Meter, TargetError
from latency.transports.local import LocalTransport

Feeds = dict[str, np.ndarray]
Faulty = Callable[[str], LocalTransport]
GRADES = {"clean", "contended", "unreliable"}


def test_measurement_holds_what_was_measured_on_what(
    profile: HardwareProfile, baseline: bytes, candidate: bytes, feeds: Feeds, quick: Effort
) -> None:
    taken = datetime(2026, 1, 2, tzinfo=UTC)
    with Meter(profile, baseline, feeds, effort=quick, now=lambda: taken) as meter:
        measurement = meter.measure(candidate)
        runtime = meter.runtime
    assert measurement.grade in GRADES
    assert measurement.ratio > 0
    assert measurement.ratio_low <= measurement.ratio <= measurement.ratio_high
    assert len(measurement.processes) == 4
    assert measurement.hardware_id == detect_machine().hardware_id
    assert measurement.runtime == runtime
    assert runtime.startswith("onnxruntime ")
    assert measurement.profile == "test-cpu"
    assert measurement.taken_at == "2026-01-02T00:00:00+00:00"
    assert measurement.model_digest != measurement.baseline_digest
    assert measurement.key.input_shapes == (("x", "float32", (1, 8)),)
    assert measurement.inference_s > 0
    assert measurement.overhead_s > 0
    assert Measurement.from_json(measurement.to_json()) == measurement


def test_same_model_against_itself_is_measured_in_renewed_workers(
    profile: HardwareProfile, baseline: bytes, feeds: Feeds, quick: Effort
) -> None:
    with Meter(profile, baseline, feeds, effort=quick, workers=2) as meter:
        measurements = [meter.measure(baseline, fresh=True) for _ in range(3)]
        cost = meter.cost
    assert all(measurement.grade in GRADES and measurement.ratio > 0 for measurement in measurements)
    assert (cost.measured, cost.served, cost.workers_lost) == (3, 0, 0)
    assert cost.inference_s == pytest.approx(sum(each.inference_s for each in measurements), abs=1e-3)


def test_wide_interval_takes_another_pass_in_the_same_processes_or_in_fresh_ones(
    profile: HardwareProfile, baseline: bytes, candidate: bytes, feeds: Feeds, quick: Effort
) -> None:
    never = dataclasses.replace(quick, target_half_width=1e-9, max_passes=3, max_seconds=60, seconds_per_process=1e-6)
    with Meter(profile, baseline, feeds, effort=quick, workers=2) as meter:
        processes = meter.measure(candidate, effort=never).processes
    assert sum(process.rounds for process in processes) == 2 * 3 * 3, "two workers, three passes, three rounds at least"
    assert len(processes) in {2, 4}


def test_time_limit_stops_further_rounds(
    profile: HardwareProfile, baseline: bytes, candidate: bytes, feeds: Feeds, quick: Effort
) -> None:
    short = dataclasses.replace(quick, target_half_width=1e-9, max_passes=50, max_seconds=1e-6)
    with Meter(profile, baseline, feeds, workers=3) as meter:
        assert len(meter.measure(candidate, effort=short).processes) == 2, "fewer than two have no interval"


def test_equal_measurement_is_served_from_the_log(
    profile: HardwareProfile, baseline: bytes, candidate: bytes, feeds: Feeds, quick: Effort, tmp_path: Path
) -> None:
    log = MeasurementLog(tmp_path / "measurements.jsonl")
    with Meter(profile, baseline, feeds, effort=quick, log=log, workers=2) as meter:
        first = meter.measure(candidate)
        served = meter.cost.served
        if first.grade != "unreliable":
            assert meter.measure(candidate) == first
            assert meter.cost.served == served + 1
        meter.measure(candidate, fresh=True)
        entries = {"session.set_denormal_as_zero": "1"}
        assert meter.measure(candidate, session_entries=entries).key.session_entries == tuple(entries.items())
        assert meter.cost.measured == 3
    assert len((tmp_path / "measurements.jsonl").read_text().splitlines()) == meter.cost.measured


def test_engine_settings_and_batch_are_applied(
    profile: HardwareProfile, baseline: bytes, candidate: bytes, quick: Effort
) -> None:
    target = profile.with_engine(threads=2, batch_size=4, spinning=False, affinity=(0,))
    with Meter(target, baseline, {"x": np.ones((4, 8), np.float32)}, effort=quick, workers=2) as meter:
        measurement = meter.measure(candidate)
    assert (measurement.threads, measurement.batch_size) == (2, 4)
    assert (measurement.key.affinity, measurement.key.spinning) == ((0,), False)
    assert measurement.clock == "wall", "processor time says nothing with several threads"


def test_model_that_does_not_load_costs_one_trial(
    profile: HardwareProfile, baseline: bytes, candidate: bytes, broken_model: bytes, feeds: Feeds, quick: Effort
) -> None:
    with Meter(profile, baseline, feeds, effort=quick, workers=2) as meter:
        with pytest.raises(MeasurementError, match=r"the candidate cannot be measured: .*NoSuchOperator"):
            meter.measure(broken_model)
        assert meter.measure(candidate).ratio > 0
        assert meter.cost.workers_lost == 0


@pytest.mark.parametrize(("fault", "patience_s"), [("dies", 60.0), ("hangs", 2.0)])
def test_candidate_that_kills_workers_is_given_up_and_the_ring_survives(
    profile: HardwareProfile,
    baseline: bytes,
    candidate: bytes,
    feeds: Feeds,
    faulty: Faulty,
    armed: Path,
    quick: Effort,
    fault: str,
    patience_s: float,
) -> None:
    effort = dataclasses.replace(quick, max_seconds=0.5)
    transport = faulty(fault)
    with Meter(profile, baseline, feeds, effort=effort, transport=transport, workers=2, patience_s=patience_s) as meter:
        with pytest.raises(MeasurementError, match="given up after 3 lost workers") as caught:
            meter.measure(candidate)
        assert ("signal 11" if fault == "dies" else "did not answer") in str(caught.value)
        assert ("about to die" in str(caught.value)) == (fault == "dies")
        armed.unlink()
        assert meter.measure(candidate).ratio > 0
        assert meter.cost.workers_lost == 3


@pytest.mark.usefixtures("armed")
def test_worker_that_dies_once_is_renewed_and_the_measurement_goes_on(
    profile: HardwareProfile, baseline: bytes, candidate: bytes, feeds: Feeds, faulty: Faulty, quick: Effort
) -> None:
    with Meter(profile, baseline, feeds, effort=quick, transport=faulty("dies_once"), workers=2) as meter:
        assert len(meter.measure(candidate).processes) == 2
        assert meter.cost.workers_lost == 1


def test_baseline_that_does_not_load_is_said_on_opening(
    profile: HardwareProfile, broken_model: bytes, feeds: Feeds
) -> None:
    meter = Meter(profile, broken_model, feeds, workers=2)
    with pytest.raises(MeasurementError, match=r"the baseline cannot be measured on 'test-cpu': .*NoSuchOperator"):
        meter.__enter__()


def test_workers_that_cannot_be_started_are_said_on_opening(
    profile: HardwareProfile, baseline: bytes, feeds: Feeds
) -> None:
    meter = Meter(profile, baseline, feeds, workers=2, transport=LocalTransport(["/no/such/python"]))
    with pytest.raises(
        MeasurementError, match=r"cannot be measured on 'test-cpu': cannot start a worker with '/no/such"
    ):
        meter.__enter__()


def test_a_target_without_room_is_not_the_candidates_fault(
    profile: HardwareProfile,
    baseline: bytes,
    candidate: bytes,
    feeds: Feeds,
    quick: Effort,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(path: Path, _: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with Meter(profile, baseline, feeds, effort=quick, workers=2) as meter:
        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(TargetError, match=r"workers' folder '.*paretune-worker-.*': No space left .* set TMPDIR"):
            meter.measure(candidate)


def test_provider_that_is_not_there_is_said_on_opening(profile: HardwareProfile, baseline: bytes, feeds: Feeds) -> None:
    engine = profile.engine.model_copy(update={"provider": "CUDAExecutionProvider"})
    meter = Meter(profile.model_copy(update={"engine": engine}), baseline, feeds, workers=2)
    with pytest.raises(MeasurementError, match="asked for CUDAExecutionProvider"):
        meter.__enter__()


def test_mistakes_in_the_arguments_are_said(profile: HardwareProfile, baseline: bytes, feeds: Feeds) -> None:
    with pytest.raises(ValueError, match=r"batch size 1 first, got shape \(3, 8\)"):
        Meter(profile, baseline, {"x": np.ones((3, 8), np.float32)})
    with pytest.raises(ValueError, match="got none"):
        Meter(profile, baseline, {})
    with pytest.raises(ValueError, match=r"at least 2 .*, got 1"):
        Meter(profile, baseline, feeds, workers=1)
    with pytest.raises(RuntimeError, match="not open"):
        Meter(profile, baseline, feeds).measure(baseline)


def test_confirming_takes_more_than_searching() -> None:
    assert CONFIRM.target_half_width < SEARCH.target_half_width
    assert CONFIRM.seconds_per_process > SEARCH.seconds_per_process
    with pytest.raises(ValueError, match="max_passes must be above 0, got 0"):
        dataclasses.replace(SEARCH, max_passes=0)


def test_importing_loads_nothing_heavy() -> None:
    heavy = "('numpy', 'scipy', 'onnxruntime', 'pydantic', 'psutil')"
    code = f"import sys, latency; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def kill_all_workers() -> None:
    """As a link does that is lost."""
    for child in psutil.Process().children():
        if any(word.endswith("worker.pyz") for word in child.cmdline()):
            child.kill()


def test_workers_that_are_lost_together_are_one_loss(
    profile: HardwareProfile, baseline: bytes, candidate: bytes, feeds: Feeds, quick: Effort
) -> None:
    effort = dataclasses.replace(quick, seconds_per_process=0.5)
    with Meter(profile, baseline, feeds, effort=effort, workers=4) as meter:
        meter.measure(candidate, effort=quick)
        drop = threading.Timer(0.8, kill_all_workers)
        drop.start()
        measurement = meter.measure(candidate, fresh=True)
        drop.join()
        meter.measure(candidate, fresh=True, effort=quick)
        assert len(measurement.processes) >= 2
        assert 1 <= meter.cost.workers_lost <= 2, "four workers at one moment; what was being replaced may be another"


def test_renewed_workers_are_other_processes(
    profile: HardwareProfile, baseline: bytes, candidate: bytes, feeds: Feeds, quick: Effort
) -> None:
    with Meter(profile, baseline, feeds, effort=quick, workers=2) as meter:
        meter.measure(candidate, fresh=True)
        before = {child.pid for child in psutil.Process().children()}
        meter.renew()
        meter.measure(candidate, fresh=True)
        after = {child.pid for child in psutil.Process().children()}
    assert len(before - after) == 2
    assert len(after - before) == 2


def test_a_digest_that_is_known_stands_for_one_that_would_be_found(
    profile: HardwareProfile, baseline: bytes, candidate: bytes, feeds: Feeds, quick: Effort
) -> None:
    digest = hashlib.sha256(baseline).hexdigest()
    with Meter(profile, baseline, feeds, baseline_digest=digest, effort=quick, workers=2) as meter:
        known = meter.measure(candidate, digest=hashlib.sha256(candidate).hexdigest())
    with Meter(profile, baseline, feeds, effort=quick, workers=2) as meter:
        assert meter.measure(candidate).key == known.key


def test_what_is_expected_is_loaded_ahead_and_anything_may_come_of_it(
    profile: HardwareProfile, baseline: bytes, candidate: bytes, feeds: Feeds, quick: Effort, tmp_path: Path
) -> None:
    log = MeasurementLog(tmp_path / "measurements.jsonl")
    transport = LocalTransport()

    def sent() -> list[str]:
        return sorted(path.name for path in Path(transport.path("any")).parent.glob("candidate-*"))

    with Meter(profile, baseline, feeds, effort=quick, log=log, transport=transport, workers=2) as meter:
        meter.expect(candidate)
        assert len(sent()) == 1
        meter.expect(b"no model at all")
        assert len(sent()) == 1, "what was expected before has been cleared away"
        meter.measure(candidate)
        assert sent() == []
        meter.expect(b"no model at all")
        with pytest.raises(MeasurementError, match="cannot be measured"):
            meter.measure(b"no model at all")
        kept = len(log)
        meter.expect(candidate)
        assert len(sent()) == 1 - kept, "nothing is sent of what the log has"
        meter.expect(baseline)
        kill_all_workers()
        assert len(meter.measure(baseline).processes) == 2
        assert 1 <= meter.cost.workers_lost <= 2
        assert sent() == []
