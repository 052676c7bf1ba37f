"""A confirmed point of a run, gathered from its folder for `deploy` to export."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from compress.policy import Policy
from deploy import BuiltEngine
from deploy.exportable import Exportable
from deploy.manifest import (
    CALIBRATION_FILE,
    FP32_FILE,
    MODEL_FILE,
    Recipe,
)
from deploy.reapply import read_fp32, read_recipe_calibration, recipe_compressor
from hwprofiles import HardwareProfile
from latency import Measurement
from search.bundle_facts import (
    accuracy_facts,
    confirmation_passes,
    confirmed_figure,
    recipe_of,
    recovery_facts,
    target_facts,
    workload_facts,
)
from search.choosing.named_point import find_confirmed
from search.confirmation.confirmations import read_confirmations
from search.errors import SearchError
from search.folder.engine_files import read_engine
from search.folder.environment import read_environment
from search.folder.run_folder import RunFolder
from search.point import TrialPoint
from search.recovery.remake import Remaker, read_weights, weights_path
from search.report.target_words import said_of_target
from search.results import read_result
from search.stages import StageClock
from search.study.space_record import recorded_space
from search.study.study import load_run_study
from search.study.trials import policies_by_digest
from search.trial.timed_input import timed_feeds
from search.trial.validation import BATCH_SIZE
from workloads import Workload, load


@dataclass(frozen=True, kw_only=True, eq=False)
class _Network:
    """A point's bytes, and what they need."""

    onnx_bytes: bytes
    digest: str
    session_entries: dict[str, str]


@dataclass(frozen=True, kw_only=True, eq=False)
class _File:
    """A file's content and its SHA-256."""

    data: bytes
    digest: str


def exportable(
    path: Path,
    wanted: str,
    *,
    workload: Workload | None = None,
    host: str | None = None,
    with_calibration: bool = False,
) -> Exportable:
    """A confirmed point of the run in `path`, ready to be exported.

    Args:
        path: The run's folder; only its `variants/` may grow, by what a point's bytes are built of.
        wanted: The point, as `find_confirmed` takes it.
        workload: What the run searched; None loads it from where the run found it.
        host: Where the target stands now, if it is reached over SSH.
        with_calibration: Whether the bundle holds `calibration.npz`, and recovered weights where there are some.

    Raises:
        SearchError: There is no such point, no latency to promise, or the workload is another one.
        WorkloadError, ProfileError: The workload or the target's profile does not work.
    """
    folder = RunFolder(path)
    config, result = folder.read_config(), read_result(path)
    if result.facts.is_emulated:
        raise SearchError(
            "the run counted instructions under emulation and measured no latency, so there is nothing to promise; "
            "search on the device itself"
        )
    point = find_confirmed(result.points, wanted)
    profile = HardwareProfile.model_validate(config["target"]["profile"])
    profile = profile if host is None else profile.with_host(host)
    with ThreadPoolExecutor() as pool:  # hashing lets other threads run
        calibration, fp32 = pool.submit(_sha256_of, folder.calibration_path), pool.submit(_read, folder.network_path)
        workload = _same_workload(workload, config["workload"])
    with load_run_study(folder) as study:
        space = recorded_space(study, path)
        policies = {} if space is None else policies_by_digest(study.get_trials(deepcopy=False), space)
    policy = policies[point.recovered_from or point.digest]
    recipe = recipe_of(folder, profile, workload, calibration.result())
    network = _read_network(folder, point, policies, recipe)
    recovered = read_weights(folder, point) if point.recovered_from else None
    speed = read_confirmations(folder)[point.digest].seen_from(result.facts.fp32_cost)
    passes = confirmation_passes(folder, point, speed)
    dynamic = any(choice.activation_mode == "dynamic" for choice in policy.layers.values())
    return Exportable(
        name=workload.name,
        trial=point.number,
        onnx_bytes=network.onnx_bytes,
        policy=policy,
        policy_summary=point.label or point.policy_summary,
        session_entries=network.session_entries,
        fp32=fp32.result().data,
        feeds=timed_feeds(workload, profile.engine.batch_size),
        profile=profile,
        target=target_facts(folder, profile),
        workload=workload_facts(workload, result),
        fp32_ms=result.facts.fp32_cost,
        confirmed=confirmed_figure(point, result.facts.fp32_cost, len(passes)),
        passes=passes,
        accuracy=accuracy_facts(point, result, profile.engine.batch_size if dynamic else BATCH_SIZE),
        recipe=recipe,
        calibration=folder.calibration_path.read_bytes() if with_calibration else None,
        recovery=None if recovered is None else recovery_facts(recovered),
        trained_in_search=point.trained_in_search,
        recovered=weights_path(folder, point.digest).read_bytes() if recovered and with_calibration else None,
        engine=_engine(folder, point, profile),
        versions=read_environment(folder)["versions"],
        notes=_notes(point, passes),
        digests={
            MODEL_FILE: network.digest,
            FP32_FILE: fp32.result().digest,
            CALIBRATION_FILE: calibration.result(),
        },
        speed=speed,
    )


def _same_workload(given: Workload | None, recorded: dict[str, Any]) -> Workload:
    origin = recorded["origin"]
    if given is None and origin.endswith(".onnx"):
        raise SearchError(f"the run searched the file {origin!r}; give --model, --data and --metric again")
    workload = load(origin) if given is None else given
    if workload.digest != recorded["digest"]:
        raise SearchError(
            f"the workload {workload.origin!r} is not what the run searched (digest {workload.digest[:12]}, the run "
            f"has {recorded['digest'][:12]}): it, its network or its data have changed since; restore them, or search "
            "again"
        )
    return workload


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> _File:
    data = path.read_bytes()
    return _File(data=data, digest=sha256(data).hexdigest())


def _read_network(folder: RunFolder, point: TrialPoint, policies: Mapping[str, Policy], recipe: Recipe) -> _Network:
    """The point's bytes: from `candidates/` where they are intact, else made again."""
    kept = folder.candidate_path(point.digest)
    if (kept / "model.onnx").is_file() and (kept / "manifest.json").is_file():
        model = _read(kept / "model.onnx")
        entries = json.loads((kept / "manifest.json").read_bytes())["session_entries"]
        if model.digest == point.digest:
            return _Network(onnx_bytes=model.data, digest=model.digest, session_entries=entries)
    network = read_fp32(folder.network_path.read_bytes(), recipe)
    calibration = read_recipe_calibration(folder.calibration_path, recipe)
    compressor = recipe_compressor(recipe, network, calibration, folder.variants_path)
    remake = Remaker(compressor=compressor, policies=policies, folder=folder, stages=StageClock())
    candidate = remake(point)
    data, entries = candidate.onnx_bytes, dict(candidate.session_entries)
    return _Network(onnx_bytes=data, digest=sha256(data).hexdigest(), session_entries=entries)


def _engine(folder: RunFolder, point: TrialPoint, profile: HardwareProfile) -> BuiltEngine | None:
    return read_engine(folder, point.digest) if profile.engine.builds else None


def _notes(point: TrialPoint, passes: Sequence[Measurement]) -> tuple[str, ...]:
    said = said_of_target(point) if point.target_differs else ""
    gone = "" if passes else "the raw samples of the confirmation are no longer in the run's measurements.jsonl"
    return tuple(note for note in (said, point.reason, gone) if note)
