"""Optuna's database storage, with a new trial written as a whole.

For every parameter of a trial Optuna asks for the trial, asks which distribution the parameter had in earlier trials,
and sends a row: three statements a knob, a seventh of a second for a network of a hundred. Here the rows go together at
the end, and what is known already is not asked for.
"""

from typing import TYPE_CHECKING, Any

from optuna.distributions import BaseDistribution, check_distribution_compatibility, distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


class WholeTrialStorage(RDBStorage):
    """As `RDBStorage`, with the same tables and checks."""

    def __init__(self, url: str, engine_kwargs: dict[str, Any] | None = None, **options: Any) -> None:
        super().__init__(url, engine_kwargs, **options)
        self._distributions: dict[tuple[int, str], BaseDistribution] = {}

    def _set_trial_param_without_commit(
        self,
        session: "Session",
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None = None,
    ) -> None:
        trial: Any = session.get(models.TrialModel, trial_id)  # asked for only where this session has not made it
        if trial is None:
            raise KeyError(f"no trial with the id {trial_id} is in the database")
        name = trial.study_id, param_name
        known = previous_distribution or self._distributions.get(name)
        if known is None:
            super()._set_trial_param_without_commit(
                session, trial_id, param_name, param_value_internal, distribution, previous_distribution
            )
        else:
            self.check_trial_is_updatable(trial_id, trial.state)
            check_distribution_compatibility(known, distribution)
            session.add(
                models.TrialParamModel(
                    trial_id=trial_id,
                    param_name=param_name,
                    param_value=param_value_internal,
                    distribution_json=distribution_to_json(distribution),
                )
            )
        self._distributions[name] = distribution
