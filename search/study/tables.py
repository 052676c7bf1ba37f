"""The tables of Optuna's database storage, as SQLAlchemy's core knows them."""

from typing import Any

from optuna.storages._rdb import models

TRIALS: Any = models.TrialModel.__table__
PARAMS: Any = models.TrialParamModel.__table__
VALUES: Any = models.TrialValueModel.__table__
USER_ATTRS: Any = models.TrialUserAttributeModel.__table__
SYSTEM_ATTRS: Any = models.TrialSystemAttributeModel.__table__
STEPS: Any = models.TrialIntermediateValueModel.__table__
HEARTBEATS: Any = models.TrialHeartbeatModel.__table__
