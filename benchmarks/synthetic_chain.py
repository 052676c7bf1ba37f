"""A made-up network whose every figure is known: layers in a row, six formats each, and what makes a search hard.

Latency adds up over layers and has a price of its own for each pair of formats at each place where two layers meet.
Damage adds up too, and layers that are damaged together lose more. Both are measured with noise; the metric is what a
thousand samples would say.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from compress.policy import FORMATS
from search.layer_graph import LayerGraph
from search.samplers.frontier import Effect
from search.space import Choice, Knob, SearchSpace

COST_NOISE = 0.01
DIVERGENCE_NOISE = 0.1
_SAMPLES = 1000
_LIKE = 20
"""The sum over layers does not depend on how many there are: sizes are those of a chain of so many, scaled."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one evaluation finds.

    Attributes:
        cost_ratio: Latency over FP32's.
        divergence: From FP32's outputs.
        metric: Share of right answers.
    """

    cost_ratio: float
    divergence: float
    metric: float


class SyntheticChain:
    """A problem, drawn from `seed`.

    Args:
        layers: How many.
        seed: Of the problem, not of its noise.
    """

    def __init__(self, layers: int, seed: int) -> None:
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
        self.graph = LayerGraph(macs=dict(zip(names, macs.tolist(), strict=True)), neighbours=tuple(pairwise(names)))

    def read(self, params: Mapping[str, Choice], rng: np.random.Generator | None = None) -> Reading:
        """The figures of a policy: exact, or with a measurement's noise from `rng`."""
        x = np.array([knob.choices.index(params[knob.name]) for knob in self.space.knobs])
        at = np.arange(len(x))
        cost = float(self._cost[at, x].sum() + self._transition[at[:-1], x[:-1], x[1:]].sum())
        alone = self._damage[at, x]
        divergence = float(alone.sum() + np.sqrt(alone) @ self._together @ np.sqrt(alone))
        right = 0.98 / (1.0 + (1.65 * divergence) ** 1.5)
        if rng is not None:
            cost *= float(np.exp(rng.normal(0.0, COST_NOISE)))
            divergence *= float(np.exp(rng.normal(0.0, DIVERGENCE_NOISE)))
            # Paired with FP32's answers: only those that flipped are luck.
            right -= float(rng.normal(0.0, np.sqrt(max(0.0, 0.98 - right) / _SAMPLES)))
            right = round(min(1.0, max(0.0, right)) * _SAMPLES) / _SAMPLES
        return Reading(cost_ratio=cost, divergence=divergence, metric=right)

    def sweep(self, rng: np.random.Generator) -> dict[tuple[str, Choice], Effect]:
        """Each layer's damage alone, as a sweep over single layers on few samples would find it."""
        neutral: dict[str, Choice] = {knob.name: knob.choices[0] for knob in self.space.knobs}
        effects: dict[tuple[str, Choice], Effect] = {}
        for knob in self.space.knobs:
            for choice in knob.choices[1:]:
                found = self.read({**neutral, knob.name: choice}).divergence * float(np.exp(rng.normal(0.0, 0.2)))
                effects[knob.name, choice] = Effect(mean=found, deviation=0.3 * found + 1e-6)
        return effects

    def layer_table(self, rng: np.random.Generator) -> dict[tuple[str, Choice], Effect]:
        """Each layer's time in each format, as a runtime's profile shows it: no conversions, a tenth of noise."""
        effects: dict[tuple[str, Choice], Effect] = {}
        for costs, knob in zip(self._cost, self.space.knobs, strict=True):
            for cost, choice in zip(costs[1:].tolist(), knob.choices[1:], strict=True):
                saved = cost * float(np.exp(rng.normal(0.0, 0.1))) - float(costs[0])
                effects[knob.name, choice] = Effect(mean=saved, deviation=0.15 * float(costs[0]))
        return effects


def noisy_outcome(reading: Reading, fp32_metric: float) -> dict[str, float | str]:
    """A reading as the attribute that a search keeps of a trial."""
    margin = 1.959964 * COST_NOISE * reading.cost_ratio
    return {
        "latency_ms": reading.cost_ratio,
        "latency_ratio": reading.cost_ratio,
        "latency_ratio_low": reading.cost_ratio - margin,
        "latency_ratio_high": reading.cost_ratio + margin,
        "divergence": reading.divergence,
        "metric": reading.metric,
        "metric_drop": fp32_metric - reading.metric,
    }
