"""Latency and accuracy of a bundle's network, taken again and held against what is promised."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deploy.errors import UnreliableLatencyError
from deploy.manifest import Manifest, Promises
from deploy.remeasure import Remeasured, Timed, remeasure
from deploy.revalidate import judge_drop, revalidate
from deploy.verdict import Check
from deploy.verify_latency import LatencyJudgement, judge_latency
from hwprofiles import HardwareProfile
from latency import MeasurementError
from latency.transports import Transport
from workloads import Workload, WorkloadError


@dataclass(frozen=True, kw_only=True, eq=False)
class Wanted:
    """What is verified.

    Attributes:
        manifest: The bundle's.
        promises: What is promised, by the bundle or by who verifies it.
        target: Where it is measured and validated.
        timed: The network and its FP32.
        strict: Whether an undecided promise counts as broken.
    """

    manifest: Manifest
    promises: Promises
    target: HardwareProfile
    timed: Timed
    strict: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Judged:
    """The checks in the order in which they are told, and the figures that they rest on."""

    checks: tuple[Check, ...]
    figures: Mapping[str, Any]


@dataclass(kw_only=True, eq=False)
class _Accuracy:
    """What was found of accuracy, on which workload, and the seconds that took."""

    workload: list[Check] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0


def check_figures(wanted: Wanted, load: Callable[[], Workload], ahead: Transport | None = None) -> Judged:
    """Measure and validate the network.

    Loading the workload and validating overlap with the start of the workers; while a latency is taken nothing else
    runs. Where the first few processes leave no doubt, no others are asked.

    Args:
        wanted: What is verified.
        load: Loads what accuracy is taken on.
        ahead: Workers of this machine that are on their way already, for where it is the target.

    Raises:
        UnreliableLatencyError, TargetError: It cannot be measured now, whatever it promises.
        BundleError, WorkloadError: The workload does not fit, or does not work.
    """
    target = wanted.target
    wanted = replace(wanted, timed=replace(wanted.timed, feeds=_in_batches(wanted.timed, target.engine.batch_size)))
    accuracy, figures = _Accuracy(), dict[str, Any]()
    started = perf_counter()

    def validate() -> None:
        began = perf_counter()
        _validate(wanted, load, accuracy)
        accuracy.seconds = perf_counter() - began

    def judge(found: Remeasured) -> LatencyJudgement:
        seconds = perf_counter() - started - accuracy.seconds
        return judge_latency(wanted.manifest, wanted.promises, target, found, seconds)

    def suffices(found: Remeasured) -> bool:
        """Nothing left to doubt; or an accusation, which another occasion has to bear out."""
        judged = judge(found)
        return judged.is_broken or (judged.is_clear and not (wanted.strict and judged.is_undecided))

    here = ahead if target.reach.transport == "local" else None
    checks: tuple[Check, ...]
    try:
        found = remeasure(target, wanted.timed, meanwhile=validate, suffices=suffices, ahead=here)
        latency = judge(found)
        if latency.is_broken:  # nobody is accused on one occasion alone: other work on a machine comes and goes
            latency = judge(found.joined(remeasure(target, wanted.timed)))
        checks, figures["latency"] = latency.checks, dict(latency.figures)
    except UnreliableLatencyError:
        raise
    except MeasurementError as error:
        checks = (_does_not_run("latency", error, perf_counter() - started - accuracy.seconds),)
    return Judged(checks=(*accuracy.workload, *checks, *accuracy.checks), figures={**figures, **accuracy.figures})


def _validate(wanted: Wanted, load: Callable[[], Workload], accuracy: _Accuracy) -> None:
    started = perf_counter()
    workload = load()
    accuracy.workload.append(_workload_check(wanted.manifest, workload, perf_counter() - started))
    started = perf_counter()
    try:
        found = revalidate(wanted.target, workload, wanted.timed, batch_size=wanted.manifest.accuracy.batch_size)
    except (MeasurementError, WorkloadError) as error:
        accuracy.checks.append(_does_not_run("accuracy", error, perf_counter() - started))
        return
    accuracy.figures["accuracy"] = {
        "metric": found.metric,
        "fp32_metric": found.fp32_metric,
        "drop": found.drop.value,
        "drop_low": found.drop.low,
        "drop_high": found.drop.high,
        "samples": found.samples,
        "inference_s": found.inference_s,
    }
    accuracy.checks.append(judge_drop(wanted.promises, wanted.manifest, found, perf_counter() - started))


def _workload_check(manifest: Manifest, workload: Workload, seconds: float) -> Check:
    same = workload.digest == manifest.workload.digest
    return Check(
        name="workload",
        status="kept" if same else "noted",
        promised=f"{manifest.workload.name} ({manifest.workload.digest[:12]})",
        found=f"{workload.name} ({workload.digest[:12]}), {len(workload.confirmation_part)} unseen samples",
        reason="" if same else "another one than the promise was made on, as asked",
        seconds=seconds,
    )


def _does_not_run(name: str, error: Exception, seconds: float) -> Check:
    return Check(name=name, status="broken", promised="it runs", reason=f"it does not run: {error}", seconds=seconds)


def _in_batches(timed: Timed, batch_size: int) -> dict[str, NDArray[Any]]:
    return {name: np.resize(array, (batch_size, *array.shape[1:])) for name, array in timed.feeds.items()}
