"""What is timed has the target's batch size, and nothing that a user gave is dropped without a word."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from search import SearchError
from search.trial.timed_input import timed_feeds
from workloads import load

INPUT = "\ndef latency_input():\n    return {{'x': np.arange({0}.0).repeat(3 * 64).reshape(-1, 3, 8, 8)}}\n"


def given(workload: Path, samples: int) -> Path:
    workload.write_text(workload.read_text() + INPUT.format(samples))
    return workload


def test_the_first_validation_sample_is_repeated(workload: Path) -> None:
    loaded = load(workload)
    feeds = timed_feeds(loaded, 3)
    first, _ = next(loaded.search_part.batches(1))
    assert feeds["x"].shape == (3, 3, 8, 8)
    assert all(np.array_equal(sample, first["x"][0]) for sample in feeds["x"])


def test_the_workloads_own_samples_are_repeated_in_turn(workload: Path) -> None:
    feeds = timed_feeds(load(given(workload, 2)), 5)
    assert feeds["x"][:, 0, 0, 0].tolist() == [0.0, 1.0, 0.0, 1.0, 0.0]


@pytest.mark.parametrize("samples", [0, 3])
def test_none_and_more_than_a_batch_are_refused(workload: Path, samples: int) -> None:
    said = rf"latency_input\(\) gives {samples} samples of 'x', but the target's batch size is 2; give 1 to 2"
    with pytest.raises(SearchError, match=said):
        timed_feeds(load(given(workload, samples)), 2)
