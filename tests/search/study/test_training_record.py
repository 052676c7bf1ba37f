"""Which kind of values a study has is decided once."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from search.errors import SearchError
from search.space.space import Knob, SearchSpace
from search.study.space_record import adopt_space
from search.study.training_record import TRAINED, adopt_training, require_training, trained_epochs

SPACE = SearchSpace(layers=("a",), knobs=(Knob(name="bits/a", layers=("a",), choices=("fp32", "int8")),))


def begun(epochs: int | None) -> optuna.Study:
    study = optuna.create_study(study_name="mine", directions=["minimize", "maximize"])
    adopt_training(study, epochs, "the run")
    adopt_space(study, SPACE, Path("run"))
    return study


@pytest.mark.parametrize("epochs", [None, 1, 3])
def test_a_run_is_gone_on_with_as_it_was_begun(epochs: int | None) -> None:
    study = begun(epochs)
    adopt_training(study, epochs, "the run")
    require_training(study, epochs, "the run")
    assert trained_epochs(study) == epochs


@pytest.mark.parametrize(
    ("first", "then", "said"),
    [
        (None, 1, r"the run was begun without --recover search: .* recover its front with --recover front, or use ano"),
        (1, None, r"the run was begun with --recover search: .*; give --recover search again, or use another --out"),
        (1, 2, r"the run trains every candidate for 1 epoch, got --recover-search-epochs 2; give 1 again, or use anot"),
    ],
)
def test_two_kinds_of_values_are_refused(first: int | None, then: int | None, said: str) -> None:
    study = begun(first)
    for adopt in (adopt_training, require_training):
        with pytest.raises(SearchError, match=said):
            adopt(study, then, "the run")
    assert trained_epochs(study) == first


def test_a_study_of_an_older_paretune_trains_nothing() -> None:
    study = optuna.create_study(directions=["minimize", "maximize"])
    study.add_trial(optuna.trial.create_trial(values=[1.0, 0.9]))
    with pytest.raises(SearchError, match="was begun without --recover search"):
        adopt_training(study, 1, "the run")


def test_a_run_that_was_killed_before_its_first_trial_may_begin_in_another_way() -> None:
    study = optuna.create_study(directions=["minimize", "maximize"])
    for epochs in (1, 2, None):
        adopt_training(study, epochs, "the run")
        assert trained_epochs(study) == epochs


def test_what_a_newer_paretune_recorded_is_not_guessed_at() -> None:
    study = optuna.create_study(study_name="mine")
    study.set_user_attr(TRAINED, {"format_version": 2})
    with pytest.raises(SearchError, match=r"the study 'mine' records trainings with format_version 2, .* upgrade"):
        trained_epochs(study)
