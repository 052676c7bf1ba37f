"""A confirmed point of a run, gathered from its folder for `deploy` to export."""

import json
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from compress.policy import Policy
from compress.recovery.recovered_weights import RecoveredWeights
from deploy import BuiltEngine
from deploy.exportable import Exportable
from deploy.manifest import (
    CALIBRATION_FILE,
    FP32_FILE,
    MODEL_FILE,
    AccuracyFacts,
    AccuracyFigure,
    LatencyFigure,
    Recipe,
    RecoveryFacts,
    TargetFacts,
    WorkloadFacts,
)
from deploy.reapply import read_fp32, read_recipe_calibration, recipe_compressor
from hwprofiles import HardwareProfile
from latency import Measurement, combine
from latency.meters import MEASUREMENTS
from latency.reference_speed import ReferenceSpeed
from search.choosing.named_point import find_confirmed
from search.confirmation.confirmations import read_confirmations
from search.errors import SearchError
from search.folder.engine_files import read_engine
from search.folder.environment import read_environment
from search.folder.run_folder import RunFolder, damaged
from search.point import TrialPoint
from search.prepare import RANGES_VERSION
from search.recovery.remake import Remaker, read_weights, weights_path
from search.report.target_words import said_of_target
from search.results import RunResult, read_result
from search.stages import StageClock
from search.study.space_record import recorded_space
from search.study.study import load_run_study
from search.study.trials import policies_by_digest
from search.trial.timed_input import timed_feeds
from search.trial.validation import BATCH_SIZE
from workloads import Workload, load

_MOST_PASSES = 3
_SAME = 1e-9


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
    recipe = _recipe(folder, profile, workload, calibration.result())
    network = _read_network(folder, point, policies, recipe)
    recovered = read_weights(folder, point) if point.recovered_from else None
    speed = read_confirmations(folder)[point.digest].seen_from(result.facts.fp32_cost)
    passes = _confirmation_passes(folder, point, speed)
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
        target=_target_facts(folder, profile),
        workload=_workload_facts(workload, result),
        fp32_ms=result.facts.fp32_cost,
        confirmed=_confirmed_figure(point, result.facts.fp32_cost, len(passes)),
        passes=passes,
        accuracy=_accuracy(point, result, profile.engine.batch_size if dynamic else BATCH_SIZE),
        recipe=recipe,
        calibration=folder.calibration_path.read_bytes() if with_calibration else None,
        recovery=None if recovered is None else _recovery_facts(recovered),
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


def _recipe(folder: RunFolder, profile: HardwareProfile, workload: Workload, calibration_sha256: str) -> Recipe:
    formats, example = profile.formats, workload.calibration[0]
    ranges = folder.read_json(folder.ranges_path, RANGES_VERSION)
    return Recipe(
        int8_scheme=formats.int8_scheme,
        formats=formats.offered,
        channel_multiple=profile.sparsity.channel_multiple,
        weight_block_size=formats.weight_block_size,
        weight_only_compute=formats.weight_only_compute,
        range_method=ranges.get("range_method", "minmax"),
        calibration_sha256=calibration_sha256,
        example_shapes={name: array.shape for name, array in example.items()},
        example_dtypes={name: array.dtype.name for name, array in example.items()},
    )


def _recovery_facts(recovered: RecoveredWeights) -> RecoveryFacts:
    told = {name: value for name, value in recovered.lineage.as_dict().items() if name in RecoveryFacts.model_fields}
    return RecoveryFacts(**told, weights_digest=recovered.digest)


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


def _target_facts(folder: RunFolder, profile: HardwareProfile) -> TargetFacts:
    environment = read_environment(folder)
    if not environment:
        raise damaged(folder.environment_path, "it is missing")
    return TargetFacts(
        name=profile.name,
        summary=profile.summary,
        device=environment["device"],
        runtime=environment["runtime"].removesuffix(f", {profile.engine.provider}"),
        hardware_id=environment["hardware_id"],
        engine=profile.engine,
        machine=environment["machine"],
    )


def _workload_facts(workload: Workload, result: RunResult) -> WorkloadFacts:
    return WorkloadFacts(
        name=workload.name,
        origin=workload.origin,
        digest=workload.digest,
        metric=workload.metric.name,
        metric_is_fraction=result.facts.metric_is_fraction,
        samples=len(workload.confirmation_part),
    )


def _confirmed_figure(point: TrialPoint, fp32_ms: float, passes: int) -> LatencyFigure:
    return LatencyFigure(
        ratio=point.latency_ratio,
        ratio_low=point.latency_ratio_low,
        ratio_high=point.latency_ratio_high,
        ms=point.latency_ratio * fp32_ms,
        ms_low=point.latency_ratio_low * fp32_ms,
        ms_high=point.latency_ratio_high * fp32_ms,
        grade=point.grade,
        lines=tuple(range(passes)),
    )


def _confirmation_passes(folder: RunFolder, point: TrialPoint, speed: ReferenceSpeed | None) -> tuple[Measurement, ...]:
    """The measurements that together are the confirmed figure; empty where the log no longer holds them.

    The log does not say which session asked for what, but a figure has all its digits: consecutive measurements of the
    candidate that combine to just that ratio, seen from `speed`, are those that it came from.
    """
    log = folder.path / MEASUREMENTS
    lines = log.read_text().splitlines() if log.is_file() else []
    taken = [Measurement.from_json(line) for line in lines if point.digest in line]
    taken = [measurement for measurement in taken if measurement.model_digest == point.digest]
    for last in range(len(taken), 0, -1):
        for count in range(1, min(_MOST_PASSES, last) + 1):
            passes = taken[last - count : last]
            if len({measurement.key for measurement in passes}) > 1:
                continue
            whole = combine(passes, speed)
            figures = ((whole.ratio, point.latency_ratio), (whole.ratio_high, point.latency_ratio_high))
            if all(math.isclose(ours, theirs, rel_tol=_SAME) for ours, theirs in figures):
                return tuple(passes)
    return ()


def _accuracy(point: TrialPoint, result: RunResult, batch_size: int) -> AccuracyFacts:
    confirmed = AccuracyFigure(
        metric=point.metric,
        drop=point.metric_drop,
        drop_low=point.metric_drop_low,
        drop_high=point.metric_drop_high,
        samples=result.facts.samples_confirmation or result.facts.samples_search,
    )
    if result.facts.target_is_host or not point.target_samples:
        return AccuracyFacts(batch_size=batch_size, confirmed=confirmed)
    there = AccuracyFigure(
        metric=point.target_metric,
        drop=point.target_metric_drop,
        drop_low=point.target_metric_drop_low,
        drop_high=point.target_metric_drop_high,
        samples=point.target_samples,
    )
    return AccuracyFacts(batch_size=batch_size, confirmed=confirmed, on_target=there)


def _engine(folder: RunFolder, point: TrialPoint, profile: HardwareProfile) -> BuiltEngine | None:
    return read_engine(folder, point.digest) if profile.engine.builds else None


def _notes(point: TrialPoint, passes: Sequence[Measurement]) -> tuple[str, ...]:
    said = said_of_target(point) if point.target_differs else ""
    gone = "" if passes else "the raw samples of the confirmation are no longer in the run's measurements.jsonl"
    return tuple(note for note in (said, point.reason, gone) if note)
