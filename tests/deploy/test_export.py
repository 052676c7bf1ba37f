"""A bundle is written whole, of bytes that were measured again; where anything is wrong, nothing is written."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compress.policy import Policy
from deploy.bundle import BuiltEngine, is_bundle
from deploy.errors import BundleError, RemeasuredOtherwiseError, UnreliableLatencyError
from deploy.export import export_bundle, write_bundle_files
from deploy.exportable import Exportable
from deploy.manifest import Manifest, read_manifest
from deploy.opened import open_bundle
from deploy.promises import Budgets
from deploy.remeasure import Remeasured
from hwprofiles import Engine
from latency import Measurement, MeasurementError, TargetError, combine


def manifest_of(folder: Path) -> Manifest:
    found = read_manifest((folder / "manifest.json").read_bytes())
    assert isinstance(found, Manifest)
    return found


def test_what_is_exported_is_what_was_confirmed_measured_again(point: Exportable, tmp_path: Path) -> None:
    exported = export_bundle(point, tmp_path / "deep" / "bundle")
    manifest = manifest_of(exported.folder)
    assert manifest == exported.manifest
    assert (exported.folder / "model.onnx").read_bytes() == point.onnx_bytes
    assert (exported.folder / "fp32.onnx").read_bytes() == point.fp32
    assert Policy.from_json((exported.folder / "policy.json").read_text()) == point.policy
    assert manifest.latency.confirmed == point.confirmed
    assert manifest.workload.digest == point.workload.digest
    assert manifest.accuracy == point.accuracy
    assert [(each.name, each.dtype, each.shape) for each in manifest.inputs] == [("x", "float32", ("n", 3, 24, 24))]
    assert [(each.name, each.dtype, each.shape) for each in manifest.outputs] == [("y", "float32", ("n", 4))]
    assert manifest.session.threads == 1
    assert manifest.session.entries == {"session.intra_op.allow_spinning": "1", **point.session_entries}
    with np.load(exported.folder / "example.npz") as example:
        assert dict(example).keys() == point.feeds.keys()
    assert is_bundle(exported.folder)


def test_the_raw_samples_of_both_latencies_are_in_the_bundle(original: Path) -> None:
    lines = (original / "measurements.jsonl").read_text().splitlines()
    manifest = manifest_of(original)
    for figure in (manifest.latency.exported,):
        whole = combine([Measurement.from_json(lines[number]) for number in figure.lines])
        assert (whole.ratio, whole.ratio_high) == pytest.approx((figure.ratio, figure.ratio_high))
        assert whole.model_digest == manifest.digest
    used = [*manifest.latency.confirmed.lines, *manifest.latency.exported.lines]
    assert sorted(used) == list(range(len(lines)))


def test_how_the_target_is_reached_is_not_told(point: Exportable, tmp_path: Path, measured: Remeasured) -> None:
    """A bundle goes to others; a host, a user and the names of keys do not."""
    exported = write_bundle_files(point, measured, tmp_path / "bundle", {}, budgets=Budgets())
    assert "reach" not in json.dumps(exported.manifest.model_dump(mode="json"))


@pytest.mark.parametrize("share", [0.5, 2.0])
def test_bytes_that_are_not_as_fast_as_confirmed_are_not_exported(
    point: Exportable, tmp_path: Path, share: float
) -> None:
    confirmed = point.confirmed
    ends = {name: getattr(confirmed, name) * share**4 for name in ("ratio", "ratio_low", "ratio_high")}
    other = replace(point, confirmed=confirmed.model_copy(update=ends))
    with pytest.raises(RemeasuredOtherwiseError, match=r"of FP32's time now, the search confirmed .*nothing was exp"):
        export_bundle(other, tmp_path / "bundle", archive=True)
    assert list(tmp_path.iterdir()) == []


def test_another_machine_or_runtime_than_the_runs_is_refused(point: Exportable, tmp_path: Path) -> None:
    for name, reason in (("hardware_id", "export where the device is"), ("runtime", "install that version")):
        other = replace(point, target=point.target.model_copy(update={name: "another"}))
        with pytest.raises(BundleError, match=reason):
            export_bundle(other, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_an_unreliable_latency_stops_the_export(
    point: Exportable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latency.grading._WIDEST", 1e-9)
    monkeypatch.setattr("deploy.remeasure.MOST_PASSES", 2)
    with pytest.raises(UnreliableLatencyError):
        export_bundle(point, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_cannot_be_reached_stops_the_export(point: Exportable, tmp_path: Path) -> None:
    from hwprofiles import SshReach

    reach = SshReach(host="127.0.0.1", port=1, connect_timeout_s=1.0)
    away = replace(point, profile=point.profile.model_copy(update={"reach": reach}))
    with pytest.raises((TargetError, MeasurementError)):
        export_bundle(away, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("budgets", "reason"),
    [
        (Budgets(max_latency_ms=1e-9), "latency-ms 1e-09 was asked, found is"),
        (Budgets(min_speedup=1e9), "speedup 1e\\+09 was asked"),
        (Budgets(max_drop=-2.0), "drop -2 was asked"),
        (Budgets(max_size_mb=1e-6), "size-mb 1e-06 was asked"),
    ],
)
def test_a_promise_that_is_broken_already_is_refused(
    point: Exportable,
    measured: Remeasured,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    budgets: Budgets,
    reason: str,
) -> None:
    with pytest.raises(BundleError, match=reason):
        write_bundle_files(point, measured, tmp_path / "bundle", {}, budgets=budgets)
    monkeypatch.setattr("deploy.export.remeasure", lambda *arguments, **others: pytest.fail("it was measured"))
    with pytest.raises(BundleError, match=reason):
        export_bundle(point, tmp_path / "bundle", budgets=budgets)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("worse", ["confirmed", "exported"])
def test_of_two_occasions_the_worse_one_is_promised(
    point: Exportable, measured: Remeasured, tmp_path: Path, worse: str
) -> None:
    ratio = measured.whole.ratio_high * (1.01 if worse == "confirmed" else 0.99)
    confirmed = point.confirmed.model_copy(update={"ratio_high": ratio})
    written = write_bundle_files(
        replace(point, confirmed=confirmed), measured, tmp_path / "bundle", {}, budgets=Budgets()
    )
    most = max(ratio, measured.whole.ratio_high)
    assert written.manifest.promises.min_speedup == pytest.approx(1 / most)


def test_promises_are_what_is_said_and_else_the_intervals_ends(
    point: Exportable, measured: Remeasured, tmp_path: Path
) -> None:
    written = write_bundle_files(point, measured, tmp_path / "one", {}, budgets=Budgets()).manifest
    default, highest = written.promises, max(point.confirmed.ratio_high, written.latency.exported.ratio_high)
    assert default.max_latency_ms == pytest.approx(highest * point.fp32_ms)
    assert default.min_speedup == pytest.approx(1 / highest)
    assert default.max_drop == point.accuracy.confirmed.drop_high
    assert default.max_size_bytes == len(point.onnx_bytes)
    said = Budgets(max_latency_ms=100.0, max_drop=0.5, min_speedup=0.1, max_size_mb=3.5)
    promises = write_bundle_files(point, measured, tmp_path / "two", {}, budgets=said).manifest.promises
    assert (promises.max_latency_ms, promises.max_drop, promises.min_speedup) == (100.0, 0.5, 0.1)
    assert promises.max_size_bytes == 3_500_000


def test_the_archive_holds_the_same_bundle_and_replaces_an_older_one(
    point: Exportable, measured: Remeasured, tmp_path: Path
) -> None:
    (tmp_path / "bundle.tar.gz").write_bytes(b"older")
    write_bundle_files(point, measured, tmp_path / "bundle", {}, budgets=Budgets())
    exported = write_bundle_files(point, measured, tmp_path / "bundle", {}, budgets=Budgets(), archive=True)
    assert exported.archive == tmp_path / "bundle.tar.gz"
    with tarfile.open(exported.archive) as archive:
        assert archive.getnames()[0] == "bundle/manifest.json"
    with open_bundle(exported.archive) as opened:
        assert opened.manifest == exported.manifest
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle", "bundle.tar.gz"]


def test_a_disk_that_is_full_leaves_nothing(
    point: Exportable, measured: Remeasured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open

    def full(path: Path, mode: str = "r", *arguments: object) -> io.IOBase:
        if path.name == "manifest.json" and "w" in mode:
            raise OSError(28, "No space left on device", str(path))
        return real(path, mode, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(OSError, match="No space left"):
            write_bundle_files(point, measured, tmp_path / "bundle", {}, budgets=Budgets(), archive=True)
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_bundle_is_never_replaced(point: Exportable, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").touch()
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    for name in ("photos", "link"):
        with pytest.raises(BundleError, match="is there already and is no bundle"):
            export_bundle(point, tmp_path / name)
    assert (tmp_path / "photos" / "one.jpg").exists()


def test_a_format_that_the_run_has_not_is_refused_before_measuring(
    point: Exportable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.export.remeasure", lambda *arguments, **others: pytest.fail("it was measured"))
    with pytest.raises(BundleError, match="no format called 'torchscript'; choose one of onnx, triton, tensorrt"):
        export_bundle(point, tmp_path / "bundle", kind="torchscript")
    with pytest.raises(BundleError, match=r"has no built engine of #3: the run's runtime is onnxruntime, which builds"):
        export_bundle(point, tmp_path / "bundle", kind="tensorrt")
    on_gpu = replace(point, profile=point.profile.model_copy(update={"engine": Engine(name="tensorrt")}))
    with pytest.raises(BundleError, match="the engine that was timed was not kept"):
        export_bundle(on_gpu, tmp_path / "bundle", kind="tensorrt")
    assert list(tmp_path.iterdir()) == []


def test_a_built_engine_ships_with_what_it_is_for(
    point: Exportable, measured: Remeasured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = {"kind": "TensorRT engine", "runtime": "tensorrt 11.1", "accelerator": "NVIDIA L4, driver 580", "key": "k"}
    on_gpu = replace(
        point,
        profile=point.profile.model_copy(update={"engine": Engine(name="tensorrt")}),
        engine=BuiltEngine(data=b"plan", facts=facts),
    )
    monkeypatch.setattr("deploy.export.remeasure", lambda *arguments, **others: measured)
    exported = export_bundle(on_gpu, tmp_path / "bundle", kind="tensorrt")
    assert (exported.folder / "engine.plan").read_bytes() == b"plan"
    assert exported.manifest.engine == facts
    assert "NVIDIA L4, driver 580, tensorrt 11.1" in (exported.folder / "MODEL_CARD.md").read_text()
    plain = export_bundle(on_gpu, tmp_path / "plain")
    assert plain.manifest.engine is None
    assert not (plain.folder / "engine.plan").exists()
    # ONNX Runtime answers in its stead, on the processor.
    assert plain.manifest.session.provider == "CPUExecutionProvider"


def test_the_card_tells_the_figures_and_lets_no_name_write_markdown(
    point: Exportable, measured: Remeasured, tmp_path: Path
) -> None:
    named = replace(point, name="a|b <script>", notes=("on the target 0.9, here 0.8",))
    folder = write_bundle_files(named, measured, tmp_path / "bundle", {}, budgets=Budgets()).folder
    card = (folder / "MODEL_CARD.md").read_text()
    assert "# a\\|b &lt;script>, compressed for local-cpu" in card
    assert f"{1 / point.confirmed.ratio:.2f} times as fast as FP32" in card
    assert "- on the target 0.9, here 0.8" in card
    assert "| conv1 | int8 |" in card or "int8 | – | – |" in card
