"""`paretune profile check` through the command line: lines, remedies, and exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.cli.app import run_app

Capture = pytest.CaptureFixture[str]

PROFILE = """
name = "this-one"
summary = "This machine"
requires = [{requires}]
[formats]
int8_scheme = "none"
offered = ["fp32"]
[sparsity]
channel_multiple = 16
"""


@pytest.fixture
def target(tmp_path: Path) -> Path:
    path = tmp_path / "this-one.toml"
    path.write_text(PROFILE.format(requires=""))
    return path


def test_a_target_is_checked_and_kept_busy(capsys: Capture, quick: None, target: Path, workload: Path) -> None:
    """Two measurements cannot surprise enough to fail, and `quick` believes wide intervals."""
    arguments = ["profile", "check", str(target), "--model", str(workload), "--repeats", "2", "--sustained", "2s"]
    assert run_app(arguments) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    lines = shown.out.splitlines()
    found = {line[8:].split(": ")[0]: line[:8].strip() for line in lines if line[:8].strip() in {"ok", "warning"}}
    assert list(found) == [
        *("reached", "engine", "machine", "free memory", "load", "clock setting", "temperature", "network"),
        *("quiet", "steady clock", "A/A", "sustained load"),
    ]
    remedies = [line for line in lines if line.startswith("        → ")]
    assert len(remedies) == list(found.values()).count("warning")
    assert any(line.startswith("Keeping it busy 2/2 s: ") for line in lines)
    assert lines[-1].startswith("'this-one' can be measured on")


def test_a_target_that_is_another_machine_fails(capsys: Capture, target: Path, workload: Path) -> None:
    target.write_text(PROFILE.format(requires='"pdp-11"'))
    assert run_app(["profile", "check", str(target), "--model", str(workload), "--sustained", "1h"]) == 1
    shown = capsys.readouterr()
    assert shown.err == ""
    assert "this-one' is for a machine with pdp-11" in shown.out
    assert shown.out.endswith("'this-one' cannot be measured on as it is: 1 failed\n")


def test_a_board_that_is_off_fails_with_its_address(capsys: Capture, workload: Path) -> None:
    arguments = ["profile", "check", "raspberry-pi-5", "--host", "me@127.0.0.1:1", "--model", str(workload)]
    assert run_app(arguments) == 1
    shown = capsys.readouterr()
    assert shown.err == ""
    assert shown.out.startswith("failed  reached: ")
    assert "127.0.0.1:1" in shown.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["local-cpx"], "did you mean 'local-cpu'"),
        (["local-cpu", "--host", "pi@board"], "--host goes with 'ssh'"),
        (["local-cpu", "--sustained", "long"], "--sustained takes a duration such as 8h"),
        (["local-cpu", "--sustained", "0s"], "--sustained must be above zero"),
        (["local-cpu", "--model", "mnist-resnt"], "did you mean 'mnist-resnet'"),
        (["local-cpu", "--repeats", "1"], "'--repeats'"),
        ([], "TARGET"),
    ],
)
def test_a_wrong_call_is_one_line(capsys: Capture, arguments: list[str], said: str) -> None:
    assert run_app(["profile", "check", *arguments]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert said in errors
    assert errors.count("\n") == 1
