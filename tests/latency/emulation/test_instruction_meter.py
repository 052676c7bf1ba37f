"""A meter of instructions is used like one of time; the emulator here is a script that counts a thousand per mark."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hwprofiles import HardwareProfile, ProfileError, load_profile
from latency import InstructionCount, MeasurementError, Meter, TargetError, open_meter
from latency.emulation.counter import plan
from latency.emulation.instruction_log import InstructionLog
from latency.emulation.instruction_meter import InstructionMeter
from latency.emulation.root import Root
from latency.meters import INSTRUCTIONS
from latency.transports.emulated import EmulatedTransport

Feeds = dict[str, np.ndarray]


def test_counts_come_from_the_marks_and_go_into_the_log(
    fake_arm: HardwareProfile, fake_root: Root, baseline: bytes, candidate: bytes, feeds: Feeds, tmp_path: Path
) -> None:
    with open_meter(fake_arm, baseline, feeds, log_folder=tmp_path) as meter:
        assert isinstance(meter, InstructionMeter)
        assert meter.machine.cpu == "emulated cortex-a76"
        assert (meter.machine.logical_cores, meter.machine.physical_cores) == (1, 1)
        assert meter.runtime.endswith(f", emulated by qemu-aarch64 9.1.2, root {fake_root.digest}")
        first = meter.measure(candidate, session_entries={"a.b": "1"})
        assert first == meter.measure(candidate, session_entries={"a.b": "1"})
        other = meter.measure(candidate)
    assert isinstance(first, InstructionCount)
    assert {counts.total for process in first.processes for counts in process.candidate + process.baseline} == {1000}
    assert [len(process.candidate) for process in first.processes] == [9, 9], "the others were left out"
    assert (first.ratio, first.candidate_by_class["dot"]) == (1.0, 10)
    assert first.key.session_entries == (("a.b", "1"),)
    assert other.key != first.key
    assert (meter.cost.measured, meter.cost.served) == (2, 1)
    assert meter.cost.inference_s > 0
    assert meter.cost.overhead_s > 0
    again = InstructionLog(tmp_path / INSTRUCTIONS)
    assert len(again) == 2
    assert again.find(first.key) == first


def test_instructions_decide_how_often_a_model_is_counted() -> None:
    plans = [plan(instructions) for instructions in (1, 10**6, 10**7, 10**8, 10**9, 10**12)]
    totals = [sum(each) for each in plans]
    assert totals == sorted(totals, reverse=True)
    assert all(counted >= 2 for _, counted in plans)


def test_refused_candidate_costs_one_trial(
    fake_arm: HardwareProfile, baseline: bytes, candidate: bytes, broken_model: bytes, feeds: Feeds
) -> None:
    with InstructionMeter(fake_arm, baseline, feeds) as meter:
        with pytest.raises(MeasurementError, match=r"cannot be counted on 'arm-emulated': .*NoSuchOperator"):
            meter.measure(broken_model)
        assert meter.measure(candidate).ratio == 1.0
    assert meter.cost.workers_lost == 0


class Killing(EmulatedTransport):
    """Kills the first worker when a candidate arrives."""

    def put(self, data: bytes, name: str) -> str:
        path = super().put(data, name)
        if name.startswith("candidate"):
            counted = sorted(Path(path).parent.glob("counts-*.jsonl"), key=lambda file: file.stat().st_ctime_ns)
            os.kill(int(counted[0].stem.removeprefix("counts-")), signal.SIGKILL)
        return path


def test_killed_worker_is_replaced_and_the_count_taken_again(
    fake_arm: HardwareProfile, baseline: bytes, candidate: bytes, feeds: Feeds
) -> None:
    with InstructionMeter(fake_arm, baseline, feeds, transport=Killing(fake_arm.reach)) as meter:
        assert meter.measure(candidate).ratio == 1.0
    assert meter.cost.workers_lost == 1


def test_candidate_that_workers_die_over_is_given_up(
    fake_arm: HardwareProfile, baseline: bytes, candidate: bytes, feeds: Feeds, tmp_path: Path
) -> None:
    with InstructionMeter(fake_arm, baseline, feeds, transport=Killing(fake_arm.reach)) as meter:
        (tmp_path / "broken").touch()
        with pytest.raises(MeasurementError, match=r"workers died over it 2 times: .*exit status 3"):
            meter.measure(candidate)
    assert meter.cost.workers_lost == 2


def test_plugin_that_does_not_count_is_said(
    fake_arm: HardwareProfile, baseline: bytes, feeds: Feeds, tmp_path: Path
) -> None:
    (tmp_path / "uncounted").touch()
    with (
        pytest.raises(MeasurementError, match=r"baseline cannot be counted .*wrote no counts .*plugin did not run"),
        InstructionMeter(fake_arm, baseline, feeds),
    ):
        pass


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda profile: profile.with_engine(threads=2), "1 thread is counted, got threads = 2"),
        (lambda _profile: load_profile("local-cpu"), "transport = 'local'; instructions are counted on 'emulated'"),
    ],
)
def test_what_cannot_be_counted_is_refused(
    baseline: bytes, feeds: Feeds, change: Callable[[HardwareProfile], HardwareProfile], words: str
) -> None:
    with pytest.raises(ProfileError, match=words):
        InstructionMeter(change(load_profile("arm-emulated")), baseline, feeds)


def test_missing_root_names_the_command(
    baseline: bytes, feeds: Feeds, fake_arm: HardwareProfile, tmp_path: Path
) -> None:
    reach = fake_arm.reach.model_copy(update={"root": str(tmp_path / "absent")})
    profile = fake_arm.model_copy(update={"reach": reach})
    with (
        pytest.raises(TargetError, match="does not exist; run: paretune profile prepare"),
        open_meter(profile, baseline, feeds),
    ):
        pass
    with pytest.raises(TargetError, match="does not exist; run: paretune profile prepare"):
        EmulatedTransport(reach)


def test_a_target_with_a_clock_gets_a_meter_of_time(baseline: bytes, feeds: Feeds, tmp_path: Path) -> None:
    assert isinstance(open_meter(load_profile("local-cpu"), baseline, feeds, log_folder=tmp_path), Meter)


def test_closed_meter_says_so(fake_arm: HardwareProfile, baseline: bytes, feeds: Feeds) -> None:
    meter = InstructionMeter(fake_arm, baseline, feeds)
    with pytest.raises(RuntimeError, match="use it in a with statement"):
        meter.measure(baseline)
