"""Which layers matter most: what the models believe of each, turned alone in a network that is otherwise in FP32."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from search.samplers.frontier.energy import Choices, Energy
from search.samplers.frontier.variables import Variables
from search.space.space import Choice

# Savings below are none: less than any measurement can tell from nothing.
_LEAST_SAVING = 1e-4


@dataclass(frozen=True, kw_only=True)
class LayerImportance:
    """A layer, turned alone. Layers whose channels go together are turned by the first of them.

    Attributes:
        layer: Its name.
        cost_ratio: Its own part of FP32's cost, conversions and what is between layers left out.
        saving: The most of FP32's cost that any of its choices saves; 0 where none saves anything.
        params: That choice, by knob; empty where none saves anything.
        divergence: What that choice does to the outputs.
        divergence_per_saving: The least divergence for which one of its choices saves cost, per share of FP32's cost
            saved; infinite where none saves anything.
    """

    layer: str
    cost_ratio: float
    saving: float
    params: dict[str, Choice]
    divergence: float
    divergence_per_saving: float


def weigh_layers(
    variables: Variables, cost: Energy, damage: Energy, own_costs: dict[str, float], exponent: float = 1.0
) -> tuple[LayerImportance, ...]:
    """Every layer that some knob is named for, the one that can save most first.

    Args:
        variables: The knobs.
        cost: Of a policy, as a ratio to FP32's.
        damage: Of a policy, as a power of its divergence.
        own_costs: Each layer's part of FP32's cost, by name.
        exponent: Which power.
    """
    found = [
        _weigh(variables, cost, damage, exponent, layer, at, own_costs.get(layer, 0.0))
        for layer, at in _knobs_by_layer(variables)
    ]
    return tuple(sorted(found, key=lambda one: (-one.saving, one.layer)))


def _knobs_by_layer(variables: Variables) -> Iterator[tuple[str, list[int]]]:
    knobs: dict[str, list[int]] = {}
    for at, knob in enumerate(variables.knobs):
        knobs.setdefault(knob.name.partition("/")[2], []).append(at)
    yield from knobs.items()


def _weigh(
    variables: Variables, cost: Energy, damage: Energy, exponent: float, layer: str, at: list[int], own_cost: float
) -> LayerImportance:
    settings = list(product(*(range(int(variables.sizes[knob])) for knob in at)))
    choices: Choices = np.zeros((len(settings), len(variables.knobs)), np.int64)  # the first leaves all layers alone
    choices[:, at] = settings
    costs, damages = cost.values(choices), damage.values(choices)
    saved, lost = costs[0] - costs, np.maximum(damages - damages[0], 0.0) ** (1.0 / exponent)
    best = int(saved.argmax())
    if saved[best] < _LEAST_SAVING:
        best = 0
    paying = saved >= _LEAST_SAVING
    return LayerImportance(
        layer=layer,
        cost_ratio=max(own_cost, 0.0),
        saving=float(saved[best]),
        params={variables.knobs[knob].name: variables.knobs[knob].choices[choices[best, knob]] for knob in at if best},
        divergence=float(lost[best]),
        divergence_per_saving=float((lost[paying] / saved[paying]).min()) if paying.any() else float("inf"),
    )
