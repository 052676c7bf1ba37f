"""What is a warning, what a failure, and that each says what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hwprofiles import HardwareProfile, Machine
from latency.finding import Finding
from latency.machine_findings import clock_setting, load, machine, memory, temperature
from latency.measurement import Measurement
from latency.noise_findings import level, noise, quiet, sustained
from latency.samples import ProcessSamples, Samples
from latency.sustained import Drift, Ends

STATE: dict[str, Any] = {"free_bytes": 8 * 2**30, "temperatures_c": {}, "governor": None, "load": 0.1}
MEGABYTE = 2**20


def state(**changes: Any) -> dict[str, Any]:
    return {**STATE, **changes}


@pytest.mark.parametrize(("status", "remedy"), [("ok", "do this"), ("warning", ""), ("failed", ""), ("fine", "")])
def test_a_remedy_goes_with_what_is_wrong(status: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=r"status must be|a remedy goes with"):
        Finding(name="clock", status=status, seen="it stands", remedy=remedy)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("finding", "status"),
    [
        (memory(state(), MEGABYTE), "ok"),
        (memory(state(free_bytes=None), MEGABYTE), "ok"),
        (memory(state(free_bytes=400 * MEGABYTE), MEGABYTE), "warning"),
        (memory(state(free_bytes=400 * MEGABYTE), 500 * MEGABYTE), "failed"),
        (load(state(), 4), "ok"),
        (load(state(load=None), 4), "ok"),
        (load(state(load=3.0), 4), "warning"),
        (clock_setting(state()), "ok"),
        (clock_setting(state(governor="performance")), "ok"),
        (clock_setting(state(governor="ondemand")), "warning"),
        (temperature(state()), "ok"),
        (temperature(state(temperatures_c={"cpu-thermal": 51.0})), "ok"),
        (temperature(state(temperatures_c={"cpu-thermal": 51.0, "gpu-thermal": 83.2})), "warning"),
    ],
)
def test_what_a_machines_state_means(finding: Finding, status: str) -> None:
    assert finding.status == status


def test_the_hottest_sensor_is_named() -> None:
    assert temperature(state(temperatures_c={"a": 40.0, "gpu-thermal": 83.2})).seen == "83 °C (gpu-thermal)"


def found(*flags: str, architecture: str = "x86_64", accelerator: str | None = None) -> Machine:
    return Machine(
        cpu="A processor",
        architecture=architecture,
        flags=flags,
        physical_cores=2,
        logical_cores=2,
        memory_bytes=2**33,
        os="Linux 6",
        python="3.11",
        accelerator=accelerator,
    )


def test_a_scheme_that_does_not_suit_the_machine_is_a_warning_until_it_was_measured(profile: HardwareProfile) -> None:
    assert machine(profile, found("avx2", "avx512_vnni")).status == "ok"
    unsuited = machine(profile, found("avx2"))
    assert unsuited.status == "warning"
    assert "u8s7 suits this machine" in unsuited.seen
    assert machine(profile.model_copy(update={"probed": True}), found("avx2")).status == "ok"


def test_another_machine_is_a_failure_that_names_what_is_missing(profile: HardwareProfile) -> None:
    board = profile.model_copy(update={"requires": ("aarch64", "asimddp", "L4")})
    assert machine(board, found("asimddp", architecture="aarch64", accelerator="NVIDIA L4")).status in {"ok", "warning"}
    wrong = machine(board, found("asimddp", architecture="aarch64"))
    assert wrong.status == "failed"
    assert "a machine with L4" in wrong.seen


Maker = Callable[..., Measurement]


def against_itself(make: Maker, make_process: Callable[..., ProcessSamples], ratio: float, seed: int) -> Measurement:
    rng = np.random.default_rng(seed)
    processes = tuple(make_process(rng, candidate_ms=ratio, baseline_ms=1.0) for _ in range(4))
    return make(processes=processes, seed=seed)


def test_honest_intervals_pass_and_a_bias_fails(
    make_measurement: Maker, make_process: Callable[..., ProcessSamples]
) -> None:
    honest = [against_itself(make_measurement, make_process, 1.0, seed) for seed in range(8)]
    assert noise(honest).status == "ok"
    biased = [against_itself(make_measurement, make_process, 1.1, seed) for seed in range(8)]
    finding = noise(biased)
    assert finding.status == "failed"
    assert "1 lies in 0 of 8 intervals" in finding.seen
    assert noise([*honest[:6], biased[0], biased[1], biased[2]]).status == "warning"


def test_nothing_is_said_of_the_noise_where_nothing_was_measured_well(make_measurement: Maker) -> None:
    unreliable = make_measurement(grade="unreliable", reason="noise", remedy="stop it")
    assert noise([unreliable, unreliable]).status == "failed"
    assert noise([unreliable, make_measurement()]).seen.endswith("; 1 were too noisy to say anything")
    assert quiet([unreliable, unreliable]).status == "failed"
    assert quiet([unreliable, make_measurement()]).status == "warning"


def test_the_worst_grade_speaks(make_measurement: Maker) -> None:
    contended = make_measurement(grade="contended", reason="a neighbour", remedy="move")
    finding = quiet([make_measurement(), contended, make_measurement()])
    assert (finding.status, finding.remedy) == ("warning", "move")
    assert finding.seen == "2 clean, 1 contended: a neighbour"
    assert quiet([make_measurement()]).status == "ok"


def test_a_level_that_wanders(make_measurement: Maker, make_process: Callable[..., ProcessSamples]) -> None:
    def at(baseline_ms: float) -> Measurement:
        rng = np.random.default_rng(0)
        return make_measurement(processes=tuple(make_process(rng, baseline_ms=baseline_ms) for _ in range(4)))

    assert level([at(1.0), at(1.02), at(1.01)]).status == "ok"
    wandering = level([at(1.0), at(1.3), at(1.2)])
    assert wandering.status == "warning"
    assert "spread 30.0%, last over first +20.0%" in wandering.seen


def drift(change: float, *, spread: float = 0.002, stolen: float = 0.0, threads: int = 1) -> Drift:
    """Four processes whose medians change by ``change``, give or take ``spread``."""

    def samples(median_ms: float) -> Samples:
        wall = tuple(round(median_ms * (1 + stolen), 5) for _ in range(20))
        return Samples(wall_ms=wall, cpu_ms=tuple(round(median_ms, 5) for _ in wall), switches=(0,) * 20)

    ends = [Ends(before=samples(2.0), after=samples(2.0 * (1 + change + side * spread))) for side in (-1, 1, -1, 1)]
    return Drift(
        processes=tuple(ends),
        course=(),
        inferences=300_000,
        duration_s=600.0,
        threads=threads,
        temperature_before_c=48.0,
        temperature_after_c=81.0,
    )


def test_the_ratio_and_its_interval_are_over_processes() -> None:
    wide, narrow = drift(0.12, spread=0.02), drift(0.12, spread=0.002)
    assert narrow.ratio == pytest.approx(1.12, rel=1e-4)
    assert narrow.ratio_low < 1.12 < narrow.ratio_high
    assert wide.ratio_high - wide.ratio_low > 5 * (narrow.ratio_high - narrow.ratio_low)
    assert narrow.before_ms == 2.0
    with pytest.raises(ValueError, match="at least 2 processes"):
        Drift(**{**_fields(narrow), "processes": narrow.processes[:1]})


def _fields(value: Drift) -> dict[str, Any]:
    return {name: getattr(value, name) for name in Drift.__dataclass_fields__}


def test_processor_time_stands_in_where_others_had_the_processor() -> None:
    assert drift(0.0).clock == "wall"
    assert drift(0.0, stolen=0.4).clock == "cpu"
    assert drift(0.0, stolen=0.4).before_ms == 2.0
    assert drift(0.0, stolen=0.4, threads=2).clock == "wall"


@pytest.mark.parametrize(
    ("change", "spread", "status", "said"),
    [
        (0.12, 0.002, "warning", "throttles by 12%"),
        (0.0, 0.002, "ok", "steady within ±0.4%"),
        (0.005, 0.001, "ok", "steady within ±0.7%"),
        (-0.06, 0.002, "ok", "becomes faster by 6%"),
        (0.03, 0.1, "warning", "cannot be told from noise: +3%"),
    ],
)
def test_what_a_drift_is_called(change: float, spread: float, status: str, said: str) -> None:
    finding = sustained(drift(change, spread=spread))
    assert finding.status == status
    assert finding.seen.startswith(said)
    assert "after 10 min and 300,000 inferences, 48 °C before and 81 °C after" in finding.seen
