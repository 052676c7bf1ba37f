"""A whole search that recovers its front: real trainings, real measurements."""

from __future__ import annotations

import hashlib
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from compress.recovery.recovered_weights import RecoveredWeights
from deploy.export import write_bundle_files
from deploy.manifest import Manifest, read_manifest
from deploy.promises import Budgets
from deploy.reapply import apply_recovered, read_fp32, read_recipe_calibration
from deploy.remeasure import Remeasured
from hwprofiles import detect_machine
from search import RunResult, read_result
from search.account.selection import select
from search.choosing.named_point import find_confirmed
from search.errors import SearchError
from search.export import exportable
from search.folder.run_folder import RunFolder
from search.progress import Progress
from search.recovery.ladder import TO_RECOVER
from search.recovery.recoveries import Recovery, read_recoveries, write_recoveries
from search.recovery.remake import weights_path
from search.study.study import load_study
from workloads import WorkloadError

from .conftest import Finished, write_learner

Contents = Callable[[Path], dict[str, str]]


def recovered_of(result: RunResult) -> list[Any]:
    return [point for point in result.points if point.recovered_from]


def successes(folder: Path) -> list[Recovery]:
    """All rounds that came to something; how many there are follows from what was measured."""
    return [recovery for recovery in read_recoveries(RunFolder(folder)) if recovery.outcome is not None]


def steps_of(steps: Any) -> list[int]:
    return [step.done for step in steps if step.stage == "recovery" and step.detail and step.done]


def steps_taken(recovery: Recovery) -> tuple[int, int]:
    """Epochs and steps."""
    assert recovery.lineage is not None
    return recovery.lineage.epochs, recovery.lineage.steps


def test_what_compression_cost_is_won_back(recovered: Finished) -> None:
    before = {point.digest: point for point in recovered.result.points}
    won = [before[point.recovered_from].metric_drop - point.metric_drop for point in recovered_of(recovered.result)]
    assert max(won) > 0.1, "some candidate lost more than that to compression"
    assert any(point.recovered_from for point in recovered.result.front)
    assert all(point.confirmed for point in recovered.result.front)
    assert select(recovered.result.points).before


def test_what_a_search_alone_gives_up_is_tried_in_full_and_recovered(recovered: Finished) -> None:
    wanted = [point for point in recovered.result.points if point.label == TO_RECOVER]
    assert wanted
    assert all(point.state == "complete" and not point.recovered_from for point in wanted)
    assert {point.digest for point in wanted} & {point.recovered_from for point in recovered_of(recovered.result)}


def test_recovered_candidates_are_no_trials(recovered: Finished) -> None:
    """Every sampler learns from all trials of a study."""
    with load_study(recovered.result.folder / "study.db") as study:
        trials = study.get_trials(deepcopy=False)
    digests = {trial.user_attrs["outcome"]["digest"] for trial in trials if "outcome" in trial.user_attrs}
    assert not digests & {point.digest for point in recovered_of(recovered.result)}
    assert {point.recovered_from for point in recovered_of(recovered.result)} <= digests


def test_what_is_left_behind(recovered: Finished) -> None:
    folder = recovered.result.folder
    points = recovered_of(recovered.result)
    rounds = {recovery.outcome.digest for recovery in successes(folder) if recovery.outcome is not None}
    assert {path.name for path in (folder / "recovered").iterdir()} == {f"{digest}.safetensors" for digest in rounds}
    assert {point.digest for point in points} <= rounds
    table = pd.read_csv(folder / "trials.csv").dropna(subset=["recovered_from"])
    assert list(table["digest"]) == [point.digest for point in points]
    assert all(re.search(r"(20 epochs, seed 0|[468]0 epochs, seed [123])", text) for text in table["recovery"])
    assert "recovered_from" in pd.read_csv(folder / "pareto.csv").columns
    sessions = recovered.result.folder.joinpath("run.toml").read_text()
    assert 'recover = "front"' in sessions
    assert not (folder / "recovering.json").exists()
    for point in recovered.result.front:
        assert hashlib.sha256((folder / "candidates" / point.digest / "model.onnx").read_bytes()).hexdigest() == (
            point.digest
        )


def test_the_way_there_is_told(recovered: Finished) -> None:
    told = [step for step in recovered.steps if step.stage == "recovery"]
    assert told[0].note == "recovering what compression cost, from 128 samples of training(), with targets"
    assert told[-1].done == told[-1].total
    assert any("loss" in step.detail and "top1" in step.detail and step.remaining_s is not None for step in told)
    assert sum("r: drop" in step.note for step in told) == len(successes(recovered.result.folder))
    stages = [step.stage for step in recovered.steps]
    assert stages.index("search") < stages.index("recovery") < stages.index("confirmation")


def test_what_is_done_is_not_done_again(recovered: Finished, tmp_path: Path, contents: Contents) -> None:
    folder = recovered.copy(tmp_path / "run")
    before = contents(folder.path / "recovered")
    steps: list[Progress] = []
    result = recovered.again(folder.path, steps.append)
    assert not [step for step in steps if step.stage in ("search", "recovery", "confirmation")]
    assert contents(folder.path / "recovered") == before
    assert result.points == recovered.result.points


def test_an_interrupted_training_goes_on_where_it_was(recovered: Finished, tmp_path: Path) -> None:
    folder = recovered.copy(tmp_path / "run", without=1)
    kept = read_recoveries(folder)
    seen: list[int] = []

    def stop(step: Progress) -> None:
        if step.stage == "recovery" and step.detail:
            seen.append(step.done)
            if step.done == 20:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recovered.again(folder.path, stop)
    assert [done for done in seen if done] == list(range(1, 21)), "what comes before the first step is none"
    assert read_recoveries(folder) == kept
    assert [path.name for path in folder.recovered_path.glob("*.checkpoint.safetensors")]
    assert not folder.recovery_progress_path.exists()
    steps: list[Progress] = []
    result = recovered.again(folder.path, steps.append)
    assert steps_of(steps)[0] == 21
    assert {point.name for point in recovered_of(result)} == {point.name for point in recovered_of(recovered.result)}
    never_interrupted = {steps_taken(recovery) for recovery in kept}
    assert never_interrupted == {steps_taken(recovery) for recovery in read_recoveries(folder)} == {(20, 160)}
    assert not list(folder.recovered_path.glob("*.checkpoint.safetensors"))


def test_what_still_loses_something_gets_another_round_from_where_it_stands(
    recovered: Finished, tmp_path: Path
) -> None:
    folder = recovered.copy(tmp_path / "run")
    recoveries = read_recoveries(folder)
    costs = [math.inf if each.outcome is None else each.outcome.cost_ratio for each in recoveries]
    cheapest = recoveries[costs.index(min(costs))].recovered_from
    last, *later = [each for each in recoveries if each.recovered_from == cheapest]
    assert last.outcome is not None
    drop, fp32 = 0.08, last.outcome.metric + last.outcome.metric_drop  # as if so much had been left
    outcome = replace(last.outcome, metric_drop=drop, metric_drop_high=2 * drop, metric=fp32 - drop)
    write_recoveries(
        folder,
        [replace(last, outcome=outcome) if each == last else each for each in recoveries if each not in later],
    )
    recovered.again(folder.path)
    more = [each for each in read_recoveries(folder) if each.recovered_from == last.recovered_from][1:]
    assert more
    stood = RecoveredWeights.load(weights_path(folder, last.outcome.digest))
    assert more[0].lineage is not None
    assert more[0].lineage.started_from == stood.digest
    assert (more[0].epochs, more[0].lineage.epochs, more[0].lineage.seed) == (40, 20, 1)
    assert more[0].outcome is not None
    point = next(each for each in recovered_of(read_result(folder.path)) if each.recovered_from == last.recovered_from)
    assert point.metric_drop < drop
    assert "40 epochs" in point.recovery


def test_without_time_it_is_left_for_another_day(recovered: Finished, tmp_path: Path) -> None:
    folder = recovered.copy(tmp_path / "run", without=1)
    steps: list[Progress] = []
    result = recovered.again(folder.path, steps.append, recover_time_s=1e-9)
    assert steps_of(steps) == []
    assert any("no time is left to recover #" in step.note for step in steps)
    assert len(recovered_of(result)) == len(recovered_of(recovered.result)) - 1


def test_an_exported_recovered_point_has_its_lineage_and_is_made_again(recovered: Finished, tmp_path: Path) -> None:
    folder = recovered.copy(tmp_path / "run")
    shutil.rmtree(folder.candidates_path)
    point = next(p for p in recovered.result.front if p.recovered_from)
    assert find_confirmed(recovered.result.points, point.name) == point
    assert find_confirmed(recovered.result.points, point.digest[:8]) == point
    found = exportable(folder.path, point.name.removeprefix("#"), with_calibration=True)
    assert hashlib.sha256(found.onnx_bytes).hexdigest() == point.digest
    assert found.title == point.name
    again = Remeasured(passes=found.passes, machine=detect_machine(), runtime="", overhead_s=0.0, inference_s=0.0)
    exported = write_bundle_files(found, again, tmp_path / "bundle", {}, budgets=Budgets())
    manifest = read_manifest((exported.folder / "manifest.json").read_bytes())
    assert isinstance(manifest, Manifest)
    recovery = manifest.recovery
    assert recovery is not None
    assert recovery.recovered_from == point.recovered_from
    assert (recovery.epochs, recovery.seed) == (20, 0)
    assert "After compression the weights were recovered" in (exported.folder / "MODEL_CARD.md").read_text()
    recipe = manifest.recipe
    network = read_fp32((exported.folder / "fp32.onnx").read_bytes(), recipe)
    calibration = read_recipe_calibration(exported.folder / "calibration.npz", recipe)
    made = apply_recovered(exported.folder / "recovered.safetensors", found.policy, recipe, network, calibration)
    assert made.digest == point.digest


def test_lost_weights_are_named(recovered: Finished, tmp_path: Path) -> None:
    folder = recovered.copy(tmp_path / "run")
    shutil.rmtree(folder.candidates_path)
    point = next(p for p in recovered.result.front if p.recovered_from)
    (folder.recovered_path / f"{point.digest}.safetensors").unlink()
    with pytest.raises(SearchError, match=f"{point.name} needs its recovered weights, and there is no .*restore the"):
        exportable(folder.path, point.digest)
    assert read_result(folder.path).points == recovered.result.points, "the run can be looked at all the same"


def test_data_that_cannot_be_learned_from_are_told_of_before_the_search(recovered: Finished, tmp_path: Path) -> None:
    source = recovered.workload.read_text().replace("def training():", "def training():\n    1 / 0")
    broken = Finished(workload=write_learner(tmp_path / "user", source), result=recovered.result, steps=())
    steps: list[Progress] = []
    with pytest.raises(WorkloadError, match=r"training\(\) failed at .*ZeroDivisionError"):
        broken.again(tmp_path / "run", steps.append)
    assert not [step for step in steps if step.stage in ("baseline", "search")]
