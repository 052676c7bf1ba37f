"""`paretune profile loadgen` through the command line, with the real LoadGen in a real worker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from search.cli.app import run_app

pytest.importorskip("mlperf_loadgen", reason="MLCommons' LoadGen is not installed")

Capture = pytest.CaptureFixture[str]
SHORT = ["--seconds", "0.2", "--min-queries", "20"]


def test_both_figures_and_loadgens_own_words(capsys: Capture, workload: Path, tmp_path: Path) -> None:
    scenario = "server"
    stored = tmp_path / "witness.json"
    arguments = ["profile", "loadgen", str(workload), "--scenario", scenario, "--json", str(stored), *SHORT]
    assert run_app(arguments) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    values = json.loads(stored.read_text())
    assert values["loadgen"]["scenario"] == scenario
    assert values["loadgen"]["summary"].rstrip() in shown.out
    assert f"LoadGen says {values['loadgen']['verdict']}" in shown.out
    assert f"{values['ratio']:>7.3f}     LoadGen over paretune" in shown.out
    assert "no official run: those take 600 s" in shown.out
    assert "arrivals a second" in shown.out
    steps = ("Measuring\n", f"LoadGen, {scenario}, 0.2 s or more\n", "Measuring again\n")
    at = [shown.out.index(step) for step in steps]
    assert at == sorted(at)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mnist-resnet", "--scenario", "multi-stream"], "'multi-stream'"),
        (["mnist-resnet", "--qps", "100"], "go with the server scenario"),
        (["mnist-resnet", "--scenario", "server", "--qps", "0"], "qps must be above 0"),
        (["mnist-resnet", "--seconds", "0"], "'--seconds'"),
        (["mnist-resnet", "--json", "/no/such/folder/file.json"], "there is no folder '/no/such/folder'"),
        (["mnist-resnet", "--json", "/tmp"], "got the folder '/tmp'"),  # noqa: S108 - any folder
        (["mnist-resnet", "--target", "local-cpx"], "did you mean 'local-cpu'"),
        ([], "MODEL"),
    ],
)
def test_a_wrong_call_is_one_line(capsys: Capture, arguments: list[str], said: str) -> None:
    assert run_app(["profile", "loadgen", *arguments]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert said in errors
    assert errors.count("\n") == 1
