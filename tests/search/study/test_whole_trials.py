"""Trials that are written as a whole read as Optuna's own do."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from sqlalchemy import event, text

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


def live_a_life(study: optuna.Study) -> None:
    """Trials in all states, with everything that a trial can have."""
    study.add_trial(waiting("fp32"))
    trial = study.ask()
    trial.set_user_attr("a", {"x": [1, 2]})
    trial.set_user_attr("a", {"x": [3]})  # the later one counts
    trial.set_constraint("size", -1.0)
    study.tell(trial, (1.5, math.inf))
    study.add_trial(waiting())
    pruned = study.ask()
    pruned.suggest_int("more", 1, 8, log=True)
    pruned.suggest_float("free", 0.0, 1.0, step=0.25)
    study.tell(pruned, state=optuna.trial.TrialState.PRUNED)
    study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)
    study.add_trial(
        optuna.trial.create_trial(
            state=optuna.trial.TrialState.COMPLETE,
            values=[-math.inf, 0.0],
            params={"bits/l0": "int8"},
            distributions={"bits/l0": CHOICES["bits/l0"]},
            intermediate_values={3: 0.5, 1: math.nan, 2: -math.inf},
            system_attrs={"s": None},
        )
    )
    study.ask().set_user_attr("running", True)
    study.add_trial(waiting())


def said_of(trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    """All of a trial but its id and when it was; what is not a number is equal to itself."""
    steps = {step: str(value) for step, value in trial.intermediate_values.items()}
    names = ("number", "state", "values", "params", "distributions", "user_attrs", "system_attrs")
    return {**{name: getattr(trial, name) for name in names}, "steps": steps}


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return url(tmp_path)
    server_url: str = request.getfixturevalue("postgres").url
    return server_url.replace("postgresql://", "postgresql+psycopg://")


def test_ours_and_optunas_storage_write_and_read_the_same(database: str) -> None:
    storages = {"ours": WholeTrialStorage(database), "theirs": RDBStorage(database)}
    for name, storage in storages.items():
        sampler = optuna.samplers.RandomSampler(seed=0)
        directions = ["minimize", "maximize"]
        live_a_life(optuna.create_study(storage=storage, study_name=name, sampler=sampler, directions=directions))
    read: dict[tuple[str, str], list[optuna.trial.FrozenTrial]] = {
        (writer, reader): optuna.load_study(study_name=writer, storage=storage).get_trials()
        for writer in storages
        for reader, storage in storages.items()
    }
    for writer in storages:
        ours, theirs = read[writer, "ours"], read[writer, "theirs"]
        assert [(t.datetime_start, t.datetime_complete) for t in ours] == [
            (t.datetime_start, t.datetime_complete) for t in theirs
        ]
    first, *others = ([said_of(trial) for trial in trials] for trials in read.values())
    assert len(first) == 6
    for other in others:
        assert other == first
    for storage in storages.values():
        storage.remove_session()
        storage.engine.dispose()


def test_of_two_that_take_a_waiting_trial_one_has_it(database: str) -> None:
    storages = [WholeTrialStorage(database) for _ in range(2)]
    first = optuna.create_study(storage=storages[0], study_name="s")
    second = optuna.load_study(study_name="s", storage=storages[1])
    for _ in range(8):
        first.add_trial(waiting())

    def take_four(study: optuna.Study, storage: WholeTrialStorage) -> list[int]:
        try:
            return [study.ask().number for _ in range(4)]
        finally:
            storage.remove_session()

    with ThreadPoolExecutor(2) as pool:
        taken = list(pool.map(take_four, [first, second], storages))
    assert sorted(taken[0] + taken[1]) == list(range(8))
    for storage in storages:
        storage.remove_session()
        storage.engine.dispose()


def test_what_another_worker_changes_is_seen(database: str) -> None:
    storages = [WholeTrialStorage(database) for _ in range(2)]
    mine = optuna.create_study(storage=storages[0], study_name="s")
    trial = mine.ask()
    theirs = optuna.load_study(study_name="s", storage=storages[1])
    assert theirs.get_trials()[0].params == {}
    trial.suggest_categorical("bits/l0", CHOICES["bits/l0"].choices)
    trial.set_user_attr("a", 1)
    assert theirs.get_trials()[0].params == trial.params
    trial.set_user_attr("a", 2)
    assert theirs.get_trials()[0].user_attrs == {"a": 2}
    theirs.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    assert mine.get_trials()[0].state.name == "FAIL"
    with pytest.raises(UpdateFinishedTrialError):
        trial.set_user_attr("a", 3)
    with pytest.raises(UpdateFinishedTrialError):
        storages[0].set_trial_state_values(trial._trial_id, optuna.trial.TrialState.COMPLETE, [1.0])
    for storage in storages:
        storage.remove_session()
        storage.engine.dispose()


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")  # Optuna says so of heartbeats
def test_a_trial_without_a_heartbeat_for_long_is_stale_and_a_new_one_keeps_it(tmp_path: Path) -> None:
    storage = WholeTrialStorage(url(tmp_path), heartbeat_interval=1, grace_period=1)
    study = optuna.create_study(storage=storage, study_name="s")
    storage.create_new_trial(1)
    trial = study.get_trials()[0]
    storage.record_heartbeat(trial._trial_id)
    storage.record_heartbeat(trial._trial_id)
    assert storage._get_stale_trial_ids(1) == []
    with storage.engine.begin() as connection:
        connection.execute(text("update trial_heartbeats set heartbeat = '2020-01-01 00:00:00'"))
    assert storage._get_stale_trial_ids(1) == [trial._trial_id]
    storage.record_heartbeat(trial._trial_id)
    assert storage._get_stale_trial_ids(1) == []


def test_a_study_or_a_trial_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    storage = WholeTrialStorage(url(tmp_path))
    with pytest.raises(KeyError):
        storage.get_trial(1)
    with pytest.raises(KeyError):
        storage.get_all_trials(1)
