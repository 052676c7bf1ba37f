"""A made-up network whose every figure is known: layers in a row, six formats each, and what makes a search hard.

Latency adds up over layers and has a price of its own for each pair of formats at each place where two layers meet.
Damage adds up too, and layers that are damaged together lose more. Both are measured with noise; the metric is what a
thousand samples would say.
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

from benchmarks.samplers.problem import Reading, outcome_of
from compress.policy import FORMATS
from search.layers.effects import Effect, record_damage_effects
from search.layers.graph import LayerGraph, record_layer_graph
from search.layers.table import TimedPolicy, record_layer_table
from search.pareto import Pair
from search.space.space import Choice, Knob, SearchSpace
from search.study.space_record import adopt_space
from search.study.trials import Outcome

COST_NOISE = 0.01
DIVERGENCE_NOISE = 0.1
SWEEP_NOISE = 0.2
PROFILE_NOISE = 0.1
FP32_METRIC = 0.98
_SAMPLES = 1000
_LIKE = 20
"""The sum over layers does not depend on how many there are: sizes are those of a chain of so many, scaled."""


class SyntheticChain:
    """A problem, drawn from `seed`.

    Args:
        layers: How many.
        seed: Of the problem, not of its noise.
    """

    reference: Pair = (1.05, 0.0)

    def __init__(self, layers: int, seed: int) -> None:
        self.name = f"{layers} layers, synthetic"
        rng = np.random.default_rng(seed)
        names = tuple(f"l{index:03d}" for index in range(layers))
        formats = tuple(FORMATS)
        size = rng.lognormal(0.0, 0.7, layers)
        size /= size.sum()
        # From the widest format to the narrowest layers get faster and lose more, each in its own measure.
        speed = -np.sort(-rng.uniform(0.15, 1.05, (layers, len(formats))), axis=1)
        speed[:, 0] = 1.0
        self._cost = size[:, None] * speed
        self._transition = rng.uniform(0.0, 0.01 * _LIKE / layers, (layers - 1, len(formats), len(formats)))
        self._transition[:, np.arange(len(formats)), np.arange(len(formats))] = 0.0
        self._damage = np.sort(rng.lognormal(-4.0, 1.5, (layers, len(formats))), axis=1) * _LIKE / layers
        self._damage[:, 0] = 0.0
        self._together = np.abs(rng.normal(0.0, 0.05, (layers, layers))) * _LIKE / layers
        self.space = SearchSpace(
            layers=names, knobs=tuple(Knob(name=f"bits/{name}", layers=(name,), choices=formats) for name in names)
        )
        # Multiply-adds tell a layer's time to a factor of two, about.
        macs = (1e9 * size * rng.lognormal(0.0, 0.4, layers)).astype(np.int64)
        self._graph = LayerGraph(macs=dict(zip(names, macs.tolist(), strict=True)), neighbours=tuple(pairwise(names)))

    def records(self, *, swept: bool, timed: bool, rng: np.random.Generator) -> Mapping[str, Any]:
        """What a search records before its first trial."""
        study = optuna.create_study()
        adopt_space(study, self.space, Path("in memory"))
        record_layer_graph(study, self._graph)
        if swept:
            record_damage_effects(study, self._sweep(rng))
        if timed:
            record_layer_table(study, self._layer_table(rng))
        return study.user_attrs

    def read(self, params: Mapping[str, Choice], rng: np.random.Generator) -> Reading:
        """The figures of a policy."""
        x = self._choices(params)
        cost, divergence = self._exact_cost(x), self._exact_divergence(x)
        right = FP32_METRIC / (1.0 + (1.65 * divergence) ** 1.5)
        return Reading(outcome=_outcome(x, cost, divergence, right, rng), exact=(cost, right))

    def _choices(self, params: Mapping[str, Choice]) -> NDArray[np.int64]:
        return np.array([knob.choices.index(params[knob.name]) for knob in self.space.knobs])

    def _exact_cost(self, x: NDArray[np.int64]) -> float:
        at = np.arange(len(x))
        return float(self._cost[at, x].sum() + self._transition[at[:-1], x[:-1], x[1:]].sum())

    def _exact_divergence(self, x: NDArray[np.int64]) -> float:
        alone = self._damage[np.arange(len(x)), x]
        return float(alone.sum() + np.sqrt(alone) @ self._together @ np.sqrt(alone))

    def _sweep(self, rng: np.random.Generator) -> dict[tuple[str, Choice], Effect]:
        """Each layer's damage alone, as a sweep over single layers on few samples would find it."""
        effects: dict[tuple[str, Choice], Effect] = {}
        for at, knob in enumerate(self.space.knobs):
            for position, choice in enumerate(knob.choices[1:], 1):
                x = np.zeros(len(self.space.knobs), np.int64)
                x[at] = position
                found = self._exact_divergence(x) * float(np.exp(rng.normal(0.0, SWEEP_NOISE)))
                effects[knob.name, choice] = Effect(mean=found, deviation=0.3 * found + 1e-6)
        return effects

    def _layer_table(self, rng: np.random.Generator) -> list[TimedPolicy]:
        """Each layer's time in each format, as a runtime's profile of the uniform policies shows it: no conversions."""
        return [
            TimedPolicy(
                params={knob.name: choice for knob in self.space.knobs},
                shares={
                    layer: float(cost * np.exp(rng.normal(0.0, PROFILE_NOISE)))
                    for layer, cost in zip(self.space.layers, self._cost[:, column].tolist(), strict=True)
                },
            )
            for column, choice in enumerate(self.space.knobs[0].choices)
        ]


def _outcome(x: NDArray[np.int64], cost: float, divergence: float, right: float, rng: np.random.Generator) -> Outcome:
    """What a trial would keep, with a measurement's noise."""
    cost *= float(np.exp(rng.normal(0.0, COST_NOISE)))
    divergence *= float(np.exp(rng.normal(0.0, DIVERGENCE_NOISE)))
    # Paired with FP32's answers: only those that flipped are luck.
    right -= float(rng.normal(0.0, np.sqrt(max(0.0, FP32_METRIC - right) / _SAMPLES)))
    return outcome_of(
        digest=x.astype(np.uint8).tobytes().hex(),
        ratio=cost,
        ratio_error=COST_NOISE * cost,
        divergence=divergence,
        metric=round(min(1.0, max(0.0, right)) * _SAMPLES) / _SAMPLES,
        fp32_metric=FP32_METRIC,
        samples=_SAMPLES,
    )
