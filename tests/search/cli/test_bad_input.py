"""A user's mistake is one line on standard error and exit code 2, and leaves what was there as it was."""

from __future__ import annotations

import fcntl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.cli.app import run_app

Capture = pytest.CaptureFixture[str]
Contents = Callable[[Path], dict[str, str]]


def refused(capture: Capture, *arguments: object) -> str:
    """The one line with which `paretune` refuses `arguments`."""
    capture.readouterr()
    assert run_app([str(argument) for argument in arguments]) == 2
    errors = capture.readouterr().err
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1, errors
    return errors


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_a_workload_file_that_is_not_there(capsys: Capture, tmp_path: Path, out: Path) -> None:
    assert "no workload file" in refused(capsys, "search", tmp_path / "none.py", "--out", out)
    assert not out.exists()


def test_an_unknown_builtin_names_the_close_one(capsys: Capture, out: Path) -> None:
    assert "did you mean 'mnist-resnet'" in refused(capsys, "search", "mnist-resnt", "--out", out)
    assert not out.exists()


def test_a_workload_without_a_metric(capsys: Capture, workload: Path, out: Path) -> None:
    workload.write_text(workload.read_text().replace("def metric", "def other"))
    assert "lacks metric()" in refused(capsys, "search", workload, "--out", out)
    assert not out.exists()


def test_a_metric_that_gives_nan(capsys: Capture, workload: Path, out: Path) -> None:
    workload.write_text(workload.read_text().replace(".mean(axis=1)", ".mean(axis=1) * np.nan"))
    refused(capsys, "search", workload, "--out", out, "--trials", 1)
    assert not (out / "study.db").exists()
    assert not (out / "measurements.jsonl").exists()


@pytest.mark.parametrize("damage", ["garbage", "truncated", "empty"])
def test_a_network_that_does_not_load(capsys: Capture, workload: Path, out: Path, damage: str) -> None:
    file = workload.parent / "net.onnx"
    data = file.read_bytes()
    file.write_bytes({"garbage": b"no network at all", "truncated": data[: len(data) // 2], "empty": b""}[damage])
    refused(capsys, "search", workload, "--out", out, "--trials", 1)
    assert not (out / "network.onnx").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("name = ", "not valid TOML"),
        ('name = "x"\nsummary = "y"\n[sparsity]\nchannel_multiple = 0\n', "sparsity.channel_multiple"),
        ('name = "x"\nsummary = "y"\nthreads = 2\n[sparsity]\nchannel_multiple = 1\n', "unknown"),
        ("format_version = 99\n", "upgrade paretune"),
    ],
)
def test_a_profile_that_cannot_be_used(
    capsys: Capture, workload: Path, out: Path, tmp_path: Path, text: str | None, said: str
) -> None:
    path = tmp_path / "mine.toml"
    if text is not None:
        path.write_text(text)
    assert said in refused(capsys, "search", workload, "--target", path, "--out", out)
    assert not out.exists()


def test_an_unknown_profile_names_the_close_one(capsys: Capture, workload: Path, out: Path) -> None:
    assert "did you mean 'local-cpu'" in refused(capsys, "search", workload, "--target", "local-cpy", "--out", out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--time", "soon", "--time takes a duration such as 8h, 90m or 1h30m, got 'soon'"),
        ("--time", "0s", "--time must be above zero, got '0s'"),
        ("--until", "25:00", "--until takes a time of day such as 07:00, got '25:00'"),
        ("--trials", "0", "--trials"),
        ("--trials", "many", "--trials"),
        ("--sampler", "grid", "--sampler takes one of frontier, tpe, "),
        ("--affinity", "a,b", "--affinity takes CPU numbers such as 0,2, got 'a,b'"),
        ("--affinity", "0,0", "engine"),
        ("--threads", "0", "--threads"),
        ("--seed", "-1", "--seed"),
        ("--bogus", "1", "--bogus"),
    ],
)
def test_an_option_that_makes_no_sense(
    capsys: Capture, workload: Path, out: Path, option: str, value: str, said: str
) -> None:
    assert said in refused(capsys, "search", workload, "--out", out, option, value)
    assert not out.exists()


def test_two_ways_to_name_a_workload_or_half_of_one(capsys: Capture, workload: Path, out: Path, tmp_path: Path) -> None:
    network, data = workload.parent / "net.onnx", tmp_path / "val.npz"
    np.savez(data, x=np.zeros((4, 3, 8, 8), np.float32), targets=np.zeros(4, np.int64))
    assert "give either" in refused(capsys, "search", workload, "--model", network, "--out", out)
    assert "--data" in refused(capsys, "search", "--model", network, "--metric", "top1", "--out", out)
    assert "--metric" in refused(capsys, "search", "--model", network, "--data", data, "--out", out)
    assert "WORKLOAD" in refused(capsys, "search", "--out", out)
    assert "unknown metric" in refused(
        capsys, "search", "--model", network, "--data", data, "--metric", "top9", "--out", out
    )
    assert not out.exists()


def test_a_run_of_another_workload(capsys: Capture, workload: Path, run_copy: Path, contents: Contents) -> None:
    before = contents(run_copy)
    workload.write_text(workload.read_text() + "\n# changed\n")
    said = refused(capsys, "search", workload, "--out", run_copy)
    assert "is a run of another workload: 'tiny' has changed since" in said
    assert contents(run_copy) == before


def test_a_run_on_another_target(capsys: Capture, workload: Path, run_copy: Path, contents: Contents) -> None:
    before = contents(run_copy)
    assert "run of another target" in refused(capsys, "search", workload, "--out", run_copy, "--threads", 2)
    assert contents(run_copy) == before


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("format_version = 1", "format_version = 2", "upgrade paretune"),
        ("format_version = 1", "format_version = ", "is damaged"),
        ("format_version = 1", "", "is damaged: it lacks format_version"),
        ("started_at", "begun_at", "is damaged: it lacks started_at"),
        ("[workload]", "[work]", "is damaged: it lacks workload"),
    ],
)
def test_a_configuration_that_cannot_be_read(
    capsys: Capture, workload: Path, run_copy: Path, contents: Contents, old: str, new: str, said: str
) -> None:
    config = run_copy / "run.toml"
    config.write_text(config.read_text().replace(old, new, 1))
    before = contents(run_copy)
    for command in (["search", workload, "--out"], ["status"], ["report"]):
        assert said in refused(capsys, *command, run_copy)
        assert contents(run_copy) == before


@pytest.mark.parametrize("name", ["study.db", "confirmations.json", "timings.json", "measurements.jsonl"])
def test_a_damaged_file_of_a_run_is_named(
    capsys: Capture, quick: None, workload: Path, run_copy: Path, contents: Contents, name: str
) -> None:
    (run_copy / name).write_bytes(b"\x00no such thing\n" * 100)
    for leftover in ("study.db-wal", "study.db-shm"):
        (run_copy / leftover).unlink(missing_ok=True)
    before = contents(run_copy)
    assert name in refused(capsys, "search", workload, "--out", run_copy, "--trials", 20)
    after = contents(run_copy)
    kept = set(before) - {"run.toml", "environment.json", "timings.json"}
    assert {path: after[path] for path in kept} == {path: before[path] for path in kept}


def test_a_folder_that_another_search_works_in(
    capsys: Capture, workload: Path, run_copy: Path, contents: Contents
) -> None:
    before = contents(run_copy)
    with (run_copy / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "another search is working in" in refused(capsys, "search", workload, "--out", run_copy)
    assert contents(run_copy) == before


@pytest.mark.parametrize("command", ["status", "report"])
def test_a_folder_without_a_run(capsys: Capture, tmp_path: Path, command: str) -> None:
    for folder in (tmp_path / "none", tmp_path):
        assert "no run in" in refused(capsys, command, folder)
    assert not list(tmp_path.iterdir())


def test_an_out_that_is_a_file(capsys: Capture, workload: Path, out: Path) -> None:
    out.write_text("mine")
    assert "as a run's folder" in refused(capsys, "search", workload, "--out", out)
    assert "as a run's folder" in refused(capsys, "search", workload, "--out", out / "deeper")
    assert out.read_text() == "mine"


def test_an_out_where_nothing_can_be_made(capsys: Capture, workload: Path) -> None:
    assert "as a run's folder" in refused(capsys, "search", workload, "--out", "/proc/paretune-run")


@pytest.mark.parametrize("count", ["0", "-3", "most", "2.5", ""])
def test_samples_on_the_target_that_are_no_number(capsys: Capture, workload: Path, out: Path, count: str) -> None:
    said = refused(capsys, "search", workload, "--out", out, f"--target-samples={count}")
    assert f"--target-samples takes a number above 0, or all; got {count!r}" in said
    assert not out.exists()


def test_a_host_for_a_target_that_is_here(capsys: Capture, workload: Path, out: Path) -> None:
    said = refused(capsys, "search", workload, "--out", out, "--host", "pi@board")
    assert "is reached by transport = 'local'; --host goes with 'ssh'" in said
    assert not out.exists()


def test_a_board_that_nobody_can_reach(capsys: Capture, workload: Path, out: Path, ssh_server: Any) -> None:
    ssh_server.stop()
    host = f"127.0.0.1:{ssh_server.port}"
    said = refused(capsys, "search", workload, "--out", out, "--target", "raspberry-pi-5", "--host", host)
    assert f"127.0.0.1:{ssh_server.port}" in said
    assert not (out / "study.db").exists()


def test_an_unknown_command_names_the_close_one(capsys: Capture) -> None:
    assert "search" in refused(capsys, "serch")
    assert "RUN" in refused(capsys, "status")


def test_no_command_is_the_help_and_a_wrong_call(capsys: Capture) -> None:
    for arguments, command in (([], "search"), (["profile"], "detect")):
        assert run_app(arguments) == 2
        output = capsys.readouterr()
        assert command in output.out
        assert output.err == ""
