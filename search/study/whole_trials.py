"""Optuna's database storage, its trials written and read as rows.

Optuna makes an object for every row, and asks for every parameter of a new trial which distribution that had in
earlier ones: a tenth of a second a trial for a network of forty knobs. Here rows are read and written as they are,
those of a new trial together, and what is known already is not asked for. Tables and checks are Optuna's, so that any
of its tools can read and write beside it.
"""

import datetime as dt
import json
from collections.abc import Container, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution, check_distribution_compatibility, distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from search.study.tables import HEARTBEATS, PARAMS, STEPS, SYSTEM_ATTRS, TRIALS, USER_ATTRS, VALUES
from search.study.trial_rows import TrialRows

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


# Databases with "insert, or else update"; on others Optuna's own ways are taken.
_INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}

# Statements that are made once: making one takes as long as SQLite takes to answer it.
_ASKED = select(TRIALS.c.study_id, TRIALS.c.state).where(TRIALS.c.trial_id == bindparam("one_id"))
_ASKED_FOR_UPDATE = _ASKED.with_for_update()
_ASKED_FOR_NUMBER = select(func.count()).where(
    TRIALS.c.study_id == bindparam("study_id"), TRIALS.c.trial_id < bindparam("one_id")
)
_NUMBERED = update(TRIALS).where(TRIALS.c.trial_id == bindparam("one_id")).values(number=bindparam("its_number"))

# Databases limit the parameters of a statement; SQLite's limit was once 999.
_MOST_IDS = 500


class WholeTrialStorage(RDBStorage):
    """As `RDBStorage`, with the same tables and checks."""

    def __init__(self, url: str, engine_kwargs: dict[str, Any] | None = None, **options: Any) -> None:
        super().__init__(url, engine_kwargs, **options)
        self._accepted: dict[tuple[int, str], set[str]] = {}
        self._rows = TrialRows()
        self._insert = _INSERTS.get(self.engine.name)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """The trial as it is now."""
        with _create_scoped_session(self.scoped_session) as session:
            found = self._rows.read_one(session, trial_id)
        if found is None:
            raise KeyError(f"no trial with the id {trial_id} is in the database")
        return found

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Set a trial's state, and its values; whether it was still to be had where it is to run.

        Of workers that take a waiting trial at the same time one has it.
        """
        if self._insert is None:
            return super().set_trial_state_values(trial_id, state, values)
        with _create_scoped_session(self.scoped_session) as session:
            _, before = self._open(session, trial_id, for_update=True)
            if state is TrialState.RUNNING and before is not TrialState.WAITING:
                return False
            for objective, value in enumerate(values or ()):
                row = {"trial_id": trial_id, **_value_row(objective, value)}
                self._put(session, VALUES, row, key=("trial_id", "objective"))
            when = {"datetime_start": _utc(dt.datetime.now(dt.UTC))} if state is TrialState.RUNNING else {}
            when |= {"datetime_complete": _utc(dt.datetime.now(dt.UTC))} if state.is_finished() else {}
            here = (TRIALS.c.trial_id == trial_id) & (TRIALS.c.state == before)
            done: Any = session.execute(update(TRIALS).where(here).values(state=state, **when))
            if done.rowcount:
                return True
            session.rollback()  # SQLite locks no single rows: another worker was faster
            self._open(session, trial_id)
            return False

    def record_heartbeat(self, trial_id: int) -> None:
        """Say that the trial's worker lives."""
        if self._insert is None:
            super().record_heartbeat(trial_id)
            return
        with _create_scoped_session(self.scoped_session, True) as session:
            self._put(session, HEARTBEATS, {"trial_id": trial_id, "heartbeat": func.now()}, key=("trial_id",))

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        included = [number for number in included_trial_ids if number <= trial_id_greater_than]
        if states is not None or len(included) > _MOST_IDS:
            return super()._get_trials(study_id, states, included_trial_ids, trial_id_greater_than)
        with _create_scoped_session(self.scoped_session) as session:
            found = self._rows.read_new(session, study_id, included, trial_id_greater_than)
            if not found:
                models.StudyModel.find_or_raise_by_id(study_id, session)
        return found

    def _get_prepared_new_trial(self, study_id: int, template_trial: FrozenTrial | None, session: "Session") -> Any:
        if template_trial is None:
            return super()._get_prepared_new_trial(study_id, None, session)
        when = {name: _utc(getattr(template_trial, name)) for name in ("datetime_start", "datetime_complete")}
        made: Any = session.execute(insert(TRIALS), {"study_id": study_id, "state": template_trial.state, **when})
        (trial_id,) = made.inserted_primary_key
        for table, rows in (
            (PARAMS, [self._param_row(session, study_id, *param) for param in _internal(template_trial)]),
            (USER_ATTRS, _attribute_rows(template_trial.user_attrs)),
            (SYSTEM_ATTRS, _attribute_rows(template_trial.system_attrs)),
            (VALUES, [_value_row(*value) for value in enumerate(template_trial.values or ())]),
            (STEPS, [_step_row(*step) for step in template_trial.intermediate_values.items()]),
        ):
            if rows:
                session.execute(insert(table), [{"trial_id": trial_id, **row} for row in rows])
        # Whoever has inserted a row is alone until the end, so that the number is its own.
        number = session.execute(_ASKED_FOR_NUMBER, {"study_id": study_id, "one_id": trial_id}).scalar_one()
        session.execute(_NUMBERED, {"one_id": trial_id, "its_number": number})
        return SimpleNamespace(trial_id=trial_id, number=number, datetime_start=template_trial.datetime_start)

    def _set_trial_param_without_commit(
        self,
        session: "Session",
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None = None,
    ) -> None:
        study_id, _ = self._open(session, trial_id)
        row = self._param_row(session, study_id, param_name, param_value_internal, distribution, previous_distribution)
        session.execute(insert(PARAMS), [{"trial_id": trial_id, **row}])

    def _param_row(
        self,
        session: "Session",
        study_id: int,
        name: str,
        value: float,
        distribution: BaseDistribution,
        previous: BaseDistribution | None = None,
    ) -> dict[str, Any]:
        """A parameter's row; its distribution must fit what the parameter had in earlier trials."""
        written = distribution_to_json(distribution)
        accepted = self._accepted.setdefault((study_id, name), set())
        if written not in accepted:
            known = previous or self._rows.distribution_of(session, study_id, name)
            if known is not None:
                check_distribution_compatibility(known, distribution)
            accepted.add(written)
        return {"param_name": name, "param_value": value, "distribution_json": written}

    def _set_trial_attr_without_commit(
        self, session: "Session", model_cls: Any, trial_id: int, key: str, value: Any
    ) -> None:
        if self._insert is None:
            super()._set_trial_attr_without_commit(session, model_cls, trial_id, key, value)
            return
        self._open(session, trial_id)
        row = {"trial_id": trial_id, "key": key, "value_json": json.dumps(value)}
        self._put(session, model_cls.__table__, row, key=("trial_id", "key"))

    def _put(self, session: "Session", table: Any, row: dict[str, Any], *, key: tuple[str, ...]) -> None:
        """Write a row in place of the one with the same key, if there is one."""
        assert self._insert is not None  # noqa: S101  # for mypy
        changed = {name: value for name, value in row.items() if name not in key}
        session.execute(self._insert(table).values(row).on_conflict_do_update(index_elements=key, set_=changed))

    def _open(self, session: "Session", trial_id: int, *, for_update: bool = False) -> tuple[int, TrialState]:
        """A trial's study and state, as long as it has not ended; other workers wait where it is to be changed."""
        asked = _ASKED_FOR_UPDATE if for_update else _ASKED
        found = session.execute(asked, {"one_id": trial_id}).one_or_none()
        if found is None:
            raise KeyError(f"no trial with the id {trial_id} is in the database")
        self.check_trial_is_updatable(trial_id, found.state)
        return found.study_id, found.state


def _internal(trial: FrozenTrial) -> Iterator[tuple[str, float, BaseDistribution]]:
    """Its parameters' names, values as the tables have them, and distributions."""
    for name, value in trial.params.items():
        distribution = trial.distributions[name]
        yield name, distribution.to_internal_repr(value), distribution


def _attribute_rows(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value_json": json.dumps(value)} for key, value in attributes.items()]


def _value_row(objective: int, value: float) -> dict[str, Any]:
    stored, kind = models.TrialValueModel.value_to_stored_repr(value)
    return {"objective": objective, "value": stored, "value_type": kind}


def _step_row(step: int, value: float) -> dict[str, Any]:
    stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(value)
    return {"step": step, "intermediate_value": stored, "intermediate_value_type": kind}


def _utc(local: dt.datetime | None) -> dt.datetime | None:
    """As the tables have it: UTC, without saying so."""
    return None if local is None else local.astimezone(dt.UTC).replace(tzinfo=None)
