"""What training sees once rounding has set in is what the candidate's own kernels compute."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from compress.faithfulness import open_checked, relative_difference
from compress.recovery.build_recovered import build_recovered
from compress.recovery.lessons import Lesson
from compress.runtime import open_session
from tests.compress.conftest import Loaded
from tests.compress.policies import assorted, uniform_format
from tests.compress.recovery.rehearsal import rehearse_untrained

# One rounding that falls the other way, of 255 steps, in outputs of small random networks.
_FURTHEST = 0.02
_FLOATS = {"fp32", "rank", "channels", "vanished", "2:4", "unstructured"}
"""Policies without a number format to rehearse."""


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
        training, recovered = rehearse_untrained(compressor, policy, one)
        rehearsed = training.answers(Lesson(feeds=one))
        candidate = build_recovered(compressor, recovered)
        checked = open_checked(candidate, loaded.network, one, [array[:1] for array in loaded.outputs])
        assert checked.faithfulness.problems == (), kind
        assert relative_difference(checked.session.run(None, one), rehearsed) < _FURTHEST, kind


@pytest.mark.parametrize("name", ["depthwise_clip", "residual"])
def test_half_precision_is_rehearsed(load: Callable[[str], Loaded], name: str) -> None:
    """This runtime has no such kernels on a processor: it widens the weights again, and nothing else is rounded."""
    loaded = load(name)
    one = {name: array[:1] for name, array in loaded.case.example.items()}
    training, recovered = rehearse_untrained(loaded.compressor(), uniform_format(loaded.network, "fp16"), one)
    answers = open_session(build_recovered(loaded.compressor(), recovered).onnx_bytes).run(None, one)
    rehearsed, floats = training.answers(Lesson(feeds=one)), open_session(loaded.network.onnx_bytes).run(None, one)
    assert relative_difference(answers, rehearsed) < 0.1 * relative_difference(answers, floats)
