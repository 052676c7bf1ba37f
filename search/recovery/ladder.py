"""Strongly compressed candidates that a search alone gives up: tried once more for what a training makes of them.

A search for the best untrained network stops trials that answer no better than what is cheaper, and never proposes what
it believes to be broken. Trained, these are the front's cheap end. So before the recovery the study's models say what
does least damage at each of a few low costs, and these policies are trials too, carried out in full.
"""

from typing import TYPE_CHECKING

from search.samplers.frontier import open_knowledge
from search.space.space import SearchSpace
from search.study.seen import Planned
from search.study.trials import LABEL, is_finished, params_of

if TYPE_CHECKING:
    import optuna

TO_RECOVER = "to recover"
"""Label of such a trial."""

_RUNGS = 10


def plan_ladder(study: "optuna.Study", space: SearchSpace) -> list[Planned]:
    """The trials to carry out before the recovery; none where the search has not gone on since the last ones.

    Args:
        study: One whose search is over, for now.
        space: What it searches.

    Raises:
        SearchError: The study does not say how its network's layers are connected.
    """
    trials = [trial for trial in study.get_trials(deepcopy=False) if is_finished(trial)]
    labelled = [trial.number for trial in trials if trial.user_attrs.get(LABEL) == TO_RECOVER]
    if not trials or (labelled and trials[-1].number == max(labelled)):
        return []
    knowledge = open_knowledge(study)
    knowledge.learn(study.study_name, trials)
    tried = {space.policy(params_of(trial)).digest for trial in trials}
    return [
        Planned(params=params, attributes={LABEL: TO_RECOVER})
        for params in knowledge.ladder(_RUNGS)
        if space.policy(params).digest not in tried
    ]
