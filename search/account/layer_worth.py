"""Which layers to quantize for speed: what the best number format of each saves, and what that harms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from search.errors import SearchError
from search.layers.effects import recorded_damage_effects
from search.study.trials import params_of

if TYPE_CHECKING:
    import optuna

    from search.point import TrialPoint
    from search.space.space import Choice, SearchSpace

_MOST_CONTEXTS = 8
FEWEST_TRIALS = 10
"""A model of fewer says what it began with, not what it learned."""

Params = Mapping[str, "Choice"]


@dataclass(frozen=True, kw_only=True)
class LayerWorth:
    """What one layer's number format is worth.

    Attributes:
        layer: Its name.
        format: The number format that saves most there.
        saved_share: What it saves against the layer in FP32 while the other layers stay as points of the front have
            them, as a share of FP32's whole cost; below 0 where every other format costs time.
        own_share: What the layer itself takes of FP32's cost, by the same model; None where its size is not known.
        divergence: What that format alone was found to add to the divergence from FP32's outputs; None where the run
            did not look.
        chosen: How many of the front's points have the layer in another format than FP32.
        front_size: Of how many.
    """

    layer: str
    format: str
    saved_share: float
    own_share: float | None
    divergence: float | None
    chosen: int
    front_size: int


def worth_of_layers(
    study: optuna.Study,
    space: SearchSpace,
    trials: Sequence[optuna.trial.FrozenTrial],
    front: Sequence[TrialPoint],
) -> tuple[LayerWorth, ...]:
    """Rank the layers by what their best number format saves, as the run's own latency model has it.

    A format's worth depends on the neighbours' (conversions stand between them), so it is taken in the midst of the
    front's policies and averaged over these.

    Args:
        study: What the run recorded; for reading.
        space: What it searches.
        trials: The study's.
        front: Its front, FP32 aside.

    Returns:
        The layers whose format the space leaves open, most saved first; empty where fewer than `FEWEST_TRIALS` trials
        are complete, or an older paretune has not recorded how layers are connected.
    """
    from search.samplers.frontier import open_knowledge

    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    knobs = [knob for knob in space.knobs if knob.kind == "bits"]
    by_number = {trial.number: params_of(trial) for trial in complete}
    contexts = _spread([by_number[point.number] for point in front if point.number in by_number])
    if len(complete) < FEWEST_TRIALS or not contexts or not knobs:
        return ()
    try:
        knowledge = open_knowledge(study)
    except SearchError:  # a run of an older paretune lacks the layer graph, and the rest of its report stands
        return ()
    knowledge.learn(study.study_name, trials)
    asked = [{**context, knob.name: choice} for knob in knobs for choice in knob.choices for context in contexts]
    costs = iter(knowledge.predict_cost(asked)[0].tolist())
    own = {one.layer: one.cost_ratio for one in knowledge.layer_importance()}
    harm = recorded_damage_effects(study)
    ranked = []
    for knob in knobs:
        cost = {choice: sum(next(costs) for _ in contexts) / len(contexts) for choice in knob.choices}
        best = min(knob.choices[1:], key=cost.__getitem__)
        effect = harm.get((knob.name, best))
        ranked += [
            LayerWorth(
                layer=layer,
                format=str(best),
                saved_share=cost[knob.choices[0]] - cost[best],
                own_share=own.get(layer) or None,
                divergence=None if effect is None else effect.mean,
                chosen=_chosen(front, layer),
                front_size=len(front),
            )
            for layer in knob.layers
        ]
    return tuple(sorted(ranked, key=lambda worth: -worth.saved_share))


def _spread(contexts: Sequence[Params]) -> list[Params]:
    """At most `_MOST_CONTEXTS` of them, evenly from first to last."""
    if len(contexts) <= _MOST_CONTEXTS:
        return list(contexts)
    return [contexts[round(step * (len(contexts) - 1) / (_MOST_CONTEXTS - 1))] for step in range(_MOST_CONTEXTS)]


def _chosen(front: Sequence[TrialPoint], layer: str) -> int:
    return sum(point.layers.get(layer, {}).get("format", "fp32") != "fp32" for point in front)
