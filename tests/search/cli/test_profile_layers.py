"""`paretune profile layers` through the command line, on a real worker."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from search.cli.app import run_app

Capture = pytest.CaptureFixture[str]


def test_layers_and_kernels_of_a_workload_and_of_its_file(capsys: Capture, workload: Path, tmp_path: Path) -> None:
    rows_path = tmp_path / "rows.csv"
    for model in (workload, workload.parent / "net.onnx"):
        arguments = ["profile", "layers", str(model), "--repeats", "5", "--sort", "time", "--csv", str(rows_path)]
        assert run_app(arguments) == 0
        shown = capsys.readouterr()
        assert shown.err == ""
        rows = list(csv.DictReader(rows_path.read_text(encoding="utf-8").splitlines()))
        assert {"conv1", "conv2", "head"} <= {row["layers"] for row in rows}
        times = [float(row["median_ms"]) for row in rows]
        assert times == sorted(times, reverse=True)
        assert sum(float(row["share"]) for row in rows) == pytest.approx(1, abs=1e-4)
        slowest = shown.out.splitlines()[1]
        assert slowest.startswith(rows[0]["layers"] or "–")
        assert "████████████" in slowest
        assert f"{len(rows)} operators in onnxruntime" in shown.out
        assert "a whole inference takes" in shown.out
        assert shown.out.rstrip().endswith(str(rows_path))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.onnx"], "none.onnx"),
        (["mnist-resnt"], "did you mean 'mnist-resnet'"),
        (["mnist-resnet", "--target", "raspberry-pi-6"], "did you mean 'raspberry-pi-"),
        (["mnist-resnet", "--host", "pi@board"], "--host goes with 'ssh'"),
        (["mnist-resnet", "--sort", "name"], "'name'"),
        (["mnist-resnet", "--repeats", "0"], "'--repeats'"),
    ],
)
def test_a_wrong_call_is_one_line(capsys: Capture, arguments: list[str], said: str) -> None:
    assert run_app(["profile", "layers", *arguments]) == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
