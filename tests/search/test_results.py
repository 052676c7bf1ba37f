"""A run is read back from its folder at any time."""

from __future__ import annotations

from pathlib import Path

import pytest

from search import RunFolderError, RunResult, read_result
from search.candidates import write_candidates
from search.point import from_csv
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
    numbers = [point.number for point in from_csv(finished.folder / "trials.csv")]
    assert numbers == [point.number for point in finished.points]
    assert [p.digest for p in from_csv(finished.folder / "pareto.csv")] == [p.digest for p in finished.front]


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
    assert from_csv(run_copy / "pareto.csv") == []


def test_a_run_without_figures_of_fp32_is_named(run_copy: Path) -> None:
    (run_copy / "study.db").unlink()
    with pytest.raises(RunFolderError, match="no study at"):
        read_result(run_copy)
    from search.study import open_study

    with open_study(run_copy / "study.db", "random", 0):
        pass
    with pytest.raises(RunFolderError, match="has no figures of FP32 yet; run its search command again"):
        read_result(run_copy)
