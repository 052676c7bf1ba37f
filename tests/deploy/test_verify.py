"""A bundle that keeps its promises passes, one that breaks one fails, with the reason that is the right one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from deploy.errors import BundleError, UnreliableLatencyError
from deploy.first_look import PROCESSES
from deploy.promises import Budgets
from deploy.remeasure import PASSES, WORKERS, Remeasured
from deploy.revalidate import revalidate
from deploy.verdict import Check, Verdict
from deploy.verify import verify_bundle
from hwprofiles import HardwareProfile, load_profile
from latency import Meter
from workloads import Workload, load

Edit = Callable[..., None]


def check(verdict: Verdict, name: str) -> Check:
    return next(each for each in verdict.checks if each.name == name)


@pytest.fixture
def known_latency(monkeypatch: pytest.MonkeyPatch, measured: Remeasured) -> None:
    """The latency as it was measured for the export: these tests are about something else."""
    monkeypatch.setattr("deploy.verify_figures.remeasure", taken_as(measured))


def taken_as(measured: Remeasured) -> Callable[..., Remeasured]:
    """What `remeasure` does, but for measuring."""

    def take(*arguments: Any, meanwhile: Callable[[], None] = lambda: None, **others: Any) -> Remeasured:
        meanwhile()
        return measured

    return take


def test_a_bundle_as_it_was_exported_keeps_its_promises(bundle: Path) -> None:
    verdict = verify_bundle(bundle)
    assert verdict.is_kept
    names = [each.name for each in verdict.checks]
    assert names == ["files", "network", "size", "workload", "machine", "latency", "speedup", "accuracy"]
    assert {each.status for each in verdict.checks if each.name in ("files", "network", "size", "workload")} == {"kept"}
    assert verdict.figures["latency"]["is_promised_device"]
    assert verdict.figures["accuracy"]["samples"] == 32
    assert "ms" in check(verdict, "latency").found


def test_one_flipped_byte_of_the_network_breaks_it_before_anything_is_run(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytearray((bundle / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (bundle / "model.onnx").write_bytes(data)
    monkeypatch.setattr("deploy.verify_figures.remeasure", lambda *arguments, **others: pytest.fail("it was run"))
    verdict = verify_bundle(bundle)
    (broken,) = verdict.failed
    assert (broken.name, broken.status) == ("files", "broken")
    assert broken.reason.startswith("'model.onnx' was changed: its SHA-256 is")


def test_a_latency_promise_made_half_as_large_is_broken(bundle: Path, edit: Edit) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    latency = manifest["latency"]["confirmed"]
    edit(promises__max_latency_ms=latency["ms"] / 20, promises__min_speedup=None)
    (broken,) = verify_bundle(bundle).failed
    assert broken.name == "latency"
    assert broken.reason.startswith("too slow: even the low end of the interval")
    assert broken.promised == f"at most {latency['ms'] / 20:.4g} ms"


def test_nobody_is_accused_on_one_occasion_alone(
    bundle: Path, edit: Edit, measured: Remeasured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was too slow once is measured anew, and both occasions are judged as one."""
    occasions: list[Remeasured] = []

    def note(*arguments: Any, **others: Any) -> Remeasured:
        occasions.append(measured)
        return taken_as(measured)(*arguments, **others)

    monkeypatch.setattr("deploy.verify_figures.remeasure", note)
    assert verify_bundle(bundle).is_kept
    assert len(occasions) == 1
    edit(promises__max_latency_ms=1e-6)
    verdict = verify_bundle(bundle)
    assert [each.name for each in verdict.failed] == ["latency"]
    assert len(occasions) == 3
    assert verdict.figures["latency"]["inference_s"] == pytest.approx(2 * measured.inference_s)


@pytest.mark.usefixtures("known_latency")
@pytest.mark.parametrize(
    ("budgets", "name", "reason"),
    [
        (Budgets(max_latency_ms=1e-6), "latency", "too slow"),
        (Budgets(min_speedup=1000.0), "speedup", "too slow"),
        (Budgets(max_size_mb=0.001), "size", "model.onnx is too large"),
        (Budgets(max_drop=-0.9), "accuracy", "it loses too much"),
    ],
)
def test_the_callers_budget_stands_in_the_promises_place(
    bundle: Path, budgets: Budgets, name: str, reason: str
) -> None:
    failed = {each.name: each for each in verify_bundle(bundle, budgets=budgets).failed}
    assert reason in failed.pop(name).reason
    assert not failed


def test_another_device_is_judged_by_its_ratio_to_fp32(bundle: Path, edit: Edit) -> None:
    """As fast in ms as promised or a thousand times slower: there, only the share of FP32's time counts."""
    edit(target__hardware_id="000000000000", latency__fp32_ms=1e-3, promises__max_latency_ms=0.9e-3)
    edit(promises__min_speedup=None)
    verdict = verify_bundle(bundle)
    latency = check(verdict, "latency")
    assert "of FP32's time" in latency.promised
    assert latency.status == "kept", latency
    assert not verdict.figures["latency"]["is_promised_device"]
    assert "promised on 000000000000" in check(verdict, "machine").reason
    edit(promises__max_latency_ms=1e-6)
    assert [each.name for each in verify_bundle(bundle).failed] == ["latency"]


def test_other_engine_settings_are_another_device(bundle: Path) -> None:
    profile = load_profile("local-cpu").with_engine(batch_size=2)
    verdict = verify_bundle(bundle, profile=profile)
    assert "batch_size = 2, promised with 1" in check(verdict, "machine").reason
    assert "of FP32's time" in check(verdict, "latency").found


def test_files_that_do_not_belong_together_are_refused(bundle: Path, edit: Edit) -> None:
    policy = json.loads((bundle / "manifest.json").read_text())["policy_digest"]
    edit(policy_digest="0" * 64)
    (broken,) = verify_bundle(bundle).failed
    assert (broken.name, "speaks of another policy" in broken.reason) == ("network", True)
    edit(policy_digest=policy, inputs=[{"name": "x", "dtype": "float32", "shape": [1, 3, 24, 24]}])
    (broken,) = verify_bundle(bundle).failed
    assert broken.reason == "model.onnx has other inputs or outputs than the manifest tells"
    edit(fp32_digest="0" * 64)
    (broken,) = verify_bundle(bundle).failed
    assert "speaks of another fp32.onnx" in broken.reason


def test_a_network_that_reads_files_beside_it_is_never_loaded(
    bundle: Path, edit: Edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime would read whatever file the network names."""
    model = onnx.load(bundle / "model.onnx")
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")
    (bundle / "model.onnx").write_bytes(model.SerializeToString())
    edit(rehash=True)
    monkeypatch.setattr("deploy.verify_figures.remeasure", lambda *arguments, **others: pytest.fail("it was loaded"))
    (broken,) = verify_bundle(bundle).failed
    assert "in another file; it must hold them all" in broken.reason


def test_a_network_that_does_not_load_is_a_broken_promise(bundle: Path, edit: Edit) -> None:
    model = onnx.load(bundle / "model.onnx")
    model.graph.node[0].op_type = "NoSuchOperator"
    (bundle / "model.onnx").write_bytes(model.SerializeToString())
    edit(rehash=True)
    broken = verify_bundle(bundle).failed
    assert [each.name for each in broken] == ["latency", "accuracy"]
    for each in broken:
        assert each.reason.startswith("it does not run: ")
        assert "NoSuchOperator" in each.reason


@pytest.mark.usefixtures("known_latency")
def test_a_changed_workload_is_refused_unless_it_is_named(
    bundle: Path, edit: Edit, workload: Workload, workload_file: Path
) -> None:
    edit(workload__digest="0" * 64)
    with pytest.raises(BundleError, match=r"is not the one that the promise was made on .*--workload"):
        verify_bundle(bundle)
    verdict = verify_bundle(bundle, workload=workload)
    assert check(verdict, "workload").status == "noted"
    assert check(verdict, "workload").reason == "another one than the promise was made on, as asked"
    assert check(verdict, "accuracy").status == "kept"
    assert load(workload_file).digest == workload.digest


@pytest.mark.parametrize(
    ("origin", "reason"),
    [
        ("/nowhere/tiny.py", "is not on this machine; say with --workload where it is"),
        ("run.py", "which no export does"),
        ("{bundle}/run.py", "which no export does"),
        ("/data/model.onnx", "give them again: --model, --data and --metric"),
    ],
)
def test_a_workload_that_cannot_be_found_or_came_with_the_bundle_is_not_run(
    bundle: Path, edit: Edit, origin: str, reason: str
) -> None:
    edit(workload__origin=origin.format(bundle=bundle))
    with pytest.raises(BundleError, match=reason):
        verify_bundle(bundle)


def test_nothing_that_the_bundle_says_of_its_target_starts_anything(
    bundle: Path, edit: Edit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Provider options can name libraries, and a GPU's engine is code: neither comes from what somebody sent."""
    seen: list[HardwareProfile] = []

    def note(profile: HardwareProfile, *arguments: Any, **others: Any) -> None:
        seen.append(profile)
        raise UnreliableLatencyError("that is enough")

    monkeypatch.setattr("deploy.verify_figures.remeasure", note)
    edit(target__engine__options=[["library", "/evil.so"]])
    with pytest.raises(UnreliableLatencyError):
        verify_bundle(bundle)
    assert seen[0].engine.options == ()
    assert seen[0].reach.transport == "local"
    edit(target__engine__options=[], target__engine__name="tensorrt", target__engine__provider="TensorRT")
    with pytest.raises(BundleError, match="--target PROFILE"):
        verify_bundle(bundle)


@pytest.mark.usefixtures("known_latency")
def test_cores_that_this_machine_lacks_are_left_out_and_said(bundle: Path, edit: Edit) -> None:
    edit(target__engine__affinity=[4000])
    verdict = verify_bundle(bundle)
    assert "affinity = None, promised with (4000,)" in check(verdict, "machine").reason


def test_what_cannot_be_measured_is_neither_kept_nor_broken(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latency.grading._WIDEST", 1e-9)
    monkeypatch.setattr("deploy.remeasure.MOST_PASSES", 2)
    with pytest.raises(UnreliableLatencyError, match="latency is unreliable: "):
        verify_bundle(bundle)


def test_nothing_else_runs_while_a_latency_is_taken(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Validation overlaps with the start of the workers, and is over before the first inference is timed."""
    events: list[str] = []

    def noting(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*arguments: Any, **others: Any) -> Any:
            events.append(f"{name} begins")
            try:
                return call(*arguments, **others)
            finally:
                events.append(f"{name} ends")

        return noted

    monkeypatch.setattr("deploy.verify_figures.revalidate", noting("validation", revalidate))
    monkeypatch.setattr("latency.measure.Meter.measure", noting("timing", Meter.measure))
    assert verify_bundle(bundle).is_kept
    assert events[:3] == ["validation begins", "validation ends", "timing begins"]
    assert events.count("validation begins") == 1


@pytest.mark.parametrize(("known_well", "processes"), [(1e9, PROCESSES), (1e-9, WORKERS * PASSES)])
def test_two_processes_are_enough_where_they_leave_no_doubt(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, known_well: float, processes: int
) -> None:
    monkeypatch.setattr("deploy.verify_latency.KNOWN_WELL", known_well)
    verdict = verify_bundle(bundle)
    assert verdict.is_kept
    assert verdict.figures["latency"]["processes"] == processes


def test_an_emulated_target_has_no_latency(bundle: Path) -> None:
    with pytest.raises(BundleError, match="is emulated: it has no latency to verify"):
        verify_bundle(bundle, profile=load_profile("arm-emulated"))


def test_a_candidates_folder_of_format_1_loads_and_promises_nothing(tmp_path: Path) -> None:
    old = Path(shutil.copytree(Path(__file__).parents[1] / "data" / "bundle-v1", tmp_path / "old"))
    verdict = verify_bundle(old)
    assert [(each.name, each.status) for each in verdict.checks] == [
        ("files", "kept"),
        ("network", "kept"),
        ("promises", "noted"),
    ]
    assert check(verdict, "network").found == "image → linear"
    with pytest.raises(BundleError, match="nothing to hold it to"):
        verify_bundle(old, budgets=Budgets(max_drop=0.1))
    (old / "model.onnx").write_bytes(b"no network")
    manifest = json.loads((old / "manifest.json").read_text())
    manifest["files"].pop("policy.json")
    (old / "manifest.json").write_text(json.dumps(manifest))
    assert [each.name for each in verify_bundle(old).failed] == ["files"]
