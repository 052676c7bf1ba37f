"""The file of recovered weights: all comes back, and what is damaged or newer is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compress.errors import CompressionError
from compress.policy import INT8, Policy
from compress.recovery.lineage import Lineage, LossPoint
from compress.recovery.recovered_weights import RecoveredWeights, read_tensors, write_tensors

STORED = Path(__file__).parents[2] / "data" / "recovered-weights-v1.safetensors"

EXAMPLE = RecoveredWeights(
    policy=Policy({"first": INT8, "second": INT8}),
    network_digest="ab" * 32,
    weights={
        "first.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
        "second@bias": np.array([0.5, -0.25], np.float32),
        "factor": np.array(1.5, np.float32),
    },
    ranges={"image": (-1.0, 2.5), "hidden": (0.0, 0.1)},
    lineage=Lineage(
        recovered_from="cd" * 32,
        method="trained by distillation from the original network",
        epochs=3,
        steps=282,
        seed=0,
        data_digest="ef" * 32,
        started_from=None,
        seconds=61.5,
    ),
    history=(LossPoint(step=10, loss=2.0), LossPoint(step=20, loss=0.5, score=0.75)),
)


def _same(one: RecoveredWeights, other: RecoveredWeights) -> bool:
    arrays = all(
        array.shape == other.weights[name].shape and (array == other.weights[name]).all()
        for name, array in one.weights.items()
    )
    rest = ("policy", "network_digest", "ranges", "lineage", "history", "digest")
    return arrays and set(one.weights) == set(other.weights) and all(getattr(one, n) == getattr(other, n) for n in rest)


def test_all_comes_back(tmp_path: Path) -> None:
    path, again = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    EXAMPLE.save(path)
    assert _same(EXAMPLE, RecoveredWeights.load(path))
    for _ in range(10):  # whatever orders are drawn at random
        RecoveredWeights.load(path).save(again)
        assert path.read_bytes() == again.read_bytes()
    assert [file.name for file in tmp_path.iterdir() if file.suffix != ".safetensors"] == []


def test_a_stored_file_of_version_1_still_loads() -> None:
    assert _same(EXAMPLE, RecoveredWeights.load(STORED))


def test_the_digest_is_that_of_what_decides_the_candidate() -> None:
    assert replace(EXAMPLE, lineage=replace(EXAMPLE.lineage, seconds=1.0), history=()).digest == EXAMPLE.digest
    changed: list[dict[str, Any]] = [
        {"weights": {**EXAMPLE.weights, "factor": np.array(1.25, np.float32)}},
        {"ranges": {**EXAMPLE.ranges, "image": (-1.0, 2.0)}},
        {"policy": Policy({"first": INT8})},
        {"network_digest": "00" * 32},
    ]
    assert len({replace(EXAMPLE, **change).digest for change in changed} | {EXAMPLE.digest}) == 5


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def _newer(path: Path) -> None:
    write_tensors(path, *read_tensors(path, 1, what="a file"), 2)


def _without_lineage(path: Path) -> None:
    arrays, header = read_tensors(path, 1, what="a file")
    write_tensors(path, arrays, {name: value for name, value in header.items() if name != "lineage"}, 1)


def _with_a_text_as_seed(path: Path) -> None:
    arrays, header = read_tensors(path, 1, what="a file")
    write_tensors(path, arrays, {**header, "lineage": {**header["lineage"], "seed": "0"}}, 1)


def _of_something_else(path: Path) -> None:
    path.write_bytes(b"not a file of tensors")


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (_cut, "damaged"),
        (_newer, "format_version of recovered weights must be 1, got 2"),
        (_without_lineage, "holds no recovered weights: 'lineage'"),
        (_with_a_text_as_seed, "seed has the wrong type"),
        (_of_something_else, "damaged"),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, damage: Callable[[Path], None], problem: str) -> None:
    path = tmp_path / "weights.safetensors"
    EXAMPLE.save(path)
    damage(path)
    with pytest.raises(CompressionError, match=problem):
        RecoveredWeights.load(path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"weights": {"w": np.array([np.nan], np.float32)}}, "'w' must be finite float32"),
        ({"weights": {"w": np.zeros(2)}}, "'w' must be finite float32, got float64"),
        ({"ranges": {"t": (1.0, 0.0)}}, "range of tensor 't'"),
    ],
)
def test_values_that_make_no_candidate_are_refused(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(CompressionError, match=problem):
        replace(EXAMPLE, **change)
