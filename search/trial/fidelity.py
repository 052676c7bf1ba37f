"""How much of each candidate a search takes the trouble to know: the study's finished trials say.

Everything that is needed for it is in the study, so that it goes on where an earlier session or another worker is.
Trials of older studies, which kept no scores of single samples, are nobody's rivals.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from search.cost import INSTRUCTION_NAMES, LATENCY_NAMES, Cost
from search.study.sample_scores import SAMPLE_SCORES, decode, encode, order_of
from search.study.trials import LABEL, OUTCOME, Outcome
from search.trial.predictions import PREDICTED, Prediction, PredictionRecord
from search.trial.rivals import Rival, Rivals, Scores
from search.trial.stopping import Watch
from workloads import Samples

if TYPE_CHECKING:
    import optuna

# So many candidates that a prediction would do for are measured all the same.
_AUDITED_ONE_IN = 5

# Fewer points than these say nothing of single layers.
_LEAST_POINTS = 2


class CostModel(Protocol):
    """What a model of a study's costs must be able to do (`search.samplers.frontier.Knowledge`)."""

    def learn(self, study_name: str, trials: "Sequence[optuna.trial.FrozenTrial]") -> None:
        """Read the trials that have finished since the last call."""

    def predict_cost(self, params: Sequence[dict[str, Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Means and standard deviations of cost ratios."""


@dataclass(kw_only=True, eq=False)
class Fidelity:
    """Watches over a study's trials.

    Attributes:
        study: The study.
        model: Predicts costs, whichever sampler proposes.
        samples: What candidates are validated on.
        stops: Whether anything may be stopped.
    """

    study: "optuna.Study"
    model: CostModel
    samples: Samples
    stops: bool = True
    rivals: Rivals = field(default_factory=Rivals)
    record: PredictionRecord = field(default_factory=PredictionRecord)
    _next: int = 0
    _unfinished: set[int] = field(default_factory=set)
    _own_scores: dict[int, Scores] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._order = order_of(self.samples.indices)

    def watch(self, trial: "optuna.Trial") -> Watch:
        """Begin a trial: what it is expected to cost is written into it."""
        trials = self.study.get_trials(deepcopy=False)
        known = trials[trial.number]  # a trial asks the storage for each of its attributes
        self._read(trials)
        predicted = low = None
        if len(self.rivals) >= _LEAST_POINTS:
            self.model.learn(self.study.study_name, trials)
            means, deviations = self.model.predict_cost([known.params])
            prediction = Prediction(cost_ratio=float(means[0]), cost_deviation=float(deviations[0]))
            trial.set_user_attr(PREDICTED, prediction.to_attribute())
            predicted, low = prediction.cost_ratio, self.record.lowest(prediction)
        return Watch(
            rivals=self.rivals,
            samples=len(self.samples),
            predicted=predicted,
            predicted_low=low,
            may_stop=self.stops and LABEL not in known.user_attrs,
            is_audited=trial.number % _AUDITED_ONE_IN == 0,
        )

    def keep_scores(self, trial: "optuna.Trial", outcome: Outcome, watch: Watch) -> None:
        """Before a trial is told complete: keep its scores sample by sample, if others will be compared with it."""
        if not self.stops or not self.rivals.is_on_front(outcome.cost_ratio, outcome.metric):
            return
        attribute = encode(watch.scores, self._order)
        if attribute is not None:
            trial.set_user_attr(SAMPLE_SCORES, attribute)
        else:
            self._own_scores[trial.number] = watch.scores

    def _read(self, trials: "Sequence[optuna.trial.FrozenTrial]") -> None:
        waiting = sorted(self._unfinished)
        self._unfinished.clear()
        for number in (*waiting, *range(self._next, len(trials))):
            trial = trials[number]
            if not trial.state.is_finished():
                self._unfinished.add(number)
            elif trial.state.name in {"COMPLETE", "PRUNED"}:
                self._take(trial)
        self._next = len(trials)

    def _take(self, trial: "optuna.trial.FrozenTrial") -> None:
        attributes = trial.user_attrs[OUTCOME]
        cost = Cost(**{name: attributes[name] for name in (*LATENCY_NAMES, *INSTRUCTION_NAMES) if name in attributes})
        prediction = Prediction.from_attributes(trial.user_attrs)
        if prediction is not None and math.isfinite(cost.cost_ratio):
            self.record.add(prediction, cost.cost_ratio)
        if trial.state.name == "PRUNED":
            return
        scores = self._own_scores.pop(trial.number, None)
        if scores is None:
            scores = decode(trial.user_attrs.get(SAMPLE_SCORES), len(self.samples), self._order)
        self.rivals.add(
            Rival(
                number=trial.number,
                cost_ratio=cost.cost_ratio,
                cost_ratio_high=cost.cost_ratio_high,
                metric=attributes["metric"],
                scores=scores,
            )
        )


def open_fidelity(study: "optuna.Study", samples: Samples) -> Fidelity:
    """What watches over a study that `paretune search` began.

    Args:
        study: It says which space it searches, and how the network's layers are connected.
        samples: What candidates are validated on, in their fair order.

    Raises:
        SearchError: It does not.
    """
    from search.samplers import learns_from_stopped
    from search.samplers.frontier import FrontierSampler, open_knowledge

    sampler = study.sampler
    # What has a model of the costs already need not fit another.
    model = sampler.knowledge(study) if isinstance(sampler, FrontierSampler) else open_knowledge(study)
    return Fidelity(study=study, model=model, samples=samples, stops=learns_from_stopped(sampler))
