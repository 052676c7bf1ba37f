"""A whole search that trains its candidates: killed, interrupted, gone on with, exported."""

from __future__ import annotations

import hashlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch

import search
from deploy.reapply import apply_recovered, read_fp32, read_recipe_calibration
from hwprofiles import load_profile
from hwprofiles.catalog import write_profile
from search import RunResult
from search.errors import SearchError
from search.export import exportable
from search.folder.run_folder import RunFolder
from search.progress import Progress, silent
from search.recovery import trial_trainer
from search.report.page import page_text
from search.report.table import front_table
from search.results import read_account
from search.study.study import load_run_study
from search.study.training_record import TRAINED
from search.study.trials import NOT_TRAINED, OUTCOME, TRAINED_FROM
from search.worker import work

from .conftest import few_formats, write_learner

QUICK = Path(__file__).parents[1] / "quick_paretune.py"
ASKED: dict[str, Any] = {
    "trials": 4, "sampler": "tpe", "recover": "search", "recover_search_epochs": 2, "recover_epochs": 20,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A run that was killed in one training, interrupted in the next session, and then finished; only to be looked at.

    Attributes:
        interrupted_at: What the second session was told last.
        resumed: What the third one was told.
    """

    workload: Path
    target: Path
    result: RunResult
    interrupted_at: str
    resumed: tuple[Progress, ...]

    @property
    def trials(self) -> list[optuna.trial.FrozenTrial]:
        with load_run_study(RunFolder(self.result.folder)) as study:
            return study.get_trials()

    def again(self, out: Path, listener: Callable[[Progress], None] = silent, **changes: Any) -> RunResult:
        return search.run(self.workload, self.target, out=out, listener=listener, **{**ASKED, **changes})


@pytest.fixture(scope="module")
def trained(
    tmp_path_factory: pytest.TempPathFactory,
    shortened: Callable[[], AbstractContextManager[None]],
) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    workload, target, out = write_learner(folder / "user"), folder / "target.toml", folder / "run"
    write_profile(few_formats(), target)
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in ASKED.items()]
    command = [sys.executable, QUICK, "search", workload, "--target", target, "--out", out, *arguments]
    process = subprocess.Popen([*map(str, command)], cwd=folder, stdout=subprocess.DEVNULL)
    try:
        while not (out / "recovered").is_dir():  # the first training begins
            assert process.poll() is None
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()

    details: list[str] = []

    def stop(step: Progress) -> None:
        details.append(step.detail)
        if "epoch 2/" in step.detail:
            raise KeyboardInterrupt

    steps: list[Progress] = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with shortened(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(trial_trainer, "_TELL_EVERY_S", 0.0)
        with pytest.raises(KeyboardInterrupt):
            search.run(workload, target, out=out, listener=stop, **ASKED)
        result = search.run(workload, target, out=out, listener=steps.append, **ASKED)
    torch.set_num_threads(threads)
    return Trained(workload=workload, target=target, result=result, interrupted_at=details[-1], resumed=tuple(steps))


def trained_points(result: RunResult) -> list[Any]:
    return [point for point in result.points if point.trained_in_search]


def test_a_training_goes_on_where_it_was_left(trained: Trained) -> None:
    told = [step.detail for step in trained.resumed if step.stage == "search" and "epoch" in step.detail]
    assert trained.interrupted_at.startswith("training #")
    assert "epoch 2/2, loss" in told[0]
    assert "top1" in told[0]
    assert "epoch 2/2" in told[-1]
    epochs = [attributes["lineage"]["epochs"] for attributes in map(_training, trained.trials) if attributes]
    assert epochs
    assert {trial.state.name for trial in trained.trials} == {"COMPLETE", "FAIL"}, "what was killed and interrupted"
    assert sum(trial.state.name == "COMPLETE" for trial in trained.trials) == ASKED["trials"]


def _training(trial: optuna.trial.FrozenTrial) -> Any:
    return trial.user_attrs.get(TRAINED_FROM)


def test_every_value_that_a_sampler_sees_is_of_a_candidate_after_training(trained: Trained) -> None:
    """The study's sampler was Optuna's own, which reads the values of complete trials and nothing else."""
    complete = [trial for trial in trained.trials if trial.state.name == "COMPLETE"]
    won = 0
    for trial in complete:
        outcome, training = trial.user_attrs[OUTCOME], _training(trial)
        assert trial.values == [outcome["latency_ms"], outcome["metric"]]
        assert (training is None) == (NOT_TRAINED in trial.user_attrs), "what has no training says why"
        if training is not None:
            won += 1
            assert outcome["metric"] > training["outcome"]["metric"]
            assert outcome["digest"] != training["outcome"]["digest"]
            assert training["lineage"]["recovered_from"] == training["outcome"]["digest"]
    assert won
    assert all(trial.values is None for trial in trained.trials if trial.state.name != "COMPLETE")


def test_points_of_trained_trials_say_what_they_are(trained: Trained) -> None:
    points = trained_points(trained.result)
    assert {point.number for point in points} == {trial.number for trial in trained.trials if _training(trial)}
    for point in points:
        assert point.is_trial
        assert point.name == f"#{point.number}"
        assert "seed 0" in point.recovery
        assert (trained.result.folder / "recovered" / f"{point.digest}.safetensors").is_file()
    after = [point for point in trained.result.points if point.recovered_from and not point.trained_in_search]
    assert after, "the front got the full training"
    assert all(point.name == f"#{point.number}r" for point in after)
    kept = {path.name for path in (trained.result.folder / "recovered").iterdir()}
    assert kept == {f"{point.digest}.safetensors" for point in (*points, *after)}
    assert all(point.confirmed for point in trained.result.front)


def test_reports_say_which_kind_the_values_are(trained: Trained) -> None:
    result = trained.result
    account = read_account(result.folder)
    page = page_text(result.points, result.facts, account, run=result.folder)
    said = "trained in the search, for 2 epochs each"
    assert said in page
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        caption = str(front_table(result.points, result.facts, width=200).caption)
    assert said in caption


def test_what_is_done_is_not_done_again(trained: Trained, tmp_path: Path, contents: Any) -> None:
    out = Path(shutil.copytree(trained.result.folder, tmp_path / "run"))
    before = contents(out / "recovered")
    steps: list[Progress] = []
    result = trained.again(out, steps.append)
    assert not [step for step in steps if step.stage in ("search", "recovery", "confirmation")]
    assert contents(out / "recovered") == before
    assert result.points == trained.result.points


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"recover": "off"}, "was begun with --recover search: .* give --recover search again, or use another --out"),
        ({"recover": "front"}, "was begun with --recover search"),
        ({"recover_search_epochs": 1}, "trains every candidate for 2 epochs, got --recover-search-epochs 1"),
    ],
)
def test_a_run_is_not_gone_on_with_in_another_way(
    trained: Trained, tmp_path: Path, contents: Any, changes: dict[str, Any], said: str
) -> None:
    out = Path(shutil.copytree(trained.result.folder, tmp_path / "run"))
    before = contents(out / "recovered"), (out / "trials.csv").read_bytes()
    with pytest.raises(SearchError, match=said):
        trained.again(out, **{**changes, "trials": 9})
    assert (contents(out / "recovered"), (out / "trials.csv").read_bytes()) == before


def test_training_cannot_be_turned_on_in_a_run_that_began_without(trained: Trained, tmp_path: Path) -> None:
    folder = RunFolder(shutil.copytree(trained.result.folder, tmp_path / "run"))
    with load_run_study(folder) as study:
        study.set_user_attr(TRAINED, None)
    with pytest.raises(SearchError, match=r"was begun without --recover search: .* --recover front"):
        trained.again(folder.path, trials=9)


def test_no_worker_can_join(trained: Trained) -> None:
    with pytest.raises(SearchError, match=r"trains its candidates .* no worker can join it; .* --recover front"):
        work(trained.result.folder, load_profile(trained.target), workload=None)


def test_an_exported_point_has_its_lineage_and_is_made_again(trained: Trained, tmp_path: Path) -> None:
    folder = RunFolder(shutil.copytree(trained.result.folder, tmp_path / "run"))
    shutil.rmtree(folder.candidates_path)
    point = next(point for point in trained_points(trained.result) if point.confirmed)
    found = exportable(folder.path, str(point.number), with_calibration=True)
    assert found.title == point.name
    assert hashlib.sha256(found.onnx_bytes).hexdigest() == point.digest
    assert found.recovery is not None
    assert found.recovery.recovered_from == point.recovered_from
    assert found.recovered is not None
    assert found.calibration is not None
    for name, data in (("w", found.recovered), ("c", found.calibration)):
        (tmp_path / name).write_bytes(data)
    network = read_fp32(found.fp32, found.recipe)
    calibration = read_recipe_calibration(tmp_path / "c", found.recipe)
    made = apply_recovered(tmp_path / "w", found.policy, found.recipe, network, calibration)
    assert made.digest == point.digest
