"""Accuracy where it counts: the unseen validation part run on the target itself.

The same 8-bit network gives other outputs on a processor without VNNI, on ARM and in TensorRT, so what this host says
of its accuracy is a forecast. Where the target is this machine's ONNX Runtime on its processor, the runtime and the
machine are the same and the one validation is the target's own: it is not run twice, and both figures are equal.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np

from compress.candidate import Candidate
from compress.network import Network
from hwprofiles import HardwareProfile
from latency import MeasurementError, Target, TargetError
from search.confirmation.target_kernels import layers_in_float, sentences
from search.stages import StageClock
from search.target_accuracy import TargetAccuracy, compare_on_target
from search.trial.validation import counting
from workloads import Accuracy, Drop, Feeds, Metric, Samples, WorkloadError, evaluate

ALL = "all"
SAMPLES_BY_TRANSPORT: Mapping[str, int | None] = {"local": None, "ssh": 256, "emulated": 64}
"""Samples on the target unless told otherwise, None for all: over SSH a small board takes minutes for more, and an
emulator runs some fifty times as slow as what it emulates."""

_BYTES_AT_ONCE = 64 * 2**20
"""Of inputs in one request to the worker."""


@dataclass(frozen=True, kw_only=True)
class OnTarget:
    """What the target itself made of a candidate; `problems` are sentences."""

    accuracy: TargetAccuracy
    problems: tuple[str, ...] = field(default=())


def chosen_samples(profile: HardwareProfile, asked: int | str | None, samples: Samples, metric: Metric) -> Samples:
    """Those that the target validates on, spread evenly over `samples`.

    A metric that needs all outputs together has no figure on some of them: there it is always all.

    Args:
        profile: The target.
        asked: How many, or `all`; None for what suits its transport.
        samples: The unseen part.
        metric: How outputs are scored.
    """
    limit = SAMPLES_BY_TRANSPORT[profile.reach.transport] if asked is None else asked
    if not isinstance(limit, int) or limit >= len(samples) or metric.scope == "all" or profile.is_this_host:
        return samples
    return samples.spread(limit)


class TargetValidator:
    """Runs candidates on the target; a context manager, which starts a worker there when it is first asked.

    Args:
        profile: The target.
        network: The FP32 network; it is validated there too, once.
        samples: The unseen part.
        metric: How outputs are scored.
        feeds: Inputs of one inference at the target's batch size.
        asked: How many samples, as `chosen_samples` takes it.
        stages: Where the seconds are counted.
        make_target: Makes the target.
    """

    def __init__(
        self,
        profile: HardwareProfile,
        network: Network,
        samples: Samples,
        metric: Metric,
        feeds: Feeds,
        *,
        asked: int | str | None = None,
        stages: StageClock,
        make_target: Callable[[HardwareProfile], Target] = Target,
    ) -> None:
        self._profile = profile
        self._network = network
        self._samples = chosen_samples(profile, asked, samples, metric)
        self._positions = np.searchsorted(samples.indices, self._samples.indices)
        self._metric = metric
        self._feeds = feeds
        self._stages = stages
        self._make_target = make_target
        self._stack = ExitStack()
        self._target: Target | None = None
        self._fp32: Accuracy | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def validate(self, candidate: Candidate, accuracy: Accuracy, drop: Drop) -> OnTarget:
        """The candidate on the target, beside what this host made of it.

        Args:
            candidate: What to run.
            accuracy: Its scores on this host, on the whole unseen part.
            drop: Their paired drop.

        Raises:
            MeasurementError: The worker died or refused; the next candidate gets a new one.
            WorkloadError: Outputs or scores are not finite there.
            TargetError: The target cannot be reached.
        """
        if self._profile.is_this_host:
            return OnTarget(accuracy=_as_on_host(accuracy, drop))
        with self._stages.stage("accuracy on the target"), self._replaced_if_lost() as target:
            self._fp32 = self._fp32 or self._score_fp32(target)
            scored = self._score(target, candidate.onnx_bytes, candidate.session_entries)
            problems = self._problems(target, candidate)
        on_host = Accuracy(metric=accuracy.metric, scores=accuracy.scores[self._positions])
        return OnTarget(accuracy=compare_on_target(self._fp32, scored, on_host), problems=problems)

    @contextmanager
    def _replaced_if_lost(self) -> Iterator[Target]:
        """The open target; after a failure the next candidate starts anew."""
        try:
            if self._target is None:
                self._target = self._stack.enter_context(self._make_target(self._profile))
            yield self._target
        except (MeasurementError, TargetError):
            self._close()
            raise

    def _close(self) -> None:
        self._target = None
        self._stack.close()

    def _score_fp32(self, target: Target) -> Accuracy:
        try:
            return self._score(target, self._network.onnx_bytes, {})
        except (MeasurementError, WorkloadError) as error:
            raise MeasurementError(f"FP32 itself cannot be validated on the target: {error}") from error

    def _score(self, target: Target, model: bytes, session_entries: Mapping[str, str]) -> Accuracy:
        target.load(model, self._feeds, session_entries)
        predict = counting(target.predict, self._stages)
        return evaluate(predict, self._samples, self._metric, batch_size=self._samples_at_once()).accuracy

    def _samples_at_once(self) -> int:
        """As many as a request may carry, in full batches: dynamic formats share their ranges within these."""
        batch = self._profile.engine.batch_size
        sample_bytes = sum(array[:1].nbytes for array in self._feeds.values())
        return batch * max(1, _BYTES_AT_ONCE // (batch * max(1, sample_bytes)))

    def _problems(self, target: Target, candidate: Candidate) -> tuple[str, ...]:
        try:
            rows = target.layers(1)
        except MeasurementError as error:
            self._close()  # the worker may have died over it
            return (f"the target does not say which kernels it runs: {error}",)
        return tuple(sentences(layers_in_float(rows, self._network.layers, candidate.formats)))


def _as_on_host(accuracy: Accuracy, drop: Drop) -> TargetAccuracy:
    return TargetAccuracy(
        target_metric=accuracy.value,
        target_metric_drop=drop.value,
        target_metric_drop_low=drop.low,
        target_metric_drop_high=drop.high,
        target_samples=accuracy.count,
        host_metric=accuracy.value,
        target_differs=False,
    )
