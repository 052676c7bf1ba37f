"""What a bundle says of its point: how it was made, where it was measured, and what is promised."""

import math

from compress.recovery.recovered_weights import RecoveredWeights
from deploy.manifest import (
    AccuracyFacts,
    AccuracyFigure,
    LatencyFigure,
    Recipe,
    RecoveryFacts,
    TargetFacts,
    WorkloadFacts,
)
from hwprofiles import HardwareProfile
from latency import Measurement, combine
from latency.meters import MEASUREMENTS
from latency.reference_speed import ReferenceSpeed
from search.folder.environment import read_environment
from search.folder.run_folder import RunFolder, damaged
from search.point import TrialPoint
from search.prepare import RANGES_VERSION
from search.results import RunResult
from workloads import Workload

_MOST_PASSES = 3
_SAME = 1e-9


def recipe_of(folder: RunFolder, profile: HardwareProfile, workload: Workload, calibration_sha256: str) -> Recipe:
    """What it takes to build a run's candidates again."""
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


def recovery_facts(recovered: RecoveredWeights) -> RecoveryFacts:
    """How weights were recovered."""
    told = {name: value for name, value in recovered.lineage.as_dict().items() if name in RecoveryFacts.model_fields}
    return RecoveryFacts(**told, weights_digest=recovered.digest)


def target_facts(folder: RunFolder, profile: HardwareProfile) -> TargetFacts:
    """Where a run measured.

    Raises:
        RunFolderError: The run's environment.json is missing.
    """
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


def workload_facts(workload: Workload, result: RunResult) -> WorkloadFacts:
    """What a run searched, and on how many samples it confirmed."""
    return WorkloadFacts(
        name=workload.name,
        origin=workload.origin,
        digest=workload.digest,
        metric=workload.metric.name,
        metric_is_fraction=result.facts.metric_is_fraction,
        samples=len(workload.confirmation_part),
    )


def confirmed_figure(point: TrialPoint, fp32_ms: float, passes: int) -> LatencyFigure:
    """The latency that a point was confirmed with.

    Args:
        point: It.
        fp32_ms: FP32's latency that ratios are multiplied with.
        passes: How many measurements it was combined of.
    """
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


def confirmation_passes(folder: RunFolder, point: TrialPoint, speed: ReferenceSpeed | None) -> tuple[Measurement, ...]:
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


def accuracy_facts(point: TrialPoint, result: RunResult, batch_size: int) -> AccuracyFacts:
    """The accuracy that a point was confirmed with, here and where it was looked at on the target too.

    Args:
        point: It.
        result: The run's.
        batch_size: Of the samples it was validated with.
    """
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
