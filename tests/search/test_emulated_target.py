"""A search whose cost is instructions under emulation: no report, file or bundle ever shows them as time."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import optuna
import pandas as pd
import pytest
from rich.console import Console

import search
from hwprofiles import EmulatedReach, HardwareProfile, Machine
from latency import MeasurementKey, TargetError
from latency.emulation.instruction_count import RESOLUTION, ClassCounts, InstructionCount, ProcessCounts
from latency.transports.local import LocalTransport
from search import RunResult
from search.report.cost_words import NOT_TIME
from search.report.figure import front_figure
from search.report.table import front_table

ARM = Machine(
    cpu="emulated cortex-a76", architecture="aarch64", flags=("asimd", "asimddp"), physical_cores=1, logical_cores=1,
    memory_bytes=1, os="Linux 6", python="3.11",
)  # fmt: skip
ENGINE = SimpleNamespace(runtime="onnxruntime 1.32.0, emulated by qemu-aarch64 7.2")
PER_BYTE = 100


def counts(total: int) -> ClassCounts:
    others = dict.fromkeys(
        ("dot", "i8mm", "bf16", "fmla32", "fmla16", "mlal", "sve", "sme", "load_store_simd", "load_store"), 0
    )
    return ClassCounts(total=total, **others)


class FakeMeter:
    """Counts a hundred instructions for each byte of a model, in place of an emulator."""

    def __init__(self, profile: HardwareProfile, baseline: bytes, feeds: Any, *, log_folder: Path) -> None:
        self.machine, self.runtime = ARM, ENGINE.runtime
        self.cost = SimpleNamespace(overhead_s=0.0, inference_s=0.0, waited_s=0.0)
        self.measured: list[str] = []
        self._profile, self._baseline = profile.name, baseline
        METERS.append(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def expect(self, model: bytes, **_: Any) -> None:
        pass

    def measure(self, model: bytes, **_: Any) -> InstructionCount:
        digest = hashlib.sha256(model).hexdigest()
        self.measured.append(digest)
        key = MeasurementKey(
            model_digest=digest, baseline_digest=hashlib.sha256(self._baseline).hexdigest(),
            hardware_id=ARM.hardware_id, runtime=self.runtime, provider="CPUExecutionProvider", threads=1,
            affinity=None, spinning=True, batch_size=1, input_shapes=(), session_entries=(),
            baseline_session_entries=(),
        )  # fmt: skip
        one = ProcessCounts(
            candidate=(counts(PER_BYTE * len(model)),), baseline=(counts(PER_BYTE * len(self._baseline)),)
        )
        return InstructionCount(
            key=key, profile=self._profile, cpu="cortex-a76", runtime=self.runtime, emulator="qemu-aarch64 7.2",
            processes=(one, one), taken_at="2026-11-26T00:00:00+00:00",
        )  # fmt: skip


METERS: list[FakeMeter] = []


@pytest.fixture(scope="module")
def arm(profile: HardwareProfile) -> HardwareProfile:
    return profile.model_copy(update={"name": "arm-emulated", "reach": EmulatedReach()})


@pytest.fixture(scope="module")
def emulated(arm: HardwareProfile, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """A finished run on an emulated target; only to be looked at. Workers are real, and of this machine."""
    from tests.search.conftest import write_workload

    folder = tmp_path_factory.mktemp("emulated")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("search.trial.workbench.open_meter", FakeMeter)
        patch.setattr("latency.target.open_transport", lambda reach: LocalTransport())
        return search.run(write_workload(folder / "user"), arm, out=folder / "run", trials=6, sampler="random")


def test_instructions_have_columns_of_their_own_and_those_of_latency_are_empty(emulated: RunResult) -> None:
    for name in ("trials.csv", "pareto.csv"):
        rows = pd.read_csv(emulated.folder / name)
        assert len(rows) > 1
        for column in ("latency_ms", "latency_ratio", "latency_ratio_low", "latency_ratio_high"):
            assert rows[column].isna().all()
        assert rows["search_latency_ratio"].isna().all()
        assert rows["instructions"].gt(10_000).all()
        assert set(rows["grade"]) == {"emulated"}
    assert pd.read_csv(emulated.folder / "pareto.csv")["search_instructions_ratio"].notna().all()


def test_the_front_is_decided_on_instructions(emulated: RunResult) -> None:
    counted = [point.instructions or 0 for point in emulated.front]
    assert counted == sorted(counted, reverse=True)
    assert counted[-1] < counted[0] / 2  # 8-bit weights are a quarter of the bytes
    fp32 = emulated.points[0]
    assert fp32.instructions_ratio == pytest.approx(1.0, rel=1e-3)
    assert fp32.instructions_ratio_high - fp32.instructions_ratio_low >= RESOLUTION
    assert emulated.facts.fp32_instructions == pytest.approx(fp32.instructions, rel=1e-3)
    assert emulated.facts.fp32_latency_ms is None


def test_the_same_number_is_not_counted_twice_for_a_confirmation(emulated: RunResult) -> None:
    (meter,) = METERS
    assert emulated.is_confirmed
    assert max(meter.measured.count(digest) for digest in meter.measured) == 2  # once each in search and confirmation


def test_the_study_minimizes_what_it_says(emulated: RunResult) -> None:
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{emulated.folder / 'study.db'}")
    assert study.metric_names == ["instructions", "metric"]
    assert study.trials[0].values[0] == emulated.points[0].instructions
    assert "latency_ms" not in json.dumps([trial.user_attrs for trial in study.trials])


def test_every_report_says_so(emulated: RunResult) -> None:
    console = Console(width=120, file=io.StringIO())
    console.print(front_table(emulated.points, emulated.facts, width=120))
    table = console.file.getvalue()  # type: ignore[attr-defined]
    figure = front_figure(emulated.points, emulated.facts)
    axes = figure.axes[0]
    names = [axes.get_xlabel(), *(child.get_xlabel() for child in axes.child_axes)]
    page = emulated.page_path.read_text().split("<script>")[0]
    readme = (emulated.folder / "README.txt").read_text()
    for text in (table, page, axes.get_xlabel(), " ".join(note.get_text() for note in figure.texts)):
        assert NOT_TIME in text or "emulated, not time" in text
    assert any("Millions of instructions per inference (emulated), not time" in name for name in names)
    assert "They are not time" in " ".join(readme.split())
    for text in (table, page, *names):
        assert " ms" not in text
        assert "peedup" not in text
        assert "atency" not in text.replace("before you promise\na latency", "")


def test_bundles_say_so_and_hold_no_latency(emulated: RunResult) -> None:
    for point in emulated.front:
        manifest = json.loads((emulated.folder / "candidates" / point.digest / "manifest.json").read_text())
        assert "not time, and no latency was measured" in manifest["cost"]
        assert manifest["confirmed"]["instructions"] == point.instructions
        assert not [name for name in manifest["confirmed"] if "latency" in name]
        assert "fp32_latency_ms" not in manifest["run"]


def test_accuracy_is_the_targets_own_too(emulated: RunResult) -> None:
    """64 samples unless told otherwise, of the sixteen that there are."""
    assert {point.target_samples for point in emulated.front} == {16}
    assert not any(point.target_differs for point in emulated.front)


def test_reading_it_back_gives_the_same(emulated: RunResult) -> None:
    again = search.read_result(emulated.folder)
    assert again.points == emulated.points
    assert again.facts.is_emulated


def test_what_the_target_runs_in_float_is_said_of_the_point_and_no_reason_to_refuse_it(
    workload: Path, arm: HardwareProfile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Symmetric formats are TensorRT's: on this host's kernels they would all be refused, on the target they may run.

    The target here is a worker of this machine, whose ONNX Runtime keeps their convolutions in float.
    """
    monkeypatch.setattr("search.trial.workbench.open_meter", FakeMeter)
    monkeypatch.setattr("latency.target.open_transport", lambda reach: LocalTransport())
    result = search.run(workload, arm.with_int8_scheme("symmetric"), out=tmp_path / "run", trials=2, sampler="random")
    assert [point.state for point in result.points] == ["complete"] * 2
    fp32, eight = result.points
    assert fp32.reason == ""
    assert "layer 'conv1' should run in integers; on the target it runs in float (FusedConv)" in eight.reason
    manifest = json.loads((result.folder / "candidates" / eight.digest / "manifest.json").read_text())
    assert manifest["notes"] == [eight.reason]
    assert "on the target it runs in float" in result.page_path.read_text()


@pytest.mark.arm
def test_a_real_emulator_counts_and_answers(workload: Path, tmp_path: Path) -> None:
    from latency.emulation.root import find_root

    try:
        find_root(None, "cortex-a76")
    except TargetError as error:
        pytest.skip(f"nobody has prepared the emulated processor: {error}")
    result = search.run(workload, "arm-emulated", out=tmp_path / "run", trials=2, sampler="random", target_samples=4)
    assert result.is_confirmed
    assert all(point.target_samples == 4 and point.is_emulated for point in result.front)
    fp32, eight = result.points
    assert (eight.instructions or 0) < 0.8 * (fp32.instructions or 0)
    assert eight.target_metric == pytest.approx(eight.host_metric, abs=1e-6)
    assert json.loads((result.folder / "environment.json").read_text())["machine"]["architecture"] == "aarch64"
