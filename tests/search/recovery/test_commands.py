"""Recovery from the command line: what is refused, how far it is, and a recovered candidate made again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from deploy.export import write_bundle_files
from deploy.promises import Budgets
from deploy.remeasure import Remeasured
from hwprofiles import detect_machine
from search.cli.app import run_app
from search.export import exportable
from search.recovery.state import StateFile

from .conftest import Finished
from .test_telling import STATE


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--recover", "all"], "--recover takes one of off, front, search, got 'all'"),
        (["--recover", "front", "--recover-search-epochs", "2"], "how the search trains; give --recover search too"),
        (["--recover-epochs", "5"], "--recover-device say how to recover; give --recover front too"),
        (["--recover-device", "cuda"], "--recover-device say how to recover; give --recover front too"),
        (
            ["--recover", "front", "--recover-device", "tpu"],
            "recover_device must be 'cpu', 'cuda' or 'cuda:' and a number",
        ),
        (["--recover", "front", "--recover-device", "cuda:99"], "device 'cuda:99' is not there: torch"),
        (["--recover-time", "5m"], "give --recover front too"),
        (["--recover", "front", "--recover-time", "soon"], "--recover-time takes a duration such as 8h, 90m or 1h30m"),
        (
            ["--recover", "front", "--time", "60s", "--recover-time", "2m"],
            "recover_time_s must leave time to search: got 120 of 60 seconds",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_app(["search", "mnist-resnet", "--out", str(tmp_path / "run"), *options]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_status_shows_how_far_a_recovery_is(
    recovered: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = recovered.copy(tmp_path / "run")
    StateFile(folder).keep(STATE)
    with folder.locked():
        assert run_app(["status", str(folder.path)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Recovering candidates" in shown
    assert "loss 0.21, top1 0.9312 · 0:42 left" in shown
    assert run_app(["status", str(folder.path)]) == 0
    assert "Recovering candidates" not in capsys.readouterr().out, "nobody works in the folder"


def test_a_recovered_candidate_is_applied_with_its_weights_and_not_without(
    recovered: Finished, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    point = next(p for p in recovered.result.front if p.recovered_from)
    found = exportable(recovered.result.folder, point.digest, with_calibration=True)
    again = Remeasured(passes=found.passes, machine=detect_machine(), runtime="", overhead_s=0.0, inference_s=0.0)
    bundle = write_bundle_files(found, again, tmp_path / "bundle", {}, budgets=Budgets()).folder
    out = tmp_path / "again.onnx"
    arguments = ["apply", str(bundle / "fp32.onnx"), str(bundle / "policy.json"), "--out", str(out)]
    assert run_app(arguments) == 0
    assert "the same bytes as the bundle's" in capsys.readouterr().out
    assert out.read_bytes() == (bundle / "model.onnx").read_bytes()
    kept = tmp_path / "weights.safetensors"
    shutil.move(bundle / "recovered.safetensors", kept)
    assert run_app(arguments) == 2
    said = capsys.readouterr().err
    assert "this candidate's weights were recovered after compression" in said
    assert f"give --weights: recovered/{point.digest}.safetensors of its run" in said
    assert run_app([*arguments, "--weights", str(kept)]) == 0
    other = next(p for p in recovered.result.points if p.recovered_from and p.number != point.number)
    wrong = recovered.result.folder / "recovered" / f"{other.digest}.safetensors"
    assert run_app([*arguments, "--weights", str(wrong)]) == 2
    assert "holds weights of another policy" in capsys.readouterr().err
