"""How long it may take to find out about single layers, against what the search itself has."""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from latency import SEARCH
from search.outlook import Budget
from search.study.trials import count_finished

if TYPE_CHECKING:
    import optuna

_TIME_SHARE = 0.1
_TRIALS_SHARE = 0.2
# It is worth more than as many trials that know nothing of single layers.
_TRIALS_AT_LEAST = 10
# As many processes see a candidate, one after the other, unless somebody says otherwise.
_PROCESSES = 4


def limit_s(
    budget: Budget,
    trials: "Sequence[optuna.trial.FrozenTrial]",
    *,
    validation_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> float:
    """A tenth of the time until the deadline, and no longer than a fifth of the trials still wanted would take, or ten.

    Args:
        budget: When the search ends.
        trials: The study's; those that have finished say how long one takes.
        validation_s: How long validating FP32 takes: before there are trials, one is taken to last as long as that and
            a measurement.
        clock: The budget's.

    Returns:
        Seconds; 0 where nothing will be searched, infinite where nothing ends the search.
    """
    limits = [math.inf]
    if budget.deadline_s is not None:
        limits.append(_TIME_SHARE * max(0.0, budget.deadline_s - clock()))
    if budget.trials is not None:
        wanted = max(0, budget.trials - count_finished(trials))
        granted = max(_TRIALS_SHARE * wanted, min(wanted, _TRIALS_AT_LEAST))
        limits.append(granted * _trial_s(trials, validation_s))
    return min(limits)


def _trial_s(trials: "Sequence[optuna.trial.FrozenTrial]", validation_s: float) -> float:
    taken = [
        (trial.datetime_complete - trial.datetime_start).total_seconds()
        for trial in trials
        if trial.state.name == "COMPLETE" and trial.datetime_complete is not None and trial.datetime_start is not None
    ]
    return statistics.median(taken) if taken else validation_s + _PROCESSES * SEARCH.seconds_per_process
