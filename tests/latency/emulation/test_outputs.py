"""Outputs of two processors are the same bits, or lie apart by so much of the largest."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from hwprofiles import HardwareProfile
from latency.emulation.outputs import OutputDifference, compare_outputs
from latency.target import Target

SAMPLES = {"x": np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)}


def test_this_machine_answers_as_itself(profile: HardwareProfile, baseline: bytes) -> None:
    with Target(profile) as target:
        difference = compare_outputs(target, baseline, SAMPLES)
    assert (difference.identical, difference.largest_relative, difference.samples) == (True, 0.0, 3)
    assert difference.words.startswith("bit-identical on 3 samples to onnxruntime ")


@pytest.mark.parametrize(
    ("change", "relative"),
    [
        (lambda array: array, 0.0),
        (lambda array: array + np.float32(0.01) * np.abs(array).max() * np.eye(3, 16, dtype=np.float32), 0.01),
        (lambda array: np.where(array == array.max(), np.float32("nan"), array), np.inf),
        (lambda array: array[:2], np.inf),
        (lambda array: array.astype(np.float64), 0.0),
    ],
)
def test_what_differs_is_told_relative_to_the_largest(
    profile: HardwareProfile, baseline: bytes, change: Callable[[np.ndarray], np.ndarray], relative: float
) -> None:
    answered: list[np.ndarray] = []

    class Odd(Target):
        def predict(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            answered.append(change(super().predict(feeds)["y"]))
            return {"y": answered[0]}

    with Odd(profile) as target:
        difference = compare_outputs(target, baseline, SAMPLES)
    assert difference.largest_relative == pytest.approx(relative, rel=1e-3)
    assert difference.identical == (relative == 0.0 and answered[0].dtype == np.float32)


def test_words_say_how_far() -> None:
    difference = OutputDifference(samples=4, identical=False, largest_relative=2.4e-7, reference="x86")
    assert difference.words == "2.4e-07 (relative) from x86 on 4 samples"
