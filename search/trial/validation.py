"""Accuracy on this host: FP32's own on a part of the data, and how candidates are run on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from compress.runtime import open_session
from search.stages import StageClock
from search.trial.turns import in_turn
from workloads import Evaluation, Feeds, Metric, Predict, Samples, chunk_ends, evaluate, session_predictor

BATCH_SIZE = 16
"""Samples per inference when accuracy is taken: large enough to keep the threads busy, small enough for the caches."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Validation:
    """One part of the validation data, with FP32's scores and outputs on it.

    Attributes:
        samples: The part.
        metric: How outputs are scored.
        fp32: FP32's scores and outputs.
    """

    samples: Samples
    metric: Metric
    fp32: Evaluation

    @property
    def ends(self) -> tuple[int, ...]:
        """After how many samples a candidate's scores are looked at."""
        # One score of all outputs together comes at the end or not at all.
        return (len(self.samples),) if self.metric.scope == "all" else chunk_ends(len(self.samples))


def validate_fp32(network: bytes, samples: Samples, metric: Metric, *, threads: int, stages: StageClock) -> Validation:
    """FP32's own scores and outputs on `samples`.

    Raises:
        CompressionError: The network does not load.
        WorkloadError: Its outputs or scores are not finite.
    """
    with stages.stage("session loading"):
        predict = session_predictor(open_session(network, threads=threads))
    with stages.stage("scoring"):
        evaluation = evaluate(counting(predict, stages), samples, metric, batch_size=BATCH_SIZE)
    return Validation(samples=samples, metric=metric, fp32=evaluation)


def counting(predict: Predict, stages: StageClock) -> Predict:
    """`predict`, its seconds counted as inference; it waits while another worker on this machine takes times."""

    def counted(feeds: Feeds) -> Mapping[str, NDArray[Any]]:
        with in_turn(stages, "accuracy inference"):
            return predict(feeds)

    return counted
