"""Every command in a process of its own, as a user has it."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from search import RunResult
from search.cli.app import run_app
from search.folder.run_folder import RunFolder

Call = Callable[..., "subprocess.CompletedProcess[str]"]

HEAVY = ("torch", "plotly", "optuna", "onnxruntime", "onnx", "onnx_ir", "pandas", "matplotlib", "scipy", "sqlalchemy")


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from search.cli.app import run_app\n"
        "code = run_app(['--help'])\n"
        f"print('heavy:', [name for name in {HEAVY!r} if name in sys.modules])\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "paretune search mnist-resnet" in done.stdout
    assert done.stdout.endswith("heavy: []\n")


@pytest.mark.parametrize("command", ["search", "status", "report", "layers", "select", "dashboard", "profile"])
def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert run_app([command, "--help"]) == 0
    assert "Usage: paretune" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["--version"]) == 0
    assert capsys.readouterr().out.startswith("paretune ")


def test_search_on_files_tells_its_steps_in_lines(call: Call, workload: Path) -> None:
    folder, data = workload.parent / "run", workload.parent / "val.npz"
    inputs = np.random.default_rng(5).normal(size=(24, 3, 8, 8)).astype(np.float32)
    np.savez(data, x=inputs, targets=np.arange(24) % 4)
    files = ["--model", workload.parent / "net.onnx", "--data", data, "--metric", "top1"]
    done = call("search", *files, "--trials", 3, "--out", folder)
    assert (done.returncode, done.stderr) == (0, "")
    steps = done.stdout.splitlines()
    assert len(steps) == len(set(steps))
    titles = ("Reading the network", "Validating FP32", "Searching 1/3", "Searching 3/3", "Confirming", "Writing")
    at = [next(index for index, step in enumerate(steps) if step.startswith(title)) for title in titles]
    assert at == sorted(at)
    assert "Confirmed front" in done.stdout
    assert str(folder / "pareto.html") in done.stdout


def test_status_and_report_read_a_finished_run(call: Call, run_copy: Path, finished: RunResult) -> None:
    shown = call("status", run_copy)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith(f"{len(finished.points)} trials finished, 0 failed\n")
    assert "Confirmed front: tiny on local-cpu" in shown.stdout
    before = (run_copy / "pareto.csv").read_bytes()
    for name in ("pareto.csv", "pareto.html", "pareto.png", "trials.csv"):
        (run_copy / name).unlink()
    written = call("report", run_copy)
    assert (written.returncode, written.stderr) == (0, "")
    assert written.stdout.splitlines()[:2] == [str(run_copy / "pareto.html"), str(run_copy / "pareto.png")]
    assert (run_copy / "pareto.csv").read_bytes() == before


def test_runs_are_laid_on_one_another(capsys: pytest.CaptureFixture[str], run_copy: Path, finished: RunResult) -> None:
    out = run_copy.parent / "both.html"
    assert run_app(["report", str(run_copy), str(finished.folder), "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert "2 runs on one another" in out.read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["RUN", "RUN"], "--out says where the page of 2 runs goes"),
        (["RUN", "RUN", "--out", "nowhere/both.html"], "there is no folder 'nowhere'"),
        (["RUN", "missing", "--out", "both.html"], "no run in 'missing'"),
        (["RUN"] * 7 + ["--out", "both.html"], "at most 6 runs can be told apart in one plot, got 7"),
    ],
)
def test_reports_that_cannot_be_written_exit_2(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, finished: RunResult,
    arguments: list[str], said: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    folder = str(finished.folder)
    assert run_app(["report", *(folder if word == "RUN" else word for word in arguments)]) == 2
    assert said in capsys.readouterr().err


def test_status_of_a_run_that_has_just_begun_says_so(
    capsys: pytest.CaptureFixture[str], run_copy: Path, finished: RunResult
) -> None:
    (run_copy / "study.db").unlink()
    with RunFolder(run_copy).locked():
        assert run_app(["status", str(run_copy)]) == 0
    assert "has no figures of FP32 yet; a search is working in it: look again in a moment" in capsys.readouterr().out


def test_layers_lists_what_a_policy_can_speak_of(call: Call, workload: Path) -> None:
    done = call("layers", workload)
    assert (done.returncode, done.stderr) == (0, "")
    table, notes = done.stdout.split("\n\n")
    rows = {line.split()[0]: line for line in table.splitlines() if "×" in line}
    assert set(rows) == {"conv1", "conv2", "head"}
    assert "32×32×3×3" in rows["conv2"]
    assert "9,216" in rows["conv2"]
    assert rows["conv1"].split()[-1] == "32"
    assert "keeps channels: head: they are the graph's output" in notes


def test_profiles(call: Call, tmp_path: Path) -> None:
    listed = call("profile", "list")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "local-cpu" in listed.stdout
    shown = call("profile", "show", "local-cpu")
    assert tomllib.loads(shown.stdout)["name"] == "local-cpu"
    copy = tmp_path / "copy.toml"
    copy.write_text(shown.stdout)
    assert call("profile", "show", copy).stdout == shown.stdout
    detected = call("profile", "detect")
    assert (detected.returncode, detected.stderr) == (0, "")
    assert "8-bit scheme" in detected.stdout


def test_verbose_logs_the_traceback_beside_the_line(call: Call, tmp_path: Path) -> None:
    done = call("--verbose", "status", tmp_path)
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("error: no run in")


def test_the_environment_names_device_runtime_and_versions(finished: RunResult) -> None:
    document = json.loads((finished.folder / "environment.json").read_text())
    assert "onnxruntime" in document["runtime"]
    assert {"paretune", "onnxruntime", "optuna"} <= set(document["versions"])
