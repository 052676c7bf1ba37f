"""Strongly compressed candidates that a search alone gives up: tried once more for what a training makes of them.

A search for the best untrained network stops trials that answer no better than what is cheaper, and never proposes what
it believes to be broken. Trained, these are the front's cheap end. So before the recovery the study's models say what
does least damage at each of a few low costs, and these policies are trials too, carried out in full.
"""

from typing import TYPE_CHECKING

from search.samplers.frontier import open_knowledge
from search.space.space import SearchSpace
from search.study.seen import Planned
from search.study.trials import LABEL, is_unfinished, params_of

if TYPE_CHECKING:
    import optuna

TO_RECOVER = "to recover"
"""Label of such a trial."""

_RUNGS = 10


def plan_ladder(study: "optuna.Study", space: SearchSpace) -> list[Planned]:
    """The trials still to carry out before the recovery.

    The models learn from the search's own trials alone, so that the ladder is the same until the search goes on: what
    an interruption left of it is carried out later.

    Args:
        study: One whose search is over, for now.
        space: What it searches.

    Raises:
        SearchError: The study does not say how its network's layers are connected.
    """
    ended = [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]
    knowledge = open_knowledge(study)
    knowledge.learn(study.study_name, [trial for trial in ended if trial.user_attrs.get(LABEL) != TO_RECOVER])
    tried = {space.policy(params_of(trial)).digest for trial in ended if not is_unfinished(trial)}
    return [
        Planned(params=params, attributes={LABEL: TO_RECOVER})
        for params in knowledge.ladder(_RUNGS)
        if space.policy(params).digest not in tried
    ]
