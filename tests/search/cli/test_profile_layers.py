"""`paretune profile layers` through the command line, on a real worker."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import search.layers.times
from compress.formats.scheme import SCHEMES
from compress.network import load_network
from compress.policy import INT8, UNTOUCHED, Policy
from compress.statistics.calibration import calibrate
from compress.stitch import Compressor
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


def test_a_compressed_file_is_timed_as_it_stands_and_named_after_its_origin(
    capsys: Capture, workload: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, compressed = workload.parent / "net.onnx", tmp_path / "int8.onnx"
    feeds = {"x": np.ones((1, 3, 8, 8), np.float32)}
    network = load_network(original, feeds)
    policy = Policy({layer.name: UNTOUCHED if layer.name == "head" else INT8 for layer in network.layers})
    candidate = Compressor(network, calibrate(network, [feeds]), SCHEMES["u8s8"], formats=("fp32", "int8")).build(
        policy
    )
    compressed.write_bytes(candidate.onnx_bytes)
    timed: list[bytes] = []
    real = search.layers.times.time_layers

    def note(model: bytes, *others: Any, **options: Any) -> search.layers.times.LayerTimes:
        timed.append(model)
        return real(model, *others, **options)

    monkeypatch.setattr(search.layers.times, "time_layers", note)
    rows_path = tmp_path / "rows.csv"
    arguments = ["--names-from", str(original), "--repeats", "3", "--csv", str(rows_path)]
    assert run_app(["profile", "layers", str(compressed), *arguments]) == 0
    assert timed == [candidate.onnx_bytes]
    rows = csv.DictReader(rows_path.read_text(encoding="utf-8").splitlines())
    kernels = {row["layers"]: row["kernel"] for row in rows if row["layers"]}
    assert kernels == {"conv1": "QLinearConv", "conv2": "QLinearConv", "head": "Gemm"}
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.onnx"], "none.onnx"),
        (["mnist-resnt"], "did you mean 'mnist-resnet'"),
        (["mnist-resnet", "--target", "raspberry-pi-6"], "did you mean 'raspberry-pi-"),
        (["mnist-resnet", "--host", "pi@board"], "--host goes with 'ssh'"),
        (["mnist-resnet", "--csv", "/no/such/folder/rows.csv"], "there is no folder '/no/such/folder'"),
        (["mnist-resnet", "--names-from", "mnist-resnt"], "did you mean 'mnist-resnet'"),
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
