"""A bundle held to what it promises: its files, its network, its latency and its accuracy, here and now."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from deploy.errors import BundleError, DamagedBundleError
from deploy.manifest import MODEL_FILE, CandidateManifest, Manifest, Promises
from deploy.opened import OpenedBundle, open_bundle
from deploy.promised_workload import load_promised, require_same_inputs
from deploy.promises import MEGABYTE, Budgets
from deploy.remeasure import Timed
from deploy.shipped import READ_FILES, describe_network, read_shipped
from deploy.verdict import Check, Verdict
from deploy.verify_figures import Wanted, check_figures
from hwprofiles import Engine, HardwareProfile, Sparsity
from latency.transports import Transport
from workloads import Workload

_WHOLE = "one network, its policy and its FP32"


@dataclass(kw_only=True, eq=False)
class _Findings:
    """What was found so far."""

    checks: list[Check] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    name: str = ""

    def add(self, *checks: Check) -> None:
        self.checks.extend(checks)


def verify_bundle(
    path: Path,
    *,
    workload: Workload | None = None,
    profile: HardwareProfile | None = None,
    budgets: Budgets | None = None,
    strict: bool = False,
    ahead: Transport | None = None,
) -> Verdict:
    """Check a bundle's files, measure and validate its network again, and hold both against what it promises.

    Nothing of the bundle decides what is started: its program is not run, and it is measured on this machine unless
    `profile` says otherwise, wherever it was measured before.

    Args:
        path: The bundle's folder or `.tar.gz`.
        workload: What accuracy is taken on; None is the one that the promise was made on, from where it was found.
        profile: The target; None is this machine, with the engine settings of the bundle.
        budgets: What to hold it to in place of its own promises.
        strict: Whether an undecided promise counts as broken.
        ahead: Workers of this machine that are on their way already (`deploy.first_look`), for where it is the target.

    Raises:
        BundleError: There is no bundle, a newer paretune wrote it, or the call does not fit it.
        WorkloadError, ProfileError: The workload or the target does not work.
        UnreliableLatencyError, TargetError: It cannot be measured now, whatever it promises.
    """
    found = _Findings()
    started = perf_counter()
    try:
        with open_bundle(path, keep=READ_FILES) as bundle:
            _note_files(bundle, found, perf_counter() - started)
            if isinstance(bundle.manifest, CandidateManifest):
                _verify_candidate(bundle, bundle.manifest, budgets, found)
            else:
                promises = _promised(bundle.manifest, budgets)
                shipped = _check_network(bundle, bundle.manifest, found)
                if shipped is not None:
                    _check_size(promises, shipped.model, found)
                    wanted = Wanted(
                        manifest=bundle.manifest,
                        promises=promises,
                        target=_usable(profile) if profile else _this_machine(bundle.manifest),
                        timed=shipped,
                        strict=strict,
                    )
                    judged = check_figures(wanted, _workload_of(bundle, bundle.manifest, workload), ahead)
                    found.add(*judged.checks)
                    found.figures.update(judged.figures)
    except DamagedBundleError as error:
        found.add(Check(name="files", status="broken", promised="as exported", reason=str(error)))
    return Verdict(bundle=str(path), name=found.name, checks=tuple(found.checks), figures=found.figures, strict=strict)


def _note_files(bundle: OpenedBundle, found: _Findings, seconds: float) -> None:
    manifest = bundle.manifest
    total = sum(facts.bytes for facts in manifest.files.values())
    found.name = manifest.name if isinstance(manifest, Manifest) else manifest.digest[:12]
    told = f"{len(manifest.files)} files, {total / MEGABYTE:.4g} MB, each as its SHA-256 says"
    found.add(Check(name="files", status="kept", promised="as exported", found=told, seconds=seconds))


def _verify_candidate(
    bundle: OpenedBundle, manifest: CandidateManifest, budgets: Budgets | None, found: _Findings
) -> None:
    """A candidate's folder holds no FP32 and promises nothing; whether its network loads is all that can be said."""
    told = "format 1, a candidate in a run's folder: no FP32, no promises; paretune export makes a bundle of it"
    if budgets is not None and budgets != Budgets():
        raise BundleError(f"there is nothing to hold it to: the bundle is of {told}")
    started = perf_counter()
    try:
        network = describe_network(bundle.read(MODEL_FILE), manifest.session_entries)
    except DamagedBundleError as error:
        found.add(_broken_network(error, perf_counter() - started))
        return
    found.add(_network(network, perf_counter() - started))
    found.add(Check(name="promises", status="noted", found=told))


def _check_network(bundle: OpenedBundle, manifest: Manifest, found: _Findings) -> Timed | None:
    """Whether the files belong together; None where they do not."""
    started = perf_counter()
    try:
        shipped = read_shipped(bundle, manifest)
    except DamagedBundleError as error:
        found.add(_broken_network(error, perf_counter() - started))
        return None
    made_of = f"{manifest.policy_summary or 'FP32'}: {manifest.digest[:12]} of FP32 {manifest.fp32_digest[:12]}"
    found.add(_network(made_of, perf_counter() - started))
    return shipped


def _network(told: str, seconds: float) -> Check:
    return Check(name="network", status="kept", promised=_WHOLE, found=told, seconds=seconds)


def _broken_network(error: DamagedBundleError, seconds: float) -> Check:
    return Check(name="network", status="broken", promised=_WHOLE, reason=str(error), seconds=seconds)


def _check_size(promises: Promises, model: bytes, found: _Findings) -> None:
    if promises.max_size_bytes is None:
        return
    kept = len(model) <= promises.max_size_bytes
    found.add(
        Check(
            name="size",
            status="kept" if kept else "broken",
            promised=f"at most {promises.max_size_bytes / MEGABYTE:.4g} MB",
            found=f"{len(model) / MEGABYTE:.4g} MB",
            reason="" if kept else f"model.onnx is too large: {len(model)} bytes, {promises.max_size_bytes} promised",
        )
    )


def _promised(manifest: Manifest, budgets: Budgets | None) -> Promises:
    """The bundle's promises, those of the caller in their place."""
    asked = budgets or Budgets()
    promises = {
        "max_latency_ms": asked.max_latency_ms,
        "max_drop": asked.max_drop,
        "min_speedup": asked.min_speedup,
        "max_size_bytes": None if asked.max_size_mb is None else round(asked.max_size_mb * MEGABYTE),
    }
    return manifest.promises.model_copy(update={name: value for name, value in promises.items() if value is not None})


def _usable(profile: HardwareProfile) -> HardwareProfile:
    if profile.reach.transport == "emulated":
        raise BundleError(f"{profile.name!r} is emulated: it has no latency to verify; give a device")
    return profile


def _this_machine(manifest: Manifest) -> HardwareProfile:
    """This machine with the bundle's engine settings. Where a bundle says it was reached decides nothing."""
    engine = manifest.target.engine
    if engine.name != "onnxruntime" or engine.provider != "CPUExecutionProvider":
        raise BundleError(
            f"the bundle was measured with {engine.provider} on {manifest.target.device}; give the profile of a "
            "machine that has it: --target PROFILE"
        )
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    if engine.affinity is not None and not set(engine.affinity) <= cores:
        engine = engine.model_copy(update={"affinity": None})
    # Options can name libraries to load: they are not taken over from a file that somebody sent.
    engine = Engine.model_validate({**engine.model_dump(), "options": ()})
    return HardwareProfile(
        name="this-machine",
        summary="This machine, with the engine settings of a bundle",
        engine=engine,
        sparsity=Sparsity(channel_multiple=1),
    )


def _workload_of(bundle: OpenedBundle, manifest: Manifest, given: Workload | None) -> Callable[[], Workload]:
    """What loads the workload that accuracy is taken on."""

    def load() -> Workload:
        workload = load_promised(manifest, bundle.folder) if given is None else given
        require_same_inputs(workload, manifest)
        return workload

    return load
