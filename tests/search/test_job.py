"""A whole search: what the run's folder holds, what a second call adds, what a third continues."""

from __future__ import annotations

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest

import search
from compress.candidate import Candidate
from compress.errors import CompressionError
from hwprofiles import HardwareProfile
from search import RunResult, SearchError
from search.folder.run_folder import RunFolder
from search.point import ALL_8_BIT_LABEL, COLUMNS, FP32_LABEL
from search.progress import Progress
from search.space.space import summarize
from search.trial.evaluate import Evaluator

TRIALS = 7


def study_of(folder: Path) -> optuna.Study:
    return optuna.load_study(study_name=None, storage=f"sqlite:///{folder / 'study.db'}")


def test_the_folder_holds_all_that_the_design_promises(finished: RunResult) -> None:
    names = {path.name for path in finished.folder.iterdir() if not path.name.startswith(".")}
    assert names >= {
        "run.toml", "environment.json", "network.onnx", "calibration.npz", "study.db", "measurements.jsonl",
        "trials.csv", "pareto.csv", "pareto.html", "pareto.png", "timings.json", "confirmations.json", "candidates",
    }  # fmt: skip
    assert tomllib.loads((finished.folder / "run.toml").read_text())["format_version"] == 1
    for name, version in (("environment.json", 1), ("timings.json", 1), ("confirmations.json", 3)):
        assert json.loads((finished.folder / name).read_text())["format_version"] == version
    assert not list(finished.folder.rglob("*.partial"))


def test_both_tables_have_the_columns_of_a_point(finished: RunResult) -> None:
    for name in ("trials.csv", "pareto.csv"):
        assert tuple(pd.read_csv(finished.folder / name).columns) == COLUMNS
    assert len(pd.read_csv(finished.folder / "trials.csv")) == TRIALS
    assert pd.read_csv(finished.folder / "pareto.csv")["confirmed"].all()


def test_any_optuna_tool_reads_the_study(finished: RunResult) -> None:
    study = study_of(finished.folder)
    assert [direction.name for direction in study.directions] == ["MINIMIZE", "MAXIMIZE"]
    assert study.metric_names == ["latency_ms", "metric"]
    complete = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    assert len(complete) == TRIALS
    assert all(len(trial.values) == 2 and trial.values[0] > 0 for trial in complete)


def test_fp32_and_all_8_bit_come_first(finished: RunResult) -> None:
    assert [point.label for point in finished.points[:2]] == [FP32_LABEL, ALL_8_BIT_LABEL]
    assert [point.number for point in finished.points[:2]] == [0, 1]


def test_no_candidate_is_evaluated_twice(finished: RunResult) -> None:
    digests = [point.digest for point in finished.points]
    assert len(set(digests)) == len(digests) == TRIALS


def test_a_latency_is_the_ratio_times_the_runs_reference(finished: RunResult) -> None:
    for point in finished.points:
        assert point.latency_ms == pytest.approx(point.latency_ratio * finished.facts.fp32_latency_ms)


def test_the_front_is_confirmed_and_lies_there_as_bundles(finished: RunResult) -> None:
    assert finished.is_confirmed
    for point in finished.front:
        folder = finished.folder / "candidates" / point.digest
        assert {path.name for path in folder.iterdir()} == {"model.onnx", "policy.json", "manifest.json"}
        assert hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest() == point.digest
        manifest = json.loads((folder / "manifest.json").read_text())
        assert manifest["digest"] == point.digest
        assert manifest["confirmed"]["latency_ratio"] == point.latency_ratio
    assert {path.name for path in (finished.folder / "candidates").iterdir()} == {p.digest for p in finished.front}


def test_the_confirmation_uses_samples_that_the_search_never_saw(finished: RunResult) -> None:
    assert finished.facts.samples_search == finished.facts.samples_confirmation == 16
    some = next(point for point in finished.points if point.confirmed and point.label != FP32_LABEL)
    assert some.search_metric_drop != some.metric_drop


def test_timings_account_for_every_second(finished: RunResult) -> None:
    seconds = json.loads((finished.folder / "timings.json").read_text())["seconds"]
    assert {"export", "calibration", "latency inference", "accuracy inference", "storage", "report"} <= set(seconds)
    assert all(value >= 0 for value in seconds.values())


def test_the_same_call_again_adds_nothing_and_starts_no_worker(
    run_copy: Path, workload: Path, profile: HardwareProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a worker was started for nothing")

    monkeypatch.setattr("latency.transports.local.LocalTransport.start", refuse)
    kept = ("measurements.jsonl", "confirmations.json", "trials.csv", "pareto.csv")
    before = [(run_copy / name).read_bytes() for name in kept]
    trials = len(study_of(run_copy).trials)
    search.run(workload, profile, out=run_copy, trials=TRIALS, sampler="random")
    assert [(run_copy / name).read_bytes() for name in kept] == before
    assert len(study_of(run_copy).trials) == trials


def test_more_trials_continue_the_run(quick: None, run_copy: Path, workload: Path, profile: HardwareProfile) -> None:
    steps: list[Progress] = []
    before = (run_copy / "measurements.jsonl").read_bytes()
    result = search.run(workload, profile, out=run_copy, trials=TRIALS + 2, sampler="random", listener=steps.append)
    assert len(result.points) == TRIALS + 2
    assert (run_copy / "measurements.jsonl").read_bytes().startswith(before)
    assert [step.done for step in steps if step.stage == "search"] == [TRIALS + 1, TRIALS + 2]
    assert result.is_confirmed


def test_a_corrected_workload_may_use_the_folder_of_one_that_never_came_to_a_trial(
    quick: None, tmp_path: Path, workload: Path, profile: HardwareProfile
) -> None:
    good = workload.read_text()
    workload.write_text(good.replace(".mean(axis=1)", ".mean(axis=1) * np.nan"))
    with pytest.raises(ValueError, match="finite"):
        search.run(workload, profile, out=tmp_path / "run", trials=1, sampler="random")
    workload.write_text(good)
    assert len(search.run(workload, profile, out=tmp_path / "run", trials=1, sampler="random").points) == 1


def test_trials_that_fail_one_after_another_end_the_search_and_what_there_is_is_confirmed(
    quick: None, tmp_path: Path, workload: Path, profile: HardwareProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Evaluator.evaluate

    def compressed_fails(self: Evaluator, candidate: Candidate, *arguments: Any, **options: Any) -> Any:
        if len(set(candidate.policy.layers.values())) > 1 or summarize(candidate.policy) != "FP32":
            raise CompressionError("kernel refused")
        return real(self, candidate, *arguments, **options)

    monkeypatch.setattr(Evaluator, "evaluate", compressed_fails)
    monkeypatch.setattr("search.loop._FAILURES_IN_A_ROW", 2)
    with pytest.raises(
        SearchError, match=r"2 trials failed one after another; .* is confirmed and reported in '.*run'"
    ):
        search.run(workload, profile, out=tmp_path / "run", trials=20, sampler="random")
    result = search.read_result(tmp_path / "run")
    assert [point.state for point in result.points] == ["complete", "failed", "failed"]
    assert result.is_confirmed
    assert result.page_path.is_file()


def test_every_session_is_recorded_with_what_was_asked_of_it(
    quick: None, run_copy: Path, workload: Path, profile: HardwareProfile
) -> None:
    search.run(workload, profile, out=run_copy, trials=TRIALS + 1, time_s=600.0, sampler="nsga2", seed=3)
    first, second = tomllib.loads((run_copy / "run.toml").read_text())["sessions"]
    assert (first["sampler"], first["seed"], first["trials"]) == ("random", 0, TRIALS)
    assert {**second, "started_at": ""} == {
        "started_at": "", "sampler": "nsga2", "seed": 3, "trials": TRIALS + 1, "time_s": 600.0,
    }  # fmt: skip
    assert second["started_at"] > first["started_at"]


def test_a_run_is_kept_under_its_workload_and_target_unless_told_otherwise(
    quick: None, tmp_path: Path, workload: Path, profile: HardwareProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for target in (profile, profile.model_copy(update={"name": "another"})):
        assert search.run(workload, target, time_s=1e-3).folder == Path("results") / f"tiny-{target.name}"


def test_no_time_left_still_gives_fp32(quick: None, tmp_path: Path, workload: Path, profile: HardwareProfile) -> None:
    result = search.run(workload, profile, out=tmp_path / "run", time_s=1e-3)
    assert [point.label for point in result.points] == [FP32_LABEL]
    assert result.is_confirmed
    assert [session["sampler"] for session in RunFolder(result.folder).read_config()["sessions"]] == ["frontier"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sampler": "grid"}, "no sampler called 'grid'; choose one of frontier, tpe"),
        ({"trials": 0}, "trials must be at least 1, got 0"),
        ({"time_s": 0.0}, "time_s must be above 0 seconds, got 0"),
        ({"time_s": float("nan")}, "time_s must be above 0 seconds, got nan"),
        ({"target_samples": 0}, "target_samples must be a number above 0 or 'all', got 0"),
        ({"target_samples": "most"}, "target_samples must be a number above 0 or 'all', got 'most'"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_touched(
    tmp_path: Path, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(SearchError, match=message):
        search.run("no-such-workload", out=tmp_path / "run", **arguments)
    assert not (tmp_path / "run").exists()
