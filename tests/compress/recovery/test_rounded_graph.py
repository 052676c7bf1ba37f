"""What training sees once rounding has set in is what the candidate's own kernels compute."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from compress.faithfulness import open_checked, relative_difference
from compress.policy import Policy
from compress.recovery.build_recovered import build_recovered
from compress.recovery.float_structure import FloatStructure
from compress.recovery.lessons import Lessons
from compress.recovery.lineage import Lineage
from compress.recovery.recovered_weights import RecoveredWeights
from compress.recovery.settings import RecoverySettings
from compress.recovery.training import Training
from compress.stitch import Candidate, Compressor
from tests.compress.conftest import Loaded
from tests.compress.policies import assorted

# One rounding that falls the other way, of 255 steps, in outputs of small random networks.
_FURTHEST = 0.02
_FLOATS = {"fp32", "rank", "channels", "vanished", "2:4", "unstructured"}
"""Policies without a number format to rehearse."""


def _rehearsed(loaded: Loaded, compressor: Compressor, policy: Policy) -> tuple[list[np.ndarray], Candidate]:
    """What training would see of the untrained network, and the candidate of the same weights."""
    one = {name: array[:1] for name, array in loaded.case.example.items()}
    lessons = Lessons.of([one])
    structure = FloatStructure.of(compressor, policy)
    training = Training(compressor, structure, structure.learnable(), lessons, RecoverySettings())
    training.set_rounding_in()
    recovered = RecoveredWeights(
        policy=policy,
        network_digest=compressor.network.digest,
        weights=training.recovered_weights(),
        ranges=training.ranges(),
        lineage=Lineage(
            recovered_from="",
            method="none",
            epochs=0,
            steps=0,
            seed=0,
            data_digest=lessons.digest,
            started_from=None,
            seconds=0.0,
        ),
    )
    return training.answers(lessons.runs[0]), build_recovered(compressor, recovered)


@pytest.mark.parametrize(
    "name",
    ["depthwise_clip", "gemm_spellings", "shared_weight", "forked", "residual", "transformer_block", "gathered"],
)
def test_the_rehearsal_is_the_candidate(load: Callable[[str], Loaded], name: str) -> None:
    loaded = load(name)
    compressor = loaded.compressor()
    one = {name: array[:1] for name, array in loaded.case.example.items()}
    loaded = replace(loaded, case=replace(loaded.case, example=one))
    policies = {kind: policy for kind, policy in assorted(compressor, 2).items() if kind not in _FLOATS}
    for kind, policy in policies.items():
        rehearsed, candidate = _rehearsed(loaded, compressor, policy)
        checked = open_checked(candidate, loaded.network, one, [array[:1] for array in loaded.outputs])
        assert checked.faithfulness.problems == (), kind
        assert relative_difference(checked.session.run(None, one), rehearsed) < _FURTHEST, kind
