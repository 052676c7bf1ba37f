"""A run is read back from its folder at any time."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from search import RunResult, read_result
from search.candidates import write_candidates
from search.errors import NoResultYetError, RunFolderError
from search.folder.run_folder import RunFolder
from search.results import write_results


def test_reading_gives_what_running_gave(finished: RunResult) -> None:
    again = read_result(finished.folder)
    assert again.points == finished.points
    assert again.front == finished.front
    assert again.facts.fp32_latency_ms == finished.facts.fp32_latency_ms
    assert again.facts.started_at == finished.facts.started_at
    assert again.facts.wall_seconds > 0


def test_the_facts_are_those_of_the_run(finished: RunResult) -> None:
    facts = finished.facts
    assert (facts.workload_name, facts.metric_name, facts.target_name) == ("tiny", "metric", "local-cpu")
    assert (facts.trials_finished, facts.trials_failed) == (len(finished.points), 0)
    assert facts.fp32_metric_search == pytest.approx(0, abs=1e-9)  # the targets are FP32's own outputs


def test_the_front_runs_from_slow_to_fast_and_is_confirmed(finished: RunResult) -> None:
    ratios = [point.latency_ratio for point in finished.front]
    assert ratios == sorted(ratios, reverse=True)
    assert all(point.confirmed for point in finished.front)


def test_the_tables_hold_the_points(finished: RunResult) -> None:
    assert list(pd.read_csv(finished.folder / "trials.csv")["number"]) == [point.number for point in finished.points]
    assert list(pd.read_csv(finished.folder / "pareto.csv")["digest"]) == [p.digest for p in finished.front]


def test_before_the_confirmation_nothing_can_be_shipped(run_copy: Path) -> None:
    folder = RunFolder(run_copy)
    folder.confirmations_path.unlink()
    result = read_result(run_copy)
    assert not result.is_confirmed
    assert result.front
    before = sorted((run_copy / "candidates").iterdir())
    write_candidates(folder, None, result)  # type: ignore[arg-type]  # makes nothing for no candidates
    assert sorted((run_copy / "candidates").iterdir()) == before
    write_results(folder, result)
    assert pd.read_csv(run_copy / "pareto.csv").empty


def test_points_that_left_the_front_lose_their_bundles_and_nobody_elses_files(
    run_copy: Path, finished: RunResult
) -> None:
    folder, names = RunFolder(run_copy), [point.digest for point in finished.front]
    left = [point for point in finished.points if point not in finished.front]
    first = folder.candidate_path(names[0])
    for name in [left[0].digest, left[1].digest, "my-favourite"]:
        shutil.copytree(first, folder.candidate_path(name))
    (folder.candidate_path(left[1].digest) / "notes.txt").touch()
    write_candidates(folder, None, finished)  # type: ignore[arg-type]  # all of the front is there already
    kept = {path.name for path in folder.candidates_path.iterdir()}
    assert kept == {*names, left[1].digest, "my-favourite"}


def test_the_engine_that_was_timed_goes_into_the_bundle_or_is_said_to_be_absent(
    run_copy: Path, finished: RunResult
) -> None:
    folder, point = RunFolder(run_copy), finished.front[0]
    bundle = folder.candidate_path(point.digest)
    candidate = candidate_of(run_copy, point.digest)
    one = dataclasses.replace(finished, front=(point,), points=(point,))
    arguments = folder, lambda _: candidate, one
    shutil.rmtree(bundle)
    write_candidates(*arguments, builds_engines=True)  # type: ignore[arg-type]
    absent = json.loads((bundle / "manifest.json").read_text())["engine"]
    assert absent["file"] is None
    assert "was not kept; build one of model.onnx on the target" in absent["absent"]

    folder.engines_path.mkdir()
    (folder.engines_path / f"{point.digest}.engine").write_bytes(b"plan")
    facts = {"runtime": "tensorrt 11.1", "accelerator": "NVIDIA L4, driver 580.1"}
    (folder.engines_path / f"{point.digest}.json").write_text(json.dumps(facts))
    write_candidates(*arguments, builds_engines=True)  # type: ignore[arg-type]
    assert (bundle / "engine.plan").read_bytes() == b"plan"
    assert json.loads((bundle / "manifest.json").read_text())["engine"] == {"file": "engine.plan", **facts}

    (folder.engines_path / f"{point.digest}.json").write_text("{")
    with pytest.raises(RunFolderError, match=rf"{point.digest}\.json' is damaged"):
        write_candidates(*arguments, builds_engines=True)  # type: ignore[arg-type]


def candidate_of(run: Path, digest: str) -> Any:
    """What the run's bundle was made of."""
    folder = run / "candidates" / digest
    policy_json = (folder / "policy.json").read_text()
    return SimpleNamespace(
        digest=digest,
        onnx_bytes=(folder / "model.onnx").read_bytes(),
        policy=SimpleNamespace(to_json=lambda: policy_json),
        session_entries={},
    )


def test_another_metric_on_the_target_is_in_the_bundle(run_copy: Path, finished: RunResult) -> None:
    folder, point = RunFolder(run_copy), finished.front[0]
    candidate = candidate_of(run_copy, point.digest)
    shutil.rmtree(folder.candidate_path(point.digest))
    changed = dataclasses.replace(
        point, target_metric=0.981, host_metric=0.99, target_differs=True, reason="layer 'a' runs in float"
    )
    result = dataclasses.replace(finished, front=(changed,), points=(changed,))
    write_candidates(folder, lambda _: candidate, result)
    manifest = json.loads((folder.candidate_path(point.digest) / "manifest.json").read_text())
    assert manifest["notes"] == [
        "on the target 0.9810, here 0.9900: differs beyond the interval",
        "layer 'a' runs in float",
    ]
    assert manifest["confirmed"]["target_metric"] == 0.981


def test_a_run_without_figures_of_fp32_is_named(run_copy: Path) -> None:
    (run_copy / "study.db").unlink()
    with pytest.raises(NoResultYetError, match="has no figures of FP32 yet; run its search command again"):
        read_result(run_copy)
    with RunFolder(run_copy).locked(), pytest.raises(NoResultYetError, match="a search is working in it: look again"):
        read_result(run_copy)
    from search.study.study import open_study

    with open_study(run_copy / "study.db", "random", 0):
        pass
    with pytest.raises(NoResultYetError, match="has no figures of FP32 yet"):
        read_result(run_copy)
