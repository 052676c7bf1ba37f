"""`paretune profile probe` as a user has it: a profile comes out, Ctrl-C loses nothing, and a search believes it."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hwprofiles import HardwareProfile, list_profiles, load_profile, write_profile
from search.cli.app import run_app
from tests.hwprofiles.probed_rows import profile_with, row

Call = Callable[..., "subprocess.CompletedProcess[str]"]
Start = Callable[..., "subprocess.Popen[str]"]

PROBE = ("profile", "probe", "local-cpu", "--quick", "--larger-batch", 1, "--out", "my-cpu.toml")
LOG = "my-cpu.quick-measurements.jsonl"


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines(keepends=True) if path.exists() else []


def test_an_interrupted_probe_goes_on_and_ends_in_a_profile(start: Start, call: Call, tmp_path: Path) -> None:
    first = start(*PROBE)
    deadline = time.monotonic() + 120
    while len(lines(tmp_path / LOG)) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    first.send_signal(signal.SIGINT)
    _, errors = first.communicate(timeout=60)
    assert (first.returncode, errors) == (130, "stopped; the same command continues\n")
    assert not (tmp_path / "my-cpu.toml").exists()
    before = [line for line in lines(tmp_path / LOG) if line.endswith("\n")]

    done = call(*PROBE)
    assert (done.returncode, done.stderr) == (0, "")
    measured = lines(tmp_path / LOG)
    assert measured[: len(before)] == before
    assert "Probing 0/16" in done.stdout
    for part in ("Conv 3×3 16→16", "MatMul 64→64", "int8 by scheme", "symmetric", "offered = fp32", "my-cpu.toml"):
        assert part in done.stdout, part

    profile = load_profile(tmp_path / "my-cpu.toml")
    assert (profile.name, profile.probed) == ("my-cpu", True)
    assert profile.probe is not None
    assert profile.probe.complete
    assert len(profile.probe.layers) == 16
    assert [each.refused for each in profile.probe.layers if each.refused] == []
    assert {each.format for each in profile.probe.layers} == {
        "int8", "int8-dynamic", "int8-weights", "int4-weights", "fp16",
    }  # fmt: skip
    assert "- " + "\n- ".join(profile.probe.notes) in done.stdout

    again = call(*PROBE)
    assert (again.returncode, again.stderr) == (0, "")
    assert lines(tmp_path / LOG) == measured, "nothing is measured twice"
    assert load_profile(tmp_path / "my-cpu.toml").formats == profile.formats


def test_time_bounds_a_probe_of_a_network_and_the_profile_says_so(call: Call, workload: Path, tmp_path: Path) -> None:
    out = "new/tiny.toml"
    done = call("profile", "probe", "local-cpu", "--quick", "--model", workload, "--time", "0.1s", "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    assert "the time was up before" in done.stdout
    probe = load_profile(tmp_path / out).probe
    assert probe is not None
    assert not probe.complete
    assert (probe.subject, len(probe.layers)) == ("tiny.py", 1)
    assert probe.layers[0].weight_shape == (32, 32, 3, 3), "the layer with most work comes first"


def test_a_search_leaves_out_what_the_probe_ruled_out_and_says_so(
    call: Call, workload: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conv2 = {"weight_shape": (32, 32, 3, 3), "macs": 32 * 32 * 9 * 64}
    slow = row(1.25, **conv2), row(1.1, mixed=True, **conv2)
    write_profile(profile_with(*slow, offered=("fp32", "int8")), tmp_path / "my-board.toml")
    said = "int8 left out of 1 layer: the probe of my-board measured ×0.80"
    for _session in ("first", "resumed"):
        done = call("search", workload, "--target", "my-board.toml", "--trials", 1, "--out", "run")
        assert (done.returncode, done.stderr) == (0, "")
        assert said in done.stdout
    for target, line in ((str(tmp_path / "my-board.toml"), said), ("local-cpu", "local-cpu was not probed")):
        assert run_app(["layers", str(workload), "--target", target]) == 0
        assert line in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        (["nowhere"], ["no hardware profile 'nowhere'"]),
        (["local-cpu", "--time", "soon"], ["--time", "'soon'"]),
        (["local-cpu", "--out", "probe.json"], ["--out takes a .toml file", "'probe.json'"]),
        (["local-cpu", "--out", "mine.toml"], ["'mine.toml' exists and is no probed profile"]),
        (["local-cpu", "--model", "no.onnx"], ["'no.onnx'"]),
        (["local-cpu", "--out", "mine.toml/probe.toml"], ["File exists", "'mine.toml'"]),
        (["local-cpu", "--host", "board"], ["--host goes with 'ssh'"]),
        (["arm-emulated"], ["is emulated: its time says nothing"]),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    parts: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_profile(profile_with().model_copy(update={"probed": False, "probe": None}), tmp_path / "mine.toml")
    if options[0] not in ("nowhere", *list_profiles()):
        pytest.fail(f"{options[0]} is shipped no more")
    assert run_app(["profile", "probe", *options]) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert [part for part in parts if part not in errors] == []


def test_a_board_is_probed_over_ssh_and_nobody_guesses_at_its_kernels(
    quick: None, board: HardwareProfile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_profile(board, tmp_path / "board.toml")
    out = tmp_path / "my-board.toml"
    assert (
        run_app(["profile", "probe", str(tmp_path / "board.toml"), "--quick", "--time", "0.1s", "--out", str(out)]) == 0
    )
    assert str(out) in capsys.readouterr().out
    profile = load_profile(out)
    assert profile.reach == board.reach
    assert profile.probe is not None
    assert [(each.format, each.kernels) for each in profile.probe.layers] == [("int8", ())]
