"""Whole runs whose study lies on a server: one more worker, its death, and going on from the study alone."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

import search
from hwprofiles import HardwareProfile
from search.errors import SearchError, StorageError
from search.folder.run_folder import RunFolder
from search.results import read_result
from search.study.liveness import WORKER
from search.study.study import load_run_study
from search.study.trials import count_finished, is_unfinished
from search.worker import work

Start = Callable[..., "subprocess.Popen[str]"]
Call = Callable[..., "subprocess.CompletedProcess[str]"]
TRIALS = 20


def trials_of(folder: Path) -> list[optuna.trial.FrozenTrial]:
    with load_run_study(RunFolder(folder)) as study:
        return study.trials


def await_run(folder: Path) -> None:
    """Return once there is a run that a worker can join."""
    deadline = time.monotonic() + 200
    while not (RunFolder(folder).exists and RunFolder(folder).is_owned):
        assert time.monotonic() < deadline, "no run began"
        time.sleep(0.05)


def await_trial_of(folder: Path, pid: int) -> int:
    """The number of a trial that the process is at, with all its parameters: one that has fewer is not tried again."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        if RunFolder(folder).exists:
            try:
                trials = trials_of(folder)
            except search.SearchError:  # its study has not begun
                trials = []
            for trial in trials:
                is_at = trial.state.name == "RUNNING" and trial.user_attrs.get(WORKER, {}).get("pid") == pid
                if is_at and trial.params.keys() == trials[0].params.keys():  # FP32's is begun whole
                    return trial.number
        time.sleep(0.05)
    pytest.fail(f"process {pid} never was at a trial")


def test_a_worker_is_killed_and_its_trial_is_tried_again(start: Start, postgres: Any, workload: Path) -> None:
    folder = workload.parent / "run"
    owner = start(
        "search", workload, "--trials", TRIALS, "--sampler", "random", "--storage", postgres.url, "--out", folder
    )
    await_run(folder)
    worker = start("worker", folder)  # in time: both prepare side by side
    number = await_trial_of(folder, worker.pid)
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    _, errors = owner.communicate(timeout=240)
    assert (owner.returncode, errors) == (0, "")
    trials = trials_of(folder)
    killed = trials[number]
    again = [t.number for t in trials if t.params == killed.params and t.number != number]
    if killed.state.name == "COMPLETE":  # it had written its figures already
        assert not again
    else:
        assert is_unfinished(killed)
        assert [trials[other].state.name for other in again].count("COMPLETE") == 1
    assert count_finished(trials) == TRIALS
    result = read_result(folder)
    assert len({point.digest for point in result.points}) == len(result.points) == TRIALS
    assert result.is_confirmed
    assert not folder.joinpath("study.db").exists()
    (own,) = (folder / "workers").iterdir()
    digests = {point.digest for point in result.points}
    log = own / "measurements.jsonl"
    lines = log.read_text().splitlines() if log.exists() else []
    measured = [json.loads(line)["key"]["model_digest"] for line in lines]
    assert set(measured) <= digests


def test_a_run_goes_on_from_its_study_alone(
    quick: None, postgres: Any, workload: Path, tmp_path: Path, profile: HardwareProfile
) -> None:
    first = search.run(workload, profile, out=tmp_path / "a", trials=3, sampler="random", storage=postgres.url)
    notes: list[str] = []
    again = search.run(
        workload, profile, out=tmp_path / "b", trials=5, sampler="random", storage=postgres.url,
        listener=lambda step: notes.append(step.note),
    )  # fmt: skip
    assert [point.digest for point in again.points[:3]] == [point.digest for point in first.points]
    assert len(again.points) == 5
    assert again.is_confirmed
    assert any(note.startswith("going on with the study 'tiny-local-cpu-") for note in notes)
    assert read_result(tmp_path / "a").points[4].digest == again.points[4].digest  # one study, two folders

    name = RunFolder(tmp_path / "a").read_config()["storage"]["study"]
    other = profile.model_copy(update={"engine": profile.engine.model_copy(update={"batch_size": 2})})
    with pytest.raises(StorageError, match=r"of another target: engine\.batch_size was 1, is 2; give the study's own"):
        search.run(workload, other, out=tmp_path / "c", trials=5, storage=postgres.url, study_name=name)
    workload.write_text(workload.read_text().replace("16, 1", "16, 9"))
    with pytest.raises(StorageError, match="is of another workload: 'tiny' changed"):
        search.run(workload, profile, out=tmp_path / "d", trials=5, storage=postgres.url, study_name=name)
    assert not (tmp_path / "c").joinpath("run.toml").exists()


def test_a_worker_joins_only_the_same_run(
    quick: None, run_copy: Path, workload: Path, tmp_path: Path, profile: HardwareProfile
) -> None:
    with pytest.raises(SearchError, match=r"no run in .* run\.toml is missing"):
        work(tmp_path / "none", profile)
    config = RunFolder(run_copy).read_config()
    assert Path(config["workload"]["origin"]).name == "tiny.py"
    changed = workload.parent.parent / "other" / "tiny.py"
    changed.parent.mkdir()
    for file in workload.parent.iterdir():
        (changed.parent / file.name).write_bytes(file.read_bytes())
    changed.write_text(changed.read_text().replace("16, 1", "16, 9"))
    from workloads import load

    with pytest.raises(SearchError, match="the workload 'tiny' here is not the one that the run in"):
        work(run_copy, profile, workload=load(changed))
    gpu = HardwareProfile.model_validate({**profile.model_dump(), "engine": {"name": "tensorrt"}})
    with pytest.raises(SearchError, match=r"the run's target has the engine name 'onnxruntime', .* has 'tensorrt'"):
        work(run_copy, gpu, workload=load(workload))


def test_a_worker_has_nothing_to_do_where_the_search_has_all_it_wants(
    quick: None, run_copy: Path, workload: Path, profile: HardwareProfile
) -> None:
    from workloads import load

    stint = work(run_copy, profile, workload=load(workload))
    assert stint.trials_run == 0
    assert stint.trials_finished == len(read_result(run_copy).points)


def test_a_device_of_another_kind_is_refused(
    quick: None, run_copy: Path, workload: Path, profile: HardwareProfile
) -> None:
    from search.study.aim import Aim
    from workloads import load

    path = run_copy / "environment.json"
    document = json.loads(path.read_text())
    document["hardware_id"] = "0" * 12
    path.write_text(json.dumps(document))
    with load_run_study(RunFolder(run_copy)) as study:
        Aim(trials=50, until=None).tell(study)
    with pytest.raises(SearchError, match="measured on another machine: hardware id was 000000000000"):
        work(run_copy, profile, workload=load(workload))


def test_a_worker_scores_the_samples_in_the_search_s_order(
    quick: None, run_copy: Path, workload: Path, profile: HardwareProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else no score of its would pair with theirs, and a prefix would be no fair sample."""
    from search import crew
    from search.study.aim import Aim
    from search.study.study import load_run_study
    from workloads import Metric, Samples, load

    orders: list[list[int]] = []
    real = crew.open_fidelity

    def watched(study: Any, samples: Samples) -> Any:
        orders.append(samples.indices.tolist())
        return real(study, samples)

    def reversed_order(samples: Samples, metric: Metric) -> Samples:  # so few samples are one chunk, in their own order
        return samples.pick([np.arange(len(samples))[::-1]])

    monkeypatch.setattr(crew, "open_fidelity", watched)
    monkeypatch.setattr("search.trial.workbench.in_fair_order", reversed_order)
    with load_run_study(RunFolder(run_copy)) as study:
        Aim(trials=None, until=None).tell(study)
    loaded = load(workload)
    stint = work(run_copy, profile, workload=loaded, trials=1)
    assert stint.trials_run == 1
    assert orders == [loaded.search_part.indices.tolist()[::-1]]
