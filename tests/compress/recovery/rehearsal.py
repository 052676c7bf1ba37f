"""Weights that were not trained, rehearsed in their formats: what parity is tested on."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from compress.policy import Policy
from compress.recovery.float_structure import FloatStructure
from compress.recovery.lessons import Lessons
from compress.recovery.lineage import Lineage
from compress.recovery.recovered_weights import RecoveredWeights
from compress.recovery.settings import RecoverySettings
from compress.recovery.training import Training
from compress.stitch import Compressor


def rehearse_untrained(
    compressor: Compressor, policy: Policy, feeds: Mapping[str, NDArray[Any]]
) -> tuple[Training, RecoveredWeights]:
    """A training in which rounding has set in before its first step, and what would be kept of it.

    Args:
        compressor: Of the network.
        policy: What would be trained.
        feeds: Where ranges are observed.
    """
    lessons = Lessons.of([feeds])
    structure = FloatStructure.of(compressor, policy)
    training = Training(compressor, structure, lessons, RecoverySettings())
    training.set_rounding_in()
    judged = training.judge(lessons)
    lineage = Lineage(
        recovered_from=compressor.build(policy).digest,
        method="not trained",
        epochs=0,
        steps=0,
        seed=0,
        data_digest=lessons.digest,
        started_from=None,
        seconds=0.0,
    )
    recovered = RecoveredWeights(
        policy=policy,
        network_digest=compressor.network.digest,
        weights=judged.weights,
        ranges=judged.ranges,
        lineage=lineage,
    )
    return training, recovered
