"""Trials that are written as a whole read as Optuna's own do."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from sqlalchemy import event

from search.study.whole_trials import WholeTrialStorage

CHOICES = {f"bits/l{index}": CategoricalDistribution(("fp32", "int8", "int8-dynamic")) for index in range(40)}


def url(folder: Path) -> str:
    return f"sqlite:///{folder / 'study.db'}"


def waiting(choice: str = "int8") -> optuna.trial.FrozenTrial:
    params = dict.fromkeys(CHOICES, choice)
    return optuna.trial.create_trial(
        state=optuna.trial.TrialState.WAITING, params=params, distributions=dict(CHOICES), user_attrs={"who": "me"}
    )


def test_what_is_written_is_what_optuna_reads(tmp_path: Path) -> None:
    study = optuna.create_study(storage=WholeTrialStorage(url(tmp_path)), study_name="s")
    for choice in ("int8", "fp32"):
        study.add_trial(waiting(choice))
        trial = study.ask()
        assert {name: trial.suggest_categorical(name, d.choices) for name, d in CHOICES.items()} == trial.params
        trial.suggest_float("free", 0.0, 1.0)
        study.tell(trial, 1.0)
    theirs = optuna.load_study(study_name="s", storage=RDBStorage(url(tmp_path)))
    for ours, read, choice in zip(study.get_trials(), theirs.get_trials(), ("int8", "fp32"), strict=True):
        assert ours == read
        assert {name: read.params[name] for name in CHOICES} == dict.fromkeys(CHOICES, choice)
        assert read.distributions == {**CHOICES, "free": FloatDistribution(0.0, 1.0)}
        assert read.user_attrs == {"who": "me"}


def test_a_new_trial_takes_one_statement_per_knob_and_a_few(tmp_path: Path) -> None:
    storage = WholeTrialStorage(url(tmp_path))
    study = optuna.create_study(storage=storage, study_name="s")
    study.add_trial(waiting())
    statements: list[str] = []
    event.listen(storage.engine, "before_cursor_execute", lambda *found: statements.append(found[2]))
    study.add_trial(waiting())
    asked = [statement for statement in statements if statement.startswith("SELECT")]
    assert len(asked) < len(CHOICES) / 2
    assert len(statements) - len(asked) < len(CHOICES) * 1.5


def test_another_kind_of_parameter_is_refused_as_ever_and_nothing_is_left_of_the_trial(tmp_path: Path) -> None:
    study = optuna.create_study(storage=WholeTrialStorage(url(tmp_path)), study_name="s")
    study.add_trial(waiting())
    changed = dict(CHOICES) | {"bits/l3": FloatDistribution(0.0, 1.0)}
    strange = optuna.trial.create_trial(
        state=optuna.trial.TrialState.WAITING, params={**waiting().params, "bits/l3": 0.5}, distributions=changed
    )
    with pytest.raises(ValueError, match="Cannot set different distribution kind"):
        study.add_trial(strange)
    assert len(study.get_trials()) == 1


def test_studies_of_one_database_have_their_own_parameters(tmp_path: Path) -> None:
    storage = WholeTrialStorage(url(tmp_path))
    first, second = (optuna.create_study(storage=storage, study_name=name) for name in "ab")
    first.add_trial(waiting())
    other = optuna.trial.create_trial(
        state=optuna.trial.TrialState.WAITING,
        params={"bits/l3": 0.5},
        distributions={"bits/l3": FloatDistribution(0.0, 1.0)},
    )
    second.add_trial(other)
    assert second.get_trials()[0].params == {"bits/l3": 0.5}


def test_a_finished_trial_takes_no_more_parameters(tmp_path: Path) -> None:
    storage = WholeTrialStorage(url(tmp_path))
    study = optuna.create_study(storage=storage, study_name="s")
    study.add_trial(waiting())
    trial = study.ask()
    study.tell(trial, 1.0)
    late = CHOICES["bits/l0"]
    with pytest.raises(UpdateFinishedTrialError):
        storage.set_trial_param(trial._trial_id, "bits/l0", 0.0, late)


def test_a_parameter_of_no_trial_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        WholeTrialStorage(url(tmp_path)).set_trial_param(7, "bits/l0", 0.0, CHOICES["bits/l0"])
