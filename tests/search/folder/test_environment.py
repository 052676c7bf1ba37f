"""Figures of two machines, or of two versions of a runtime, are never mixed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

import search
from hwprofiles import HardwareProfile, Machine, SshReach, detect_machine
from search.errors import RunFolderError, SearchError
from search.folder.environment import keep_environment, read_environment, require_target
from search.folder.run_folder import RunFolder

MACHINE = Machine(
    cpu="A", architecture="x86_64", flags=("avx2",), physical_cores=4, logical_cores=8, memory_bytes=1, os="Linux 1",
    python="3.11",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, profile: HardwareProfile) -> RunFolder:
    """A run that has trials, taken on `MACHINE` with runtime 1.0."""
    folder = RunFolder(tmp_path / "run")
    keep_environment(folder, profile, MACHINE, "runtime 1.0")
    folder.study_path.touch()
    return folder


def test_it_says_what_measured(folder: RunFolder) -> None:
    found = read_environment(folder)
    assert (found["hardware_id"], found["device"]) == (MACHINE.hardware_id, "A, 1 thread")
    assert found["runtime"] == "runtime 1.0, CPUExecutionProvider"
    assert {"paretune", "onnxruntime", "optuna"} <= set(found["versions"])


def test_the_same_machine_goes_on_whatever_else_has_changed_on_it(folder: RunFolder, profile: HardwareProfile) -> None:
    keep_environment(folder, profile, dataclasses.replace(MACHINE, memory_bytes=2, os="Linux 2"), "runtime 1.0")
    assert read_environment(folder)["machine"]["os"] == "Linux 2"


@pytest.mark.parametrize(
    ("changes", "runtime", "said"),
    [
        ({"cpu": "B"}, "runtime 1.0", "measured on another machine: cpu was A, is B; .* use another --out here"),
        ({"logical_cores": 2}, "runtime 1.0", r"logical_cores was 8, is 2; .* other cores \(taskset, a container\)"),
        ({"flags": ("avx2", "fma")}, "runtime 1.0", r"flags was \['avx2'\], is \['avx2', 'fma'\]"),
        (
            {},
            "runtime 1.1",
            "another runtime: was 'runtime 1.0, CPU.*', is 'runtime 1.1, .* install that version again",
        ),
    ],
)
def test_another_machine_or_runtime_is_refused(
    folder: RunFolder, profile: HardwareProfile, changes: dict[str, object], runtime: str, said: str
) -> None:
    before = folder.environment_path.read_bytes()
    with pytest.raises(RunFolderError, match=said):
        keep_environment(folder, profile, dataclasses.replace(MACHINE, **changes), runtime)  # type: ignore[arg-type]
    assert folder.environment_path.read_bytes() == before


def test_a_remote_target_is_named_as_one_and_this_host_beside_it(tmp_path: Path, profile: HardwareProfile) -> None:
    remote = profile.model_copy(update={"name": "pi", "reach": SshReach(host="pi.example")})
    folder = RunFolder(tmp_path / "run")
    keep_environment(folder, remote, MACHINE, "runtime 1.0")
    found = read_environment(folder)
    assert found["device"] == "A, 1 thread, over SSH"
    assert found["machine"]["cpu"] == "A"
    assert found["host"]["cpu"] == detect_machine().cpu
    folder.study_path.touch()
    with pytest.raises(RunFolderError, match="let the profile 'pi' reach the former one, or use another --out"):
        keep_environment(folder, remote, dataclasses.replace(MACHINE, cpu="B"), "runtime 1.0")


def test_what_runs_on_a_gpu_is_named_by_the_gpu(tmp_path: Path, profile: HardwareProfile) -> None:
    gpu = HardwareProfile.model_validate({**profile.model_dump(), "engine": {"name": "tensorrt"}})
    machine = dataclasses.replace(MACHINE, accelerator="NVIDIA L4, driver 580.1")
    keep_environment(RunFolder(tmp_path / "run"), gpu, machine, "tensorrt 11.1")
    assert read_environment(RunFolder(tmp_path / "run"))["device"] == "NVIDIA L4, driver 580.1"


def test_a_run_without_a_trial_may_move(folder: RunFolder, profile: HardwareProfile) -> None:
    folder.study_path.unlink()
    keep_environment(folder, profile, dataclasses.replace(MACHINE, cpu="B"), "runtime 2")
    assert read_environment(folder)["device"] == "B, 1 thread"


def test_a_search_on_another_machine_leaves_the_run_as_it_was(
    quick: None, run_copy: Path, workload: Path, profile: HardwareProfile, contents: Callable[[Path], dict[str, str]]
) -> None:
    path = run_copy / "environment.json"
    document = json.loads(path.read_text())
    document["hardware_id"] = "0" * 12
    path.write_text(json.dumps(document))
    sessions = RunFolder(run_copy).read_config()["sessions"]
    before = contents(run_copy)
    with pytest.raises(RunFolderError, match="measured on another machine: hardware id was 000000000000"):
        search.run(workload, profile, out=run_copy, trials=50)
    after = contents(run_copy)
    assert {name for name in before | after if before.get(name) != after.get(name)} <= {
        "timings.json",
        "run.toml",  # the workload's file lies elsewhere now
    }
    assert RunFolder(run_copy).read_config()["sessions"] == sessions


def test_another_machine_than_the_profile_describes_is_refused(profile: HardwareProfile) -> None:
    require_target(profile.model_copy(update={"requires": ("x86_64", "avx2")}), MACHINE)
    board = profile.model_copy(update={"requires": ("aarch64", "avx2")})
    with pytest.raises(SearchError, match=r"is for a machine with aarch64, avx2; A \(x86_64\) lacks aarch64: .*--host"):
        require_target(board, MACHINE)
