"""From a study to the models of it: all that they begin with is recorded there."""

from pathlib import Path
from typing import TYPE_CHECKING

from search.errors import SearchError
from search.layers.effects import NO_EFFECTS, Effects, powered, recorded_damage_effects, recorded_damage_exponent
from search.layers.graph import recorded_layer_graph
from search.layers.table import recorded_layer_table, share_beside
from search.samplers.frontier.knowledge import Knowledge
from search.samplers.frontier.priors import Priors
from search.samplers.frontier.trained import trained_priors
from search.samplers.frontier.variables import lay_out
from search.study.space_record import recorded_space
from search.study.training_record import trained_epochs

if TYPE_CHECKING:
    import optuna


def open_knowledge(
    study: "optuna.Study", *, cost_effects: Effects = NO_EFFECTS, damage_effects: Effects = NO_EFFECTS
) -> Knowledge:
    """Models of a study's cost and damage, whichever sampler proposes its trials; they have read no trial yet.

    Args:
        study: One that `paretune search` began.
        cost_effects: What is known of single choices' cost ratios besides.
        damage_effects: What is known of single choices' divergences; in place of what the study has of these.

    Raises:
        SearchError: The study does not say which space it searches, or how its network's layers are connected.
    """
    space = recorded_space(study, Path(study.study_name))
    if space is None:
        raise SearchError(
            f"the study {study.study_name!r} is not the frontier sampler's: it does not say which space it "
            "searches; begin it with `paretune search`, or choose another sampler"
        )
    graph, table = recorded_layer_graph(study), recorded_layer_table(study)
    exponent = recorded_damage_exponent(study)
    known = powered({**recorded_damage_effects(study), **damage_effects}, exponent)
    return Knowledge(
        lay_out(space, graph),
        cost=Priors(kind="cost", effects=cost_effects, beside=share_beside(table, space)),
        damage=Priors(kind="damage", effects=known, exponent=exponent),
        trained=None if trained_epochs(study) is None else trained_priors(known, exponent),
        layer_table=table,
        damage_exponent=exponent,
    )
