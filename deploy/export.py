"""From a confirmed point to a bundle: measured again, compared with what was confirmed, written whole or not at all."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.whole_file import PARTIAL_SUFFIX
from deploy.archive import SUFFIX, archive_bytes
from deploy.bundle import ENGINE_FILE, is_bundle, listed
from deploy.errors import BundleError, RemeasuredOtherwiseError
from deploy.exportable import Exportable, figure_of
from deploy.manifest import (
    CALIBRATION_FILE,
    EXAMPLE_FILE,
    FP32_FILE,
    MANIFEST_FILE,
    MEASUREMENTS_FILE,
    MODEL_FILE,
    POLICY_FILE,
    RECOVERED_FILE,
    SPINNING,
    FileFacts,
    Latency,
    Manifest,
    SessionSettings,
    SpeedFacts,
)
from deploy.model_card import model_card
from deploy.promises import Budgets, promise, require_promisable
from deploy.remeasure import Remeasured, Timed, remeasure, require_as_confirmed
from deploy.tensor_specs import read_specs
from deploy.triton import Served, triton_repository
from deploy.whole_folder import write_folder, write_through
from hwprofiles import Machine
from latency import Measurement
from latency.reference_speed import ReferenceSpeed

FORMATS = ("onnx", "triton", "tensorrt")


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was written: the folder, the archive beside it if one was wanted, and what the manifest says."""

    folder: Path
    archive: Path | None
    manifest: Manifest


def export_bundle(
    point: Exportable,
    out: Path,
    *,
    kind: str = "onnx",
    budgets: Budgets | None = None,
    archive: bool = False,
) -> Exported:
    """Measure the point's bytes again and write its bundle.

    Args:
        point: What to export.
        out: The bundle's folder; an earlier bundle there is replaced.
        kind: What it holds besides the ONNX network.
        budgets: What it promises; the intervals' worse ends where nothing is said.
        archive: Whether to write `OUT.tar.gz` too.

    Raises:
        BundleError: The call is wrong, a budget is broken already, or the format does not fit the run.
        RemeasuredOtherwiseError: The bytes are not as fast as the search confirmed; nothing is written.
        MeasurementError, TargetError: They cannot be measured now; nothing is written.
        OSError: The bundle cannot be written; nothing is left.
    """
    budgets = budgets or Budgets()
    _check_call(point, out, kind, archive=archive)
    require_promisable(budgets, point.confirmed, point.accuracy, len(point.onnx_bytes))
    extras = _extras(point, kind)
    timed = Timed(
        model=point.onnx_bytes,
        session_entries=point.session_entries,
        fp32=point.fp32,
        feeds=point.feeds,
        engine=point.engine,
        digest=point.digests.get(MODEL_FILE),
        fp32_digest=point.digests.get(FP32_FILE),
        speed=point.speed,
    )

    def again() -> Remeasured:
        return remeasure(point.profile, timed, admit=lambda machine, runtime: _admit(point, machine, runtime))

    found, name = again(), point.title
    confirmed = (point.confirmed.ratio, point.confirmed.ratio_low, point.confirmed.ratio_high)
    try:
        require_as_confirmed(found.whole, confirmed, name)
    except RemeasuredOtherwiseError:  # other work on the machine comes and goes: both occasions count
        found = found.joined(again())
        require_as_confirmed(found.whole, confirmed, name)
    return write_bundle_files(point, found, out, extras, budgets=budgets, archive=archive)


def write_bundle_files(
    point: Exportable,
    found: Remeasured,
    out: Path,
    extras: Mapping[str, bytes],
    *,
    budgets: Budgets,
    archive: bool = False,
) -> Exported:
    """Write the bundle of a point that was measured again: folder and archive, or nothing.

    Raises:
        BundleError: A budget is broken already.
        OSError: It cannot be written.
    """
    files = {
        MODEL_FILE: point.onnx_bytes,
        FP32_FILE: point.fp32,
        POLICY_FILE: point.policy.to_json().encode(),
        EXAMPLE_FILE: _npz(point.feeds),
        MEASUREMENTS_FILE: _lines([*point.passes, *found.passes]),
        "run.py": (Path(__file__).parent / "run_bundle.py").read_bytes(),
        **({} if point.calibration is None else {CALIBRATION_FILE: point.calibration}),
        **({} if point.recovered is None else {RECOVERED_FILE: point.recovered}),
        **extras,
    }
    manifest = _manifest(point, found, files, budgets)
    card = model_card(manifest, point.policy).encode()
    files["MODEL_CARD.md"] = card
    manifest = manifest.model_copy(update={"files": {**manifest.files, **_file_facts({"MODEL_CARD.md": card})}})
    files[MANIFEST_FILE] = manifest.to_json()
    packed = out.with_name(f"{out.name}{SUFFIX}") if archive else None
    _write(out, packed, files)
    return Exported(folder=out, archive=packed, manifest=manifest)


def _check_call(point: Exportable, out: Path, kind: str, *, archive: bool) -> None:
    """Everything that can be refused before the minute that measuring takes."""
    if kind not in FORMATS:
        raise BundleError(f"no format called {kind!r}; choose one of {', '.join(FORMATS)}")
    if out.is_symlink() or (out.exists() and not is_bundle(out)):
        raise BundleError(f"{str(out)!r} is there already and is no bundle; choose another --out, or remove it")
    packed = out.with_name(f"{out.name}{SUFFIX}")
    if archive and packed.is_dir():
        raise BundleError(f"{str(packed)!r} is a folder; choose another --out, or remove it")
    if kind == "tensorrt" and point.engine is None:
        engine = point.profile.engine.name
        remedy = (
            "the engine that was timed was not kept; search again, or export with --format onnx"
            if point.profile.engine.builds
            else f"the run's runtime is {engine}, which builds none; search on a TensorRT target, or export as onnx"
        )
        raise BundleError(f"the run has no built engine of {point.title}: {remedy}")


def _extras(point: Exportable, kind: str) -> dict[str, bytes]:
    """What the format adds."""
    if kind == "tensorrt" and point.engine is not None:
        return {ENGINE_FILE: point.engine.data}
    if kind == "triton":
        inputs, outputs = read_specs(point.onnx_bytes)
        return triton_repository(
            Served(
                name=point.name,
                onnx_bytes=point.onnx_bytes,
                session_entries=point.session_entries,
                inputs=inputs,
                outputs=outputs,
                engine=point.profile.engine,
                feeds=point.feeds,
                plan=None if point.engine is None else point.engine.data,
            )
        )
    return {}


def _admit(point: Exportable, machine: Machine, runtime: str) -> None:
    """Figures of another machine or runtime would say nothing of those that were confirmed."""
    if machine.hardware_id != point.target.hardware_id:
        raise BundleError(
            f"the run was measured on {point.target.device} (hardware {point.target.hardware_id}), here answers "
            f"{machine.accelerator or machine.cpu} (hardware {machine.hardware_id}); export where the device is"
        )
    if runtime != point.target.runtime:
        raise BundleError(
            f"the run was measured with {point.target.runtime}, the target has {runtime} now; install that version "
            "again, or search with this one"
        )


def _follows(speed: ReferenceSpeed | None) -> SpeedFacts | None:
    if speed is None:
        return None
    return SpeedFacts(elasticity=speed.elasticity.value, deviation=speed.elasticity.deviation)


def _manifest(point: Exportable, found: Remeasured, files: Mapping[str, bytes], budgets: Budgets) -> Manifest:
    latency = Latency(
        fp32_ms=point.fp32_ms,
        confirmed=point.confirmed,
        exported=figure_of(found.whole, point.fp32_ms, range(len(point.passes), len(point.passes) + len(found.passes))),
        follows=_follows(point.speed),
    )
    inputs, outputs = read_specs(point.onnx_bytes)
    facts = _file_facts(files, point.digests)
    engine = point.profile.engine
    return Manifest(
        name=point.name,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        digest=facts[MODEL_FILE].sha256,
        fp32_digest=facts[FP32_FILE].sha256,
        policy_digest=point.policy.digest,
        policy_summary=point.policy_summary,
        trial=point.trial,
        files=facts,
        inputs=inputs,
        outputs=outputs,
        session=SessionSettings(
            # What TensorRT runs itself, ONNX Runtime answers on the processor.
            provider=engine.provider if engine.name.startswith("onnxruntime") else "CPUExecutionProvider",
            provider_options=dict(engine.options) if engine.name.startswith("onnxruntime") else {},
            threads=engine.threads,
            entries={SPINNING: str(int(engine.spinning)), **point.session_entries},
        ),
        workload=point.workload,
        target=point.target,
        versions=point.versions,
        latency=latency,
        accuracy=point.accuracy,
        promises=promise(budgets, latency, point.accuracy, len(point.onnx_bytes)),
        recipe=point.recipe,
        engine=dict(point.engine.facts) if point.engine is not None and ENGINE_FILE in files else None,
        recovery=point.recovery,
        notes=point.notes,
    )


def _file_facts(files: Mapping[str, bytes], known: Mapping[str, str] | None = None) -> dict[str, FileFacts]:
    return {name: FileFacts(**facts) for name, facts in listed(files, known).items()}


def _lines(measurements: Sequence[Measurement]) -> bytes:
    return "".join(f"{measurement.to_json()}\n" for measurement in measurements).encode()


def _npz(feeds: Mapping[str, NDArray[Any]]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **feeds)
    return buffer.getvalue()


def _write(folder: Path, packed: Path | None, files: Mapping[str, bytes]) -> None:
    if packed is None:
        write_folder(folder, files)
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = packed.with_name(f".{packed.name}{PARTIAL_SUFFIX}")
    try:
        write_through(partial, archive_bytes(folder.name, files))
        write_folder(folder, files)
        partial.replace(packed)
    finally:
        partial.unlink(missing_ok=True)
