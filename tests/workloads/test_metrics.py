"""The metrics that come with paretune, and how a user names one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workloads import Metric, WorkloadError, mse, resolve_metric, top1

SCORES = np.array([[1.0, 2.0, 0.0], [3.0, 1.0, 0.0]])


def test_top1_scores_each_sample() -> None:
    assert top1(SCORES, np.array([1, 2])).tolist() == [1.0, 0.0]
    assert top1(SCORES, [0, 0]).tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("outputs", "targets", "message"),
    [
        ({"a": SCORES, "b": SCORES}, [0, 0], r"top1 needs a network with one output, got \['a', 'b'\]"),
        (SCORES[0], [0], r"top1 needs class scores .*, got \(3,\)"),
        (SCORES, [[0], [1]], r"integer targets \(N,\), got \(2, 3\) and int64 \(2, 1\)"),
        (SCORES, [0.0, 1.0], "got .* float64"),
        (SCORES, [0, 3], "top1 got the target 3 but the network has 3 classes; targets must be 0 to 2"),
        (SCORES, [-1, 0], "top1 got the target -1"),
    ],
)
def test_top1_refuses_what_is_no_classification(outputs: Any, targets: Any, message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        top1(outputs, targets)


def test_mse_is_minus_the_mean_squared_difference() -> None:
    assert mse(np.array([[1.0, 3.0], [0.0, 0.0]]), np.zeros((2, 2))).tolist() == [-5.0, 0.0]
    assert mse(np.array([[2.0], [0.0]]), [0, 1]).tolist() == [-4.0, -1.0]


@pytest.mark.parametrize("targets", [np.zeros((2, 2)), np.zeros((3, 3)), np.array([["a"] * 3] * 2)])
def test_mse_refuses_targets_of_another_shape_or_kind(targets: Any) -> None:
    with pytest.raises(WorkloadError, match=r"mse needs numeric targets of the output's shape, got \(2, 3\)"):
        mse(SCORES, targets)


def test_metrics_are_found_by_name() -> None:
    assert resolve_metric("top1") == Metric(name="top1", function=top1)
    assert resolve_metric("mse").function is mse


def test_metrics_are_found_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "scoring.py"
    path.write_text("METRIC_SCOPE = 'all'\ndef near(outputs, targets):\n    return abs(outputs - targets) < 1\n")
    metric = resolve_metric(f"{path}:near")
    assert (metric.name, metric.scope) == ("near", "all")
    assert metric.function(np.array([1.0, 3.0]), np.array([1.5, 1.0])).tolist() == [True, False]


def test_metrics_that_do_not_exist_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "scoring.py"
    path.write_text("def near(outputs, targets): ...\ndef _hidden(): ...\n")
    with pytest.raises(
        WorkloadError, match=r"unknown metric 'top2'; use one of \['mse', 'top1'\], or FILE.py:FUNCTION"
    ):
        resolve_metric("top2")
    with pytest.raises(WorkloadError, match=r"there is no file .*nowhere\.py"):
        resolve_metric(f"{tmp_path / 'nowhere.py'}:near")
    with pytest.raises(WorkloadError, match=r"defines no function 'far'; it has \['near'\]"):
        resolve_metric(f"{path}:far")


def test_a_metric_has_one_of_two_scopes() -> None:
    with pytest.raises(WorkloadError, match=r"METRIC_SCOPE must be one of \['batch', 'all'\], got 'epoch'"):
        Metric(name="m", function=top1, scope="epoch")  # type: ignore[arg-type]
