"""How accurate the shipped bytes are against the FP32 beside them, on the target, now."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from numpy.typing import NDArray

from deploy.manifest import Manifest, Promises
from deploy.remeasure import Timed, engine_folder
from deploy.verdict import Check, judge_at_most
from hwprofiles import HardwareProfile
from latency import Target
from latency.worker.turn import working
from workloads import Accuracy, Drop, Feeds, Predict, Samples, Workload, evaluate, onnx_predictor, paired_drop

_REMOTE_SAMPLES = 256
"""A small board over SSH takes minutes for more."""
_BYTES_AT_ONCE = 64 * 2**20
_BATCH_SIZE = 16


@dataclass(frozen=True, kw_only=True)
class Revalidated:
    """The metric of the shipped bytes, what they lose against FP32 on the same samples, and the seconds it took."""

    metric: float
    fp32_metric: float
    drop: Drop
    samples: int
    inference_s: float


def revalidate(profile: HardwareProfile, workload: Workload, shipped: Timed, *, batch_size: int) -> Revalidated:
    """Run both networks over the samples that the search never saw.

    On this host's processor they run in this process with all its cores; anywhere else on the target itself, over SSH
    on 256 samples.

    Args:
        profile: The target.
        workload: The data and the metric.
        shipped: The shipped network and its FP32.
        batch_size: Of the shipped network on this host; outputs of dynamic formats depend on it.

    Raises:
        WorkloadError: The networks do not fit the data, or outputs or scores are not finite.
        MeasurementError, TargetError: The target does not run them.
    """
    samples = _chosen(profile, workload)
    spent = _Stopwatch()

    def score(predict: Predict, at_once: int) -> Accuracy:
        return evaluate(spent.around(predict), samples, workload.metric, batch_size=at_once).accuracy

    if profile.is_this_host:
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        reference = score(onnx_predictor(shipped.fp32, threads=threads), _BATCH_SIZE)
        predict = onnx_predictor(shipped.model, threads=threads, session_entries=shipped.session_entries)
        accuracy = score(predict, batch_size)
    else:
        size = _samples_at_once(shipped.feeds, profile.engine.batch_size)
        with engine_folder(shipped.engine, shipped.model) as built, Target(profile, built=built) as target:
            target.load(shipped.fp32, shipped.feeds)
            reference = score(target.predict, size)
            target.load(shipped.model, shipped.feeds, shipped.session_entries)
            accuracy = score(target.predict, size)
    return Revalidated(
        metric=accuracy.value,
        fp32_metric=reference.value,
        drop=paired_drop(reference, accuracy),
        samples=accuracy.count,
        inference_s=spent.seconds,
    )


def judge_drop(promises: Promises, manifest: Manifest, found: Revalidated, seconds: float) -> Check:
    """Hold a drop against what is promised."""
    scale, unit = (100, " points") if manifest.workload.metric_is_fraction else (1, "")
    low, value, high = (scale * end for end in (found.drop.low, found.drop.value, found.drop.high))
    told = (
        f"{value:.4g}{unit} [{low:.4g}, {high:.4g}] below FP32: {found.metric:.4g} {manifest.workload.metric} on "
        f"{found.samples} samples"
    )
    if promises.max_drop is None:
        return Check(name="accuracy", status="noted", found=told, seconds=seconds)
    promised = scale * promises.max_drop
    status, reason = judge_at_most(promised, low, value, high)
    return Check(
        name="accuracy",
        status=status,
        promised=f"at most {promised:.4g}{unit} below FP32",
        found=told,
        reason=f"it loses too much: {reason}" if status == "broken" else reason,
        seconds=seconds,
    )


class _Stopwatch:
    """Seconds inside predictors."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, predict: Predict) -> Callable[[Feeds], Mapping[str, NDArray[Any]]]:
        """The same predictor, its seconds counted; it lets whoever takes a latency on this machine go first."""

        def timed(feeds: Feeds) -> Mapping[str, NDArray[Any]]:
            with working():
                start = perf_counter()
                try:
                    return predict(feeds)
                finally:
                    self.seconds += perf_counter() - start

        return timed


def _chosen(profile: HardwareProfile, workload: Workload) -> Samples:
    samples = workload.confirmation_part
    few = profile.reach.transport == "ssh" and workload.metric.scope != "all" and len(samples) > _REMOTE_SAMPLES
    return samples.spread(_REMOTE_SAMPLES) if few else samples


def _samples_at_once(feeds: Feeds, batch: int) -> int:
    """As many as a request may carry, in full batches."""
    sample_bytes = sum(array[:1].nbytes for array in feeds.values())
    return batch * max(1, _BYTES_AT_ONCE // (batch * max(1, sample_bytes)))
