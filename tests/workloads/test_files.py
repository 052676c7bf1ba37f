"""A workload without any Python."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workloads import WorkloadError, evaluate, from_files, onnx_predictor


@pytest.fixture
def files(tmp_path: Path, linear: Callable[..., bytes]) -> tuple[Path, Path]:
    model, data = tmp_path / "m.onnx", tmp_path / "val.npz"
    model.write_bytes(linear())
    x = np.arange(4500, dtype=np.float32).reshape(1500, 3)
    np.savez(data, x=x, targets=np.arange(1500) % 2)
    return model, data


def test_files_make_a_workload(files: tuple[Path, Path]) -> None:
    model, data = files
    workload = from_files(model, data, "top1")
    assert (workload.name, workload.origin, workload.network()) == ("m", str(model), model)
    evaluation = evaluate(onnx_predictor(model), workload.search_part, workload.metric)
    assert (evaluation.accuracy.metric, evaluation.accuracy.count) == ("top1", 750)


def test_calibration_is_of_the_search_part_only(files: tuple[Path, Path]) -> None:
    calibration = np.concatenate([feeds["x"] for feeds in from_files(*files, "top1").calibration])
    assert calibration[:, 0].tolist() == [6.0 * number for number in range(512)]


def test_the_digest_is_of_model_data_and_metric(files: tuple[Path, Path], linear: Callable[..., bytes]) -> None:
    model, data = files
    scoring = data.with_name("scoring_files.py")
    digests = [from_files(model, data, "top1").digest, from_files(model, data, "mse").digest]
    for text in ("def near(a, b): return a", "def near(a, b): return b"):
        scoring.write_text(text)
        digests.append(from_files(model, data, f"{scoring}:near").digest)
    model.write_bytes(linear(seed=1))
    digests.append(from_files(model, data, "top1").digest)
    np.savez(data, x=np.ones((4, 3), np.float32), targets=np.zeros(4, int))
    digests.append(from_files(model, data, "top1").digest)
    assert len(set(digests)) == len(digests)
    assert from_files(model, data, "top1").digest == digests[-1]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.ones((3, 3))}, r"has the arrays \['x'\]; it must have each input by its name, and 'targets'"),
        ({"targets": np.ones(3)}, r"has the arrays \['targets'\]; it must have each input"),
        ({"x": np.ones((3, 3)), "targets": np.ones(2)}, "has 3 samples but 2 targets"),
        ({"x": np.ones((0, 3)), "targets": np.ones(0)}, r"val\.npz gave no samples"),
        ({"x": np.ones((1, 3)), "targets": np.ones(1)}, "at least 2 samples"),
        ({"x": np.ones((2, 3)), "targets": np.array([{}, {}])}, r"val\.npz cannot be read as \.npz: Object arrays"),
    ],
)
def test_malformed_data_is_refused(files: tuple[Path, Path], arrays: dict[str, Any], message: str) -> None:
    model, data = files
    np.savez(data, **arrays)
    with pytest.raises(WorkloadError, match=message):
        from_files(model, data, "top1")


def test_files_that_are_missing_or_something_else_are_refused(files: tuple[Path, Path]) -> None:
    model, data = files
    with pytest.raises(WorkloadError, match=r"there is no ONNX file .*no\.onnx; --model takes a file"):
        from_files(model.with_name("no.onnx"), data, "top1")
    with pytest.raises(WorkloadError, match=r"there is no data file .*no\.npz; --data takes an \.npz file"):
        from_files(model, data.with_name("no.npz"), "top1")
    with pytest.raises(WorkloadError, match="unknown metric 'f1'"):
        from_files(model, data, "f1")
    data.write_bytes(b"PK\x03\x04 truncated")
    with pytest.raises(WorkloadError, match=r"val\.npz cannot be read as \.npz"):
        from_files(model, data, "top1")
    with data.open("wb") as file:
        np.save(file, np.ones(3))
    with pytest.raises(WorkloadError, match=r"val\.npz has the arrays \[\]; it must have each input by its name"):
        from_files(model, data, "top1")
    model.write_bytes(b"not a network")
    np.savez(data, x=np.ones((2, 3)), targets=np.ones(2))
    with pytest.raises(WorkloadError, match=r"m\.onnx is not an ONNX file"):
        from_files(model, data, "top1")
