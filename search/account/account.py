"""How a search went: what it found when, how well its model foresaw costs, and which layers matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from search.account.convergence import Convergence, converge
from search.account.layer_worth import LayerWorth, worth_of_layers
from search.account.prediction_fit import PredictionFit, fit_of
from search.point import FP32_LABEL
from search.study.trials import read_points

if TYPE_CHECKING:
    import optuna

    from search.space.space import SearchSpace


@dataclass(frozen=True, kw_only=True)
class SearchAccount:
    """What a report says of the search itself; a part is None or empty where the run cannot tell."""

    convergence: Convergence | None = None
    fit: PredictionFit | None = None
    worths: tuple[LayerWorth, ...] = ()


NO_ACCOUNT = SearchAccount()


def account_of(study: optuna.Study, space: SearchSpace, session_starts: Sequence[datetime]) -> SearchAccount:
    """Read how a search went from its study, which is left as it is."""
    from search.account.selection import comparable_front, select

    trials = study.get_trials(deepcopy=False)
    points = read_points(trials, space)
    front = [point for point in comparable_front(select(points).front) if point.label != FP32_LABEL]
    return SearchAccount(
        convergence=converge(trials, points, session_starts),
        fit=fit_of(trials, points),
        worths=worth_of_layers(study, space, trials, front),
    )
