"""A search that is killed, stopped or starved of disk: the same command continues, and nothing is lost or doubled."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import optuna
import psutil
import pytest

from search import RunResult
from search.results import read_result
from search.study.study import load_study

Start = Callable[..., "subprocess.Popen[str]"]
Call = Callable[..., "subprocess.CompletedProcess[str]"]
TRIALS = 7


def read_until(process: subprocess.Popen[str], marker: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if marker in line:
            return
    pytest.fail(f"{marker!r} never came; standard error: {process.stderr.read() if process.stderr else ''}")


def kill(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Kill the process the hard way; what lived below it."""
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    return children


def measured_digests(folder: Path) -> list[str]:
    return [
        json.loads(line)["key"]["model_digest"] for line in (folder / "measurements.jsonl").read_text().splitlines()
    ]


def trials_of(folder: Path) -> list[optuna.trial.FrozenTrial]:
    with load_study(folder / "study.db") as study:
        return study.trials


def assert_whole(folder: Path, trials: int) -> None:
    """The run has `trials` finished trials, each of another candidate, and none is left running."""
    states = [trial.state.name for trial in trials_of(folder)]
    assert states.count("COMPLETE") == trials
    assert set(states) <= {"COMPLETE", "FAIL"}
    result = read_result(folder)
    assert len({point.digest for point in result.points}) == len(result.points) == trials
    assert result.is_confirmed
    for point in result.front:
        assert (folder / "candidates" / point.digest / "manifest.json").is_file()
    assert not list(folder.rglob("*.partial"))


def test_killed_at_four_moments_it_ends_as_if_it_had_not_been(start: Start, call: Call, workload: Path) -> None:
    folder = workload.parent / "run"
    command = ["search", workload, "--trials", TRIALS, "--out", folder, "--sampler", "random"]
    for moment in ("Validating FP32", "Searching 1/", "Searching 4/", "Confirming the front 3/"):
        process = start(*command)
        read_until(process, moment)
        workers = kill(process)
        assert len(workers) >= 4
        _, alive = psutil.wait_procs(workers, timeout=30)
        assert not alive
    done = call(*command)
    assert (done.returncode, done.stderr) == (0, "")
    assert_whole(folder, TRIALS)
    assert [point.label for point in read_result(folder).points[:2]] == ["FP32", "all 8-bit"]
    digests = measured_digests(folder)
    searched = digests[: max(digests.index(digest) for digest in digests) + 1]
    # Only the confirmation, which comes after the search, measures again; and all-8-bit where the host's speed is new.
    anchor = read_result(folder).points[1].digest
    assert {digest for digest in searched if searched.count(digest) > 1} <= {anchor}


def test_ctrl_c_is_one_line_and_the_run_continues(start: Start, call: Call, workload: Path) -> None:
    folder = workload.parent / "run"
    # Tests that a shell has put in the background ignore Ctrl-C, and so would what they start.
    listening = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
    process = start("search", workload, "--trials", 400, "--out", folder, "--sampler", "random", preexec_fn=listening)
    read_until(process, "Searching 1/")
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the workers too
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (130, "stopped; the same command continues\n")
    states = [trial.state.name for trial in trials_of(folder)]
    assert "RUNNING" not in states
    wanted = states.count("COMPLETE") + 2
    done = call("search", workload, "--trials", wanted, "--out", folder, "--sampler", "random")
    assert (done.returncode, done.stderr) == (0, "")
    assert_whole(folder, wanted)


def limit_files_to(size: int) -> Callable[[], None]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return limit


@pytest.mark.parametrize("name", ["study.db", "measurements.jsonl"])
def test_a_file_that_may_not_grow_is_one_line_and_the_same_command_continues(
    call: Call, workload: Path, run_copy: Path, name: str
) -> None:
    command = ["search", workload, "--out", run_copy, "--trials", TRIALS + 2, "--sampler", "random"]
    before = trials_of(run_copy)
    limit = max((run_copy / file).stat().st_size for file in ("network.onnx", "calibration.npz", name)) + 8_000
    limited = call(*command, preexec_fn=limit_files_to(limit))
    assert limited.returncode == 2, limited.stderr
    assert limited.stderr.count("\n") == 1
    assert limited.stderr.startswith(f"error: cannot write to {str(run_copy)!r}: ")
    assert trials_of(run_copy)[: len(before)] == before
    done = call(*command)
    assert (done.returncode, done.stderr) == (0, "")
    assert_whole(run_copy, TRIALS + 2)


def test_a_temporary_folder_without_room_is_named_and_costs_no_trial(
    call: Call, workload: Path, small_disk: Path, run_copy: Path
) -> None:
    """The workers' files lie there; the run's own folder has all the room it needs."""
    before = trials_of(run_copy)
    (small_disk / "filler").write_bytes(bytes(1_000_000))
    command = ["search", workload, "--trials", TRIALS + 2, "--out", run_copy, "--sampler", "random"]
    full = call(*command, env={**os.environ, "TMPDIR": str(small_disk)})
    assert full.returncode == 2
    assert full.stderr.count("\n") == 1
    assert full.stderr.startswith(f"error: cannot write to the workers' folder '{small_disk}/")
    assert trials_of(run_copy) == before
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


@pytest.mark.parametrize("command", ["status", "report"])
def test_a_disk_that_is_read_only_is_one_line(call: Call, small_disk: Path, finished: RunResult, command: str) -> None:
    for path in ("run.toml", "study.db", "environment.json", "timings.json", "confirmations.json"):
        shutil.copy(finished.folder / path, small_disk / path)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)  # noqa: S607
    refused = call(command, small_disk)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1, refused.stderr
    assert refused.stderr.startswith("error: ")
    assert str(small_disk) in refused.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False, text=True)
    if mounted.returncode:
        pytest.skip(f"this machine mounts no small disk: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S607


def test_a_full_disk_is_one_line_and_the_same_command_continues(call: Call, workload: Path, small_disk: Path) -> None:
    folder = small_disk / "run"
    command = ["search", workload, "--trials", 6, "--out", folder, "--sampler", "random"]
    full = call(*command)
    assert full.returncode == 2
    assert full.stderr.count("\n") == 1
    assert full.stderr.startswith(f"error: cannot write to {str(folder)!r}: ")
    assert not list(folder.rglob("*.partial"))
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)  # noqa: S607
    finished = [trial for trial in trials_of(folder) if trial.state.name == "COMPLETE"]
    done = call(*command)
    assert (done.returncode, done.stderr) == (0, "")
    assert_whole(folder, 6)
    assert [trial for trial in trials_of(folder) if trial.state.name == "COMPLETE"][: len(finished)] == finished
