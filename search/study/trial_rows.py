"""A study's trials read as rows.

Optuna reads them as objects of SQLAlchemy's, one for every parameter and attribute: 9 ms for a running trial of forty
knobs, which a search asks for seven times a trial. The same rows, read as they are, take a tenth of that.
"""

import datetime as dt
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial
from sqlalchemy import bindparam, or_, select

from search.study.tables import PARAMS, STEPS, SYSTEM_ATTRS, TRIALS, USER_ATTRS, VALUES

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement
    from sqlalchemy.orm import Session


# Trials that had not ended when they were read last, and those that came later. A statement is made once: making one
# takes as long as SQLite takes to answer it.
_NEW = (TRIALS.c.study_id == bindparam("study_id")) & or_(
    TRIALS.c.trial_id.in_(bindparam("open_ids", expanding=True)), TRIALS.c.trial_id > bindparam("last_id")
)
_ONE = TRIALS.c.trial_id == bindparam("one_id")


def _asked(which: "ColumnElement[bool]") -> dict[str, Any]:
    """Statements by table: of the trials themselves, and of what belongs to them in the order in which it came."""
    trials = select(TRIALS).where(which).order_by(TRIALS.c.trial_id)
    parts = {
        table.name: select(table)
        .join(TRIALS, TRIALS.c.trial_id == table.c.trial_id)
        .where(which)
        .order_by(next(iter(table.primary_key.columns)))
        for table in (PARAMS, VALUES, USER_ATTRS, SYSTEM_ATTRS, STEPS)
    }
    return {TRIALS.name: trials, **parts}


_ASKED_NEW, _ASKED_ONE = _asked(_NEW), _asked(_ONE)
_ASKED_DISTRIBUTION = (
    select(PARAMS.c.distribution_json)
    .join(TRIALS, TRIALS.c.trial_id == PARAMS.c.trial_id)
    .where(TRIALS.c.study_id == bindparam("study_id"), PARAMS.c.param_name == bindparam("name"))
    .limit(1)
)


class TrialRows:
    """Reads trials; distributions that are written alike are parsed once, and are one object in all trials."""

    def __init__(self) -> None:
        self._distributions: dict[str, BaseDistribution] = {}

    def read_one(self, session: "Session", trial_id: int) -> FrozenTrial | None:
        """A trial; None where there is none."""
        return next(iter(self._read(session, _ASKED_ONE, {"one_id": trial_id})), None)

    def read_new(self, session: "Session", study_id: int, open_ids: Iterable[int], last_id: int) -> list[FrozenTrial]:
        """A study's trials that are among `open_ids` or came after `last_id`, by id."""
        return self._read(session, _ASKED_NEW, {"study_id": study_id, "open_ids": [*open_ids], "last_id": last_id})

    def _read(self, session: "Session", asked: Mapping[str, Any], which: Mapping[str, Any]) -> list[FrozenTrial]:
        # What belongs to a trial is read after its state: who ends one writes its figures before.
        trials = session.execute(asked[TRIALS.name], which).all()
        if not trials:
            return []

        def parts(table: Any, read: Callable[[Any], tuple[Any, Any]]) -> dict[int, dict[Any, Any]]:
            return _by_trial(session.execute(asked[table.name], which), read)

        params, values, steps = parts(PARAMS, self._param), parts(VALUES, _value), parts(STEPS, _step)
        user_attrs, system_attrs = parts(USER_ATTRS, _attribute), parts(SYSTEM_ATTRS, _attribute)
        return [
            FrozenTrial(
                number=trial.number,
                state=trial.state,
                value=None,
                values=[value for _, value in sorted(values[trial.trial_id].items())] or None,
                datetime_start=_local(trial.datetime_start),
                datetime_complete=_local(trial.datetime_complete),
                params={name: value for name, (value, _) in params[trial.trial_id].items()},
                distributions={name: distribution for name, (_, distribution) in params[trial.trial_id].items()},
                user_attrs=user_attrs[trial.trial_id],
                system_attrs=system_attrs[trial.trial_id],
                intermediate_values=steps[trial.trial_id],
                trial_id=trial.trial_id,
            )
            for trial in trials
        ]

    def distribution_of(self, session: "Session", study_id: int, name: str) -> BaseDistribution | None:
        """What the parameter `name` had in some trial of the study; None where no trial has it."""
        written = session.execute(_ASKED_DISTRIBUTION, {"study_id": study_id, "name": name}).scalar_one_or_none()
        return None if written is None else self._parsed(written)

    def _param(self, row: Any) -> tuple[str, tuple[Any, BaseDistribution]]:
        distribution = self._parsed(row.distribution_json)
        return row.param_name, (distribution.to_external_repr(row.param_value), distribution)

    def _parsed(self, written: str) -> BaseDistribution:
        distribution = self._distributions.get(written)
        if distribution is None:
            distribution = self._distributions[written] = json_to_distribution(written)
        return distribution


def _by_trial(rows: Iterable[Any], read: Callable[[Any], tuple[Any, Any]]) -> dict[int, dict[Any, Any]]:
    found: dict[int, dict[Any, Any]] = defaultdict(dict)
    for row in rows:
        name, content = read(row)
        found[row.trial_id][name] = content
    return found


def _value(row: Any) -> tuple[int, float]:
    return row.objective, models.TrialValueModel.stored_repr_to_value(row.value, row.value_type)


def _attribute(row: Any) -> tuple[str, Any]:
    return row.key, json.loads(row.value_json)


def _step(row: Any) -> tuple[int, float]:
    read = models.TrialIntermediateValueModel.stored_repr_to_intermediate_value
    return row.step, read(row.intermediate_value, row.intermediate_value_type)


def _local(stored: dt.datetime | None) -> dt.datetime | None:
    """The database has UTC, Optuna's trials the local time, both without saying so."""
    return None if stored is None else stored.replace(tzinfo=dt.UTC).astimezone().replace(tzinfo=None)
