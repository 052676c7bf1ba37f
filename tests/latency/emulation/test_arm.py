"""The real thing: ONNX Runtime for ARM under qemu, counted, and its outputs beside this machine's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from hwprofiles import HardwareProfile
from latency import InstructionCount, Target, open_meter
from latency.emulation.instruction_count import RESOLUTION
from latency.emulation.instruction_meter import InstructionMeter
from latency.emulation.outputs import compare_outputs

pytestmark = pytest.mark.arm

TIME = re.compile(r"(^|_)(ms|ns|us|s|sec|seconds|time|latency|duration)($|_)")


def test_counting_repeats_and_8_bits_take_fewer_instructions_than_fp32(
    arm: HardwareProfile, networks: tuple[bytes, bytes], images: dict[str, np.ndarray], tmp_path: Path
) -> None:
    fp32, int8 = networks
    feeds = {"x": images["x"][:1]}
    with open_meter(arm, fp32, feeds, log_folder=tmp_path) as meter:
        assert isinstance(meter, InstructionMeter)
        assert meter.machine.cpu == "emulated cortex-a76"
        assert "asimddp" in meter.machine.flags
        assert re.fullmatch(r"onnxruntime [\d.]+, emulated by qemu-aarch64 [\d.]+, root [0-9a-f]{12}", meter.runtime)
        itself = meter.measure(fp32)
        count = meter.measure(int8)
        again = [meter.measure(int8, fresh=True) for _ in range(2)]
        served = meter.measure(int8)
    assert isinstance(count, InstructionCount)
    assert count.grade == "emulated"
    assert itself.ratio_low <= 1.0 <= itself.ratio_high
    assert itself.ratio_half_width < 3 * RESOLUTION
    least, middle, most = sorted(each.candidate_instructions for each in (count, *again))
    # On a crowded machine a run now and then takes a path of its own through the allocator; two of three are alike.
    assert min(middle - least, most - middle) <= RESOLUTION * middle
    assert count.ratio_high < 0.8
    assert count.candidate_by_class["dot"] > 10_000
    assert count.candidate_by_class["fmla32"] < 0.01 * count.baseline_by_class["fmla32"]
    assert count.baseline_by_class["dot"] == 0
    assert served == again[-1], "the latest with this key"
    assert (meter.cost.measured, meter.cost.served, meter.cost.workers_lost) == (4, 1, 0)
    lines = (tmp_path / "instructions.jsonl").read_text().splitlines()
    assert len(lines) == 4
    assert not (tmp_path / "measurements.jsonl").exists()
    stored = json.loads(lines[1])
    assert InstructionCount.from_json(lines[1]) == count
    assert [name for name in names_in(stored) if TIME.search(name)] == []
    assert [name for name in vars(type(count)) if TIME.search(name)] == []


def names_in(value: object) -> list[str]:
    if isinstance(value, dict):
        return [*value, *(name for each in value.values() for name in names_in(each))]
    return [name for each in value for name in names_in(each)] if isinstance(value, list) else []


def test_outputs_are_this_machines(
    arm: HardwareProfile, networks: tuple[bytes, bytes], images: dict[str, np.ndarray]
) -> None:
    fp32, int8 = networks
    with Target(arm) as target:
        integers = compare_outputs(target, int8, images)
        floats = compare_outputs(target, fp32, images)
    assert integers.samples == floats.samples == 3
    assert 0 < floats.largest_relative < 1e-5 or floats.identical
    assert "onnxruntime" in floats.words
    # Where this machine adds products in 16 bits (no VNNI) it may saturate; ARM never does.
    assert integers.identical or integers.largest_relative < 0.05


@pytest.mark.parametrize("cpu", ["cortex-a53", "max"])
def test_a_processor_is_what_its_name_says(arm: HardwareProfile, cpu: str) -> None:
    reach = arm.reach.model_copy(update={"cpu": cpu})
    with Target(arm.model_copy(update={"reach": reach})) as target:
        assert target.runtime.startswith("onnxruntime ")
        has = set(target.machine.flags)
    assert ({"asimddp", "i8mm", "sve"} <= has) == (cpu == "max")
    assert "asimd" in has
