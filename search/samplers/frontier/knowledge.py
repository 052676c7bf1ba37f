"""What one study has taught: the models of its trials, and the front that they have reached."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from compress.single_thread import single_threaded
from search.layers.table import TimedPolicy
from search.pareto import Pair, front
from search.samplers.frontier.design import build_design
from search.samplers.frontier.elimination_plan import interplay, plan_elimination
from search.samplers.frontier.energy import Array, Choices, Energy
from search.samplers.frontier.importance import LayerImportance, weigh_layers
from search.samplers.frontier.known import observe_known
from search.samplers.frontier.ladder import climb
from search.samplers.frontier.link import Link
from search.samplers.frontier.neighbourhood import key
from search.samplers.frontier.observations import Observed, TrialReader
from search.samplers.frontier.priors import Priors
from search.samplers.frontier.proposal import Drawn, Known, propose
from search.samplers.frontier.regression import Regression
from search.samplers.frontier.trained import LEAST_TRAINED, ROOT, TrainedPriors
from search.samplers.frontier.variables import Variables
from search.space.space import Choice

if TYPE_CHECKING:
    import optuna

# The shares of a sum that may not add up, of which the evidence chooses. Latency adds up to 1% on real networks, damage
# to a third; sizes nearly exactly, drops of a metric hardly.
_COST_MISFITS = (0.002, 0.005, 0.01, 0.02, 0.05)
_DAMAGE_MISFITS = (0.03, 0.07, 0.15, 0.3, 0.6)
_CONSTRAINT_MISFITS = (0.003, 0.03, 0.1, 0.3)

# The range of divergences in which trade-offs lie, until trials have shown one.
_USUAL_DIVERGENCES = (1e-3, 1.0)

# A link is as long as the trials: fit it anew for every so many more.
_LINK_GROWTH = 0.02

# Before there is a metric, less divergence is better.
_UNKNOWN_LINK = Link.fit([0.0, 1.0], [0.0, -1.0])


class Knowledge:
    """Models of cost, damage and constraints, and all that a proposal needs besides.

    Args:
        variables: The knobs of the study's space.
        cost: Prior of the cost ratio.
        damage: Prior of the damage.
        trained: Prior of the damage after a training, where the study trains its candidates: then proposals are made by
            a model of that, which learns from trained candidates alone. None where it does not.
        layer_table: What each layer takes under some policies.
        damage_exponent: The damage is this power of the divergence: that which adds up over layers.
    """

    def __init__(
        self,
        variables: Variables,
        *,
        cost: Priors,
        damage: Priors,
        trained: TrainedPriors | None = None,
        layer_table: Sequence[TimedPolicy] = (),
        damage_exponent: float = 1.0,
    ) -> None:
        self.variables = variables
        self._exponent = self._final_exponent = damage_exponent
        self._reader = TrialReader(variables=variables, trains=trained is not None)
        design = build_design(variables, cost)
        known = observe_known(variables, design, layer_table, cost.effects)
        self._cost = Regression(design=design, misfits=_COST_MISFITS, known=known)
        self._damage = self._final = Regression(design=build_design(variables, damage), misfits=_DAMAGE_MISFITS)
        if trained is not None:
            self._final_exponent *= ROOT
            self._final = Regression(design=build_design(variables, trained), misfits=_DAMAGE_MISFITS)
        self._plan = plan_elimination(design.layout, interplay(design.energy(design.mean)))
        self._constraints: dict[str, _Constraint] = {}
        self._front: list[Pair] = []
        self._whole: set[bytes] = set()
        self._range = math.inf, 0.0
        self._damages: list[float] = []
        self._metrics: list[float] = []
        self._link = _UNKNOWN_LINK
        self._link_at = 1

    @single_threaded()
    def learn(self, study_name: str, trials: "Sequence[optuna.trial.FrozenTrial]") -> None:
        """Read what has finished since the last call.

        Raises:
            SearchError: A completed trial has no figures.
        """
        for observed in self._reader.read(study_name, trials):
            self._take(observed)

    @single_threaded()
    def propose(self, generator: np.random.Generator) -> dict[str, Choice]:
        """The parameters of the next trial."""
        drawn = Drawn(
            cost=self._cost.draw(generator),
            damage=self._final.draw(generator),
            constraints=tuple(constraint.draw(generator) for constraint in self._constraints.values()),
        )
        known = Known(
            points=self._front,
            floor=min(self._metrics, default=0.0),
            link=self._fitted_link(),
            damages=self._range if self._range[1] > 0 else self._usual_range(),
            seen=self._reader.seen,
        )
        choices = propose(drawn, known, self._plan, generator)
        self._reader.seen.add(key(choices))  # others may ask before the trial says what it is
        return self.variables.decode(choices)

    @single_threaded()
    def predict_cost(self, params: Sequence[dict[str, Choice]]) -> tuple[Array, Array]:
        """Means and standard deviations of the cost ratios that the model expects, measuring's own noise left out.

        Raises:
            ValueError: Some parameters are not one choice of every knob.
        """
        return self._cost.predict(self._encoded(params))

    @single_threaded()
    def hope_after_training(self, params: dict[str, Choice]) -> float | None:
        """The metric that a training brings a policy if it goes well: a standard deviation better than is expected.

        None while too few candidates were trained to tell, and in a study that trains none.

        Raises:
            ValueError: The parameters are not one choice of every knob.
        """
        if self._final is self._damage or self._final.count < LEAST_TRAINED:
            return None
        means, deviations = self._final.predict(self._encoded([params]))
        return float(self._fitted_link()(np.maximum(means - deviations, 0.0))[0])

    @single_threaded()
    def ladder(self, count: int) -> list[dict[str, Choice]]:
        """What is expected to do least damage at each of up to `count` costs, from the least possible one upwards.

        What was stopped is replaced by its nearest neighbour; what was carried out may be among them.
        """
        expected = Drawn(
            cost=self._cost.expected(),
            damage=self._final.expected(),
            constraints=tuple(constraint.expected() for constraint in self._constraints.values()),
        )
        return [
            self.variables.decode(choices)
            for choices in climb(expected, self._plan, count, self._reader.seen - self._whole)
        ]

    @single_threaded()
    def layer_importance(self) -> tuple[LayerImportance, ...]:
        """What is expected of each layer turned alone, the one that can save most of the cost first."""
        nothing = np.zeros((1, len(self.variables.knobs)), np.int64)
        own = {
            layer: float(self._cost.expected_part(table, nothing)[0])
            for layer, table in self.variables.form_tables.items()
        }
        return weigh_layers(self.variables, self._cost.expected(), self._damage.expected(), own, self._exponent)

    def _encoded(self, params: Sequence[dict[str, Choice]]) -> Choices:
        rows = [self.variables.encode(choice) for choice in params]
        strange = [choice for choice, row in zip(params, rows, strict=True) if row is None]
        if strange:
            raise ValueError(f"parameters must be one choice of every knob, got {strange[0]}")
        return np.stack([row for row in rows if row is not None])

    def _fitted_link(self) -> Link:
        if len(self._metrics) >= self._link_at:
            self._link = Link.fit(self._damages, self._metrics)
            self._link_at = len(self._metrics) + max(1, int(_LINK_GROWTH * len(self._metrics)))
        return self._link

    def _usual_range(self) -> tuple[float, float]:
        least, most = _USUAL_DIVERGENCES
        return least**self._final_exponent, most**self._final_exponent

    def _take(self, observed: Observed) -> None:
        if not observed.is_partial:
            self._whole.add(key(observed.choices))
        if not math.isnan(observed.cost_ratio):
            self._cost.add(observed.choices, observed.cost_ratio, observed.cost_deviation)
        if not math.isnan(observed.divergence):
            self._damage.add(observed.choices, observed.divergence**self._exponent, 0.0)
        final = observed.final_divergence**self._final_exponent
        if self._final is not self._damage and not math.isnan(final) and observed.choices.any():
            self._final.add(observed.choices, final, 0.0)  # FP32 itself is never trained, and tells nothing of it
        if final > 0:
            least, most = self._range
            self._range = min(least, final), max(most, final)
        for name, value in observed.constraints.items():
            self._constraints.setdefault(name, _Constraint(self.variables)).add(observed.choices, value)
        if math.isnan(final) or math.isnan(observed.metric):
            return
        self._damages.append(final)
        self._metrics.append(observed.metric)
        if observed.is_partial:  # what it would have been on all samples, it is known not to be on the front
            return
        if not math.isnan(observed.cost_ratio) and all(value <= 0 for value in observed.constraints.values()):
            points = [*self._front, (observed.cost_ratio, observed.metric)]
            self._front = [points[position] for position in front(points)]


class _Constraint:
    """A model of one constraint's values, in units of the largest that was seen."""

    def __init__(self, variables: Variables) -> None:
        self._design = build_design(variables, Priors(kind="constraint"))
        self._values: list[tuple[Choices, float]] = []
        self._begin(0.0)

    def _begin(self, unit: float) -> None:
        self._unit = unit
        self._model = Regression(design=self._design, misfits=_CONSTRAINT_MISFITS)

    def add(self, choices: Choices, value: float) -> None:
        self._values.append((choices.astype(np.uint16), value))
        fresh = self._values[-1:]
        if abs(value) > 2.0 * self._unit:
            self._begin(abs(value))
            fresh = self._values
        for known, seen in fresh if self._unit else ():
            self._model.add(known, seen / self._unit, 0.0)

    def draw(self, generator: np.random.Generator) -> Energy:
        return self._model.draw(generator)

    def expected(self) -> Energy:
        return self._model.expected()
