"""What comes of a probe: a row for every choice, whatever happens to it, and no measurement twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hwprofiles import HardwareProfile, ProbedChoice
from latency import MeasurementError, MeasurementLog
from latency.probing import ProbeStep, probe
from tests.hwprofiles.probed_rows import row
from tests.latency.probing.made_groups import MACHINE, MadeTarget, group, unbuildable

TIMES = {"int8": 0.5, "fp16": 1.0, "int8-dynamic": 1.5, "int4-weights": 0.8, "int8-weights": 0.7, "fp32": 1.0}


def choices(*formats: str, batch_size: int = 1, **changes: Any) -> list[ProbedChoice]:
    return [row(operator="MatMul", format=name, batch_size=batch_size, **changes).choice for name in formats]


@pytest.fixture
def target() -> MadeTarget:
    return MadeTarget(milliseconds=TIMES)


def test_every_choice_becomes_a_row_in_order(profile: HardwareProfile, target: MadeTarget) -> None:
    groups = [group(choices("int8", "int8-dynamic")), group(choices("int8", "fp16", batch_size=32))]
    outcome = probe(groups, profile, make_meter=target.meter)
    assert [each.choice for each in outcome.rows] == [choice for each in groups for choice in each.choices]
    assert [each.verdict for each in outcome.rows] == ["pays", "cannot pay", "pays", "undecided"]
    assert outcome.rows[0].ratio == pytest.approx(0.5, rel=0.02)
    assert outcome.rows[0].fp32_ms == pytest.approx(1.0 / 4, rel=0.02), "of one layer of four"
    assert outcome.rows[0].kernels == ("QLinearConv",)
    assert (outcome.runtime, outcome.machine, outcome.left_out) == ("onnxruntime 1.32.0", MACHINE, 0)
    assert target.batch_sizes == [1, 32]


def test_what_cannot_be_built_or_run_is_a_row_with_the_first_line_of_the_reason(profile: HardwareProfile) -> None:
    target = MadeTarget(milliseconds=TIMES, crashes=frozenset({"int4-weights"}))
    formats = choices("int8", "fp16", "int4-weights", "int8-dynamic")
    groups = [group(formats, refused=["fp16"]), unbuildable(choices("int8", weight_shape=(8, 8)))]
    rows = probe(groups, profile, make_meter=target.meter).rows
    assert [each.refused for each in rows] == [
        None,
        "no kernel for fp16",
        "the candidate cannot be measured: no such operator for int4-weights",
        None,
        "the layer is too large",
    ]


def test_steps_count_up_and_tell_the_time_left(profile: HardwareProfile, target: MadeTarget) -> None:
    steps: list[ProbeStep] = []
    ticks = iter(range(100))
    groups = [group(choices("int8", "fp16")), group(choices("int8", "fp16", batch_size=4))]
    probe(groups, profile, make_meter=target.meter, listener=steps.append, clock=lambda: float(next(ticks)))
    assert [(step.done, step.total) for step in steps] == [(done, 4) for done in range(5)]
    assert steps[0].row is None
    assert [step.row.format for step in steps[1:] if step.row] == ["int8", "fp16", "int8", "fp16"]
    assert steps[-1].remaining_s == 0
    assert all(step.remaining_s and step.remaining_s > 0 for step in steps[1:-1])


@pytest.mark.parametrize(("time_s", "rows"), [(0.5, 1), (1.5, 2), (2.5, 3), (100, 4)])
def test_no_choice_begins_once_the_time_is_up(
    profile: HardwareProfile, target: MadeTarget, time_s: float, rows: int
) -> None:
    """Each measurement takes a second here; one is always taken."""

    def clock() -> float:
        return float(len(target.measured))

    groups = [group(choices("int8", "fp16")), group(choices("int8", "fp16", batch_size=4))]
    outcome = probe(groups, profile, make_meter=target.meter, time_s=time_s, clock=clock)
    assert (len(outcome.rows), outcome.left_out) == (rows, 4 - rows)
    assert len(target.measured) == rows


def test_an_interrupted_probe_goes_on_from_its_log(profile: HardwareProfile, tmp_path: Path) -> None:
    path = tmp_path / "measurements.jsonl"
    formats = choices("int8", "fp16", "int8-dynamic", "int4-weights")

    def interrupt(step: ProbeStep) -> None:
        if step.done == 2:
            raise KeyboardInterrupt

    first = MadeTarget(milliseconds=TIMES, log=MeasurementLog(path))
    with pytest.raises(KeyboardInterrupt):
        probe([group(formats)], profile, make_meter=first.meter, listener=interrupt)
    slower = {name: 2 * milliseconds for name, milliseconds in TIMES.items()}
    second = MadeTarget(milliseconds=slower, log=MeasurementLog(path))
    outcome = probe([group(formats)], profile, make_meter=second.meter)
    assert first.measured == ["int8", "fp16"]
    assert second.measured == ["int8-dynamic", "int4-weights"]
    assert [each.ratio for each in outcome.rows] == pytest.approx([0.5, 1.0, 3.0, 1.6], rel=0.02)


def test_a_target_that_measures_nothing_is_an_error(profile: HardwareProfile) -> None:
    dead = MadeTarget(milliseconds=TIMES, dead_after=0)
    with pytest.raises(MeasurementError, match="no answer"):
        probe([group(choices("int8")), group(choices("fp16"))], profile, make_meter=dead.meter)
    with pytest.raises(MeasurementError, match="could be built"):
        probe([unbuildable(choices("int8"))], profile, make_meter=dead.meter)


def test_one_baseline_that_fails_is_its_own_affair_and_two_are_the_target_s(profile: HardwareProfile) -> None:
    groups = [group(choices("int8", batch_size=size)) for size in (1, 2)]
    outcome = probe(groups, profile, make_meter=MadeTarget(milliseconds=TIMES, dead_after=1).meter)
    assert [each.verdict for each in outcome.rows] == ["pays", "refused"]
    groups.append(group(choices("int8", batch_size=3)))
    with pytest.raises(MeasurementError, match="no answer"):
        probe(groups, profile, make_meter=MadeTarget(milliseconds=TIMES, dead_after=1).meter)


def test_a_group_is_of_one_batch_size_and_not_empty(profile: HardwareProfile) -> None:
    with pytest.raises(ValueError, match=r"batch size 1, got \[2\]"):
        group([*choices("int8"), *choices("fp16", batch_size=2)])
    with pytest.raises(ValueError, match="at least one group"):
        probe([], profile)
