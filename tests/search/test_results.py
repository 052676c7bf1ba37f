"""A run is read back from its folder at any time."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from search import RunResult, read_result
from search.candidates import write_candidates
from search.errors import NoResultYetError
from search.results import write_results
from search.run_folder import RunFolder


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
    write_candidates(folder, None, {}, result)  # type: ignore[arg-type]  # needs no compressor for no candidates
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
    write_candidates(folder, None, {}, finished)  # type: ignore[arg-type]  # all of the front is there already
    kept = {path.name for path in folder.candidates_path.iterdir()}
    assert kept == {*names, left[1].digest, "my-favourite"}


def test_a_run_without_figures_of_fp32_is_named(run_copy: Path) -> None:
    (run_copy / "study.db").unlink()
    with pytest.raises(NoResultYetError, match="has no figures of FP32 yet; run its search command again"):
        read_result(run_copy)
    with RunFolder(run_copy).locked(), pytest.raises(NoResultYetError, match="a search is working in it: look again"):
        read_result(run_copy)
    from search.study import open_study

    with open_study(run_copy / "study.db", "random", 0):
        pass
    with pytest.raises(NoResultYetError, match="has no figures of FP32 yet"):
        read_result(run_copy)
