"""Running a network over samples: its scores, its outputs, and how far these are from FP32's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.accuracy import Accuracy
from workloads.divergence import Outputs, divergence_of, variance_of
from workloads.errors import WorkloadError
from workloads.predictor import Predict
from workloads.sample_runs import Targets, joined_targets
from workloads.samples import Samples
from workloads.user_code import call
from workloads.workload import Metric


@dataclass(frozen=True, kw_only=True, eq=False)
class Evaluation:
    """One network on some samples.

    Attributes:
        accuracy: Its scores, and its divergence where there was a reference.
        outputs: What it answered, in order; consecutive samples whose outputs have one shape stand together.
        indices: Which samples these were, int64 (N,): their places in the user's own order.
    """

    accuracy: Accuracy
    outputs: tuple[Outputs, ...] = field(repr=False)
    indices: NDArray[np.int64] = field(repr=False)

    @cached_property
    def output_variances(self) -> Mapping[str, float]:
        """Each floating-point output's mean squared deviation from its mean over the samples.

        The mean is taken element by element where all samples have one shape, else over all elements. An output that
        never varies counts with its mean square, and one that is always zero with 1.
        """
        names = [name for name, array in self.outputs[0].items() if np.issubdtype(array.dtype, np.floating)]
        return {name: variance_of([part[name] for part in self.outputs]) for name in names}


def evaluate(
    predict: Predict,
    samples: Samples,
    metric: Metric,
    *,
    batch_size: int = 64,
    reference: Evaluation | None = None,
) -> Evaluation:
    """Scores and outputs of `predict` on `samples`.

    Args:
        predict: From feeds to outputs by name, wherever the network runs; the first axis of each is the batch.
        samples: What to run it on.
        metric: What to score its outputs with.
        batch_size: Samples per call.
        reference: FP32 on the same samples, or on more of which these are the first. With it, each sample gets its
            divergence: the squared distance of its floating-point outputs from FP32's, divided by
            `output_variances`, averaged over an output's elements and then over outputs. 0 is identical, 1 is as far
            as always answering FP32's mean. A network without floating-point outputs has none.

    Raises:
        WorkloadError: An output or a score is not finite or has the wrong shape, the metric fails, or the network
            does not fit the data.
        ValueError: `reference` is of other samples.
    """
    running = RunningEvaluation(predict, samples, metric, batch_size=batch_size, reference=reference)
    running.advance(len(samples))
    return running.evaluation()


class RunningEvaluation:
    """An evaluation that can stop on the way: run to its end it is `evaluate`, bit for bit.

    Args:
        predict: As `evaluate` takes it.
        samples: What to run it on, in an order of which the beginning is a fair sample (`workloads.fair_order`).
        metric: What to score its outputs with. One that needs all outputs together has no scores before the end.
        batch_size: Samples per call.
        reference: FP32 on the same samples, or on more of which these are the first.

    Raises:
        ValueError: `reference` is of other samples.
    """

    def __init__(
        self,
        predict: Predict,
        samples: Samples,
        metric: Metric,
        *,
        batch_size: int = 64,
        reference: Evaluation | None = None,
    ) -> None:
        self._indices = samples.indices
        if reference is not None and not np.array_equal(reference.indices[: len(samples)], self._indices):
            raise ValueError(f"reference must be of the same samples, got {len(reference.indices)} others")
        self._predict = predict
        self._metric = metric
        self._reference = reference
        self._batches = samples.batches(batch_size)
        self._outputs: list[Outputs] = []
        self._targets: list[Targets] = []
        self._scores: list[NDArray[np.float64]] = []
        self._done = 0

    @property
    def count(self) -> int:
        """How many samples were run so far."""
        return self._done

    @property
    def is_complete(self) -> bool:
        """Whether all samples were run."""
        return self._done == len(self._indices)

    @property
    def scores(self) -> NDArray[np.float64]:
        """Those of the samples that were run so far."""
        return np.concatenate(self._scores) if self._scores else np.zeros(0)

    def advance(self, count: int) -> None:
        """Run batches until `count` samples or more were run, or all.

        Raises:
            WorkloadError: As `evaluate`.
        """
        while self._done < min(count, len(self._indices)):
            feeds, wanted = next(self._batches)
            here = self._indices[self._done : self._done + len(wanted)]
            outputs = _checked(self._predict(feeds), here)
            # The metric may work in place and the predictor may use its buffers again: what is kept is a copy.
            self._outputs.append({name: np.array(array) for name, array in outputs.items()})
            self._targets.append(wanted)
            self._done += len(wanted)
            if self._metric.scope == "batch":
                self._scores.append(_scores(self._metric, outputs, wanted))
        if self.is_complete and self._metric.scope == "all" and not self._scores:
            whole = _whole(_joined(self._outputs), self._metric)
            self._scores.append(_scores(self._metric, whole, joined_targets(self._targets)))
        _check_scores(self.scores, self._metric, self._indices)

    def evaluation(self) -> Evaluation:
        """Scores, outputs and divergence of what was run so far.

        Raises:
            WorkloadError: Nothing was, or a metric that needs all outputs does not have them.
        """
        parts = _joined(self._outputs)
        divergence, reference = None, self._reference
        if reference is not None and parts:
            divergence = divergence_of(parts, reference.outputs, reference.output_variances)
        accuracy = Accuracy(metric=self._metric.name, scores=self.scores, divergence=divergence)
        return Evaluation(accuracy=accuracy, outputs=parts, indices=self._indices[: self._done])


def _checked(outputs: Outputs, indices: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    for name, array in outputs.items():
        if array.ndim == 0 or len(array) != len(indices):
            raise WorkloadError(
                f"output {name!r} has shape {array.shape} for a batch of {len(indices)}; its first axis must be the "
                "batch: change or remove that output"
            )
        if np.issubdtype(array.dtype, np.floating) and not (finite := np.isfinite(array)).all():
            bad = indices[~finite.reshape(len(indices), -1).all(axis=1)]
            raise WorkloadError(
                f"output {name!r} is not finite (NaN or infinite) for validation sample {bad[0]}; "
                "check that sample's values and the network's numeric range"
            )
    return dict(outputs)


def _scores(metric: Metric, outputs: Outputs, targets: Targets) -> NDArray[np.float64]:
    given = next(iter(outputs.values())) if len(outputs) == 1 else outputs
    name = f"metric {metric.name!r}"
    result = call(metric.function, given, targets, name=name)
    try:
        scores = np.array(result, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise WorkloadError(f"{name} gave {type(result).__name__}, which is no array of scores: {error}") from error
    if scores.shape != (len(targets),):
        raise WorkloadError(
            f"{name} gave scores of shape {scores.shape} for {len(targets)} samples; "
            f"return one score per sample, shape ({len(targets)},), higher is better"
        )
    return scores


def _check_scores(scores: NDArray[np.float64], metric: Metric, indices: NDArray[np.int64]) -> None:
    bad = np.flatnonzero(~np.isfinite(scores))
    if len(bad):
        raise WorkloadError(
            f"metric {metric.name!r} gave {scores[bad[0]]} for validation sample {indices[bad[0]]}, and is "
            f"not finite for {len(bad)} of {len(scores)}; give such samples a finite score or leave them out"
        )


def _joined(batches: Sequence[Outputs]) -> tuple[Outputs, ...]:
    groups: list[list[Outputs]] = []
    for batch in batches:
        if groups and _signature(groups[-1][0]) == _signature(batch):
            groups[-1].append(batch)
        else:
            groups.append([batch])
    return tuple({name: np.concatenate([each[name] for each in group]) for name in group[0]} for group in groups)


def _signature(outputs: Outputs) -> dict[str, tuple[object, ...]]:
    return {name: (array.dtype, array.shape[1:]) for name, array in outputs.items()}


def _whole(parts: Sequence[Outputs], metric: Metric) -> dict[str, NDArray[Any]]:
    if len(parts) > 1:
        shapes = sorted({str(array.shape[1:]) for part in parts for array in part.values()})
        raise WorkloadError(
            f"metric {metric.name!r} wants all outputs together but they differ per sample: {', '.join(shapes)}; "
            "pad the validation data to one shape, or score per batch"
        )
    return {name: array.copy() for name, array in parts[0].items()}
