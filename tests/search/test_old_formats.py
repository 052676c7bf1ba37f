"""What earlier versions of paretune have written can still be read."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution

from search import read_result
from search.confirmation.confirm import read_confirmations
from search.errors import RunFolderError
from search.folder.environment import read_environment
from search.folder.run_folder import RunFolder
from search.folder.timings import read_seconds
from search.point import FP32_LABEL
from search.report.figure import front_png
from search.report.page import page_text
from search.space.space import Knob, SearchSpace
from search.study.space_record import SPACE, adopt_space
from search.study.study import load_study, open_study

V1 = Path(__file__).parents[1] / "data" / "run-v1"


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """A run of format version 1, its study told to Optuna again: the database's own format is Optuna's."""
    folder = RunFolder(shutil.copytree(V1, tmp_path / "run"))
    stored = json.loads((V1 / "study.json").read_text())
    with open_study(folder.study_path, "random", 0) as study:
        for name, value in stored["user_attrs"].items():
            study.set_user_attr(name, value)
        for trial in stored["trials"]:
            study.add_trial(
                optuna.create_trial(
                    state=optuna.trial.TrialState[trial["state"]],
                    values=trial["values"],
                    params=trial["params"],
                    distributions={name: CategoricalDistribution(each) for name, each in trial["choices"].items()},
                    user_attrs=trial["user_attrs"],
                )
            )
    return folder


def test_every_file_of_a_run(folder: RunFolder) -> None:
    assert folder.read_config()["workload"]["name"] == "tiny"
    assert read_environment(folder)["runtime"] == "onnxruntime 1.32.0, CPUExecutionProvider"
    assert read_seconds(folder)["building"] == 0.118
    assert {confirmation.grade for confirmation in read_confirmations(folder).values()} == {"contended"}


def test_the_study(folder: RunFolder) -> None:
    result = read_result(folder.path)
    assert [point.label for point in result.points] == [FP32_LABEL, "all 8-bit", "all 8-bit, rank 0.75", "", ""]
    assert result.is_confirmed
    assert all(point.confirmed for point in result.points)
    fp32 = result.points[0]
    assert (fp32.search_latency_ratio, fp32.latency_ratio) == (0.9920040698190515, 1.0018056875550243)


def test_confirmations_from_before_the_target_was_asked_have_no_figure_of_it(folder: RunFolder) -> None:
    result = read_result(folder.path)
    assert all(point.target_samples is None and point.target_differs is None for point in result.points)
    assert all(math.isnan(point.target_metric) and not point.is_emulated for point in result.points)
    assert result.facts.target_is_host
    front_png(result.points, result.facts)
    assert "On the target" not in page_text(result.points, result.facts).split("<script>")[0]


def test_a_study_from_before_the_space_was_recorded_is_known_by_its_trials(folder: RunFolder) -> None:
    stored = json.loads((V1 / "study.json").read_text())
    choices = stored["trials"][0]["choices"]
    knobs = tuple(Knob(name=n, layers=(n.partition("/")[2],), choices=tuple(each)) for n, each in choices.items())
    space = SearchSpace(layers=tuple(stored["user_attrs"]["layers"]), knobs=knobs)
    with load_study(folder.study_path) as study:
        adopt_space(study, space, folder.path)
        assert list(study.user_attrs[SPACE]["knobs"]) == list(choices)
        with pytest.raises(RunFolderError, match="the knob 'bits/conv1' is gone"):
            adopt_space(study, SearchSpace(layers=space.layers, knobs=()), folder.path)


def test_the_first_numbers_of_bits_are_read_as_formats(folder: RunFolder) -> None:
    points = read_result(folder.path).points
    assert [points[number].layers["conv1"]["bits"] for number in (0, 1)] == [32, 8]


def test_the_session_that_run_toml_named_becomes_the_first_of_the_list(folder: RunFolder) -> None:
    folder.begin_session({"started_at": "2027-01-01T00:00:00+00:00", "sampler": "tpe", "seed": 1, "trials": 9})
    assert folder.read_config()["sessions"] == [
        {"started_at": "2026-11-24T02:33:39+00:00", "sampler": "random", "seed": 0},
        {"started_at": "2027-01-01T00:00:00+00:00", "sampler": "tpe", "seed": 1, "trials": 9},
    ]
