"""Which candidates of a search are worth a training, decided before it.

A training takes several times what a candidate's figures take, so what is certain to come to nothing should not have
one. How a candidate answers untrained tells little of that: among networks that answered like chance some came back to
within a point of the original, and some did not. What tells is what trainings of similar policies came to. So a
candidate is given up where, at no higher cost, some finished one scores at least as well as this one would if its
training went better than the model of trained damage expects. The cost is measured for it, or predicted where the
run's predictions have been right so far.

The lines that a search must beat are always trained, and one candidate in ten whatever is expected of it: a model that
gave up too much would never learn of it otherwise.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from search.samplers.frontier import Knowledge
from search.study.sample_scores import rounded
from search.study.trials import Outcome
from search.trial.fidelity import CostModel, Fidelity
from search.trial.rivals import Scores
from search.trial.stopping import Watch

if TYPE_CHECKING:
    import optuna

_AUDITED_ONE_IN = 10


class TrainingModel(CostModel, Protocol):
    """What a model of a study must be able to do (`search.samplers.frontier.Knowledge`)."""

    def hope_after_training(self, params: dict[str, Any]) -> float | None:
        """The metric that a training brings if it goes well; None where nothing is known of that."""


@dataclass(kw_only=True, eq=False)
class Promise(Watch):
    """Watches one candidate before its training.

    Attributes:
        hope: The metric that its training brings if it goes well; None where nothing is known of that yet.
        reason: Why it is not worth a training; empty as long as it may be.
    """

    hope: float | None = None
    reason: str = ""

    def verdict(self, scores: Scores, measured_low: float | None = None) -> str:
        """Why the candidate is not worth a training; empty while it may be.

        Args:
            scores: Of the samples so far: without one its divergence would not be known.
            measured_low: Lower end of its measured cost ratio's interval; None before it is measured.
        """
        self.scores = rounded(scores)
        if not self.may_stop or self.hope is None or not len(scores):
            return ""
        is_foreseen = measured_low is None
        low = self.predicted_low if is_foreseen else measured_low
        rival = None if low is None else self.rivals.most_accurate(low)
        if rival is not None and rival.metric >= self.hope:
            self.reason = (
                f"not trained: #{rival.number} scores {rival.metric:.4g} at no higher cost, and this is expected to "
                f"come to {self.hope:.4g} at best; that costs at most {rival.cost_ratio_high:.3f} of FP32 and this at "
                f"least {low:.3f}{', as predicted' if is_foreseen else ''}"
            )
        self.wants_cost = True
        return self.reason


@dataclass(kw_only=True, eq=False)
class TrainingFidelity(Fidelity):
    """Watches over a study that trains its candidates; finished trials are rivals as they are trained."""

    model: TrainingModel

    def watch(self, trial: "optuna.Trial") -> Promise:
        """Begin a trial: what it is expected to cost is written into it."""
        found = super().watch(trial)
        return Promise(
            rivals=found.rivals,
            samples=found.samples,
            predicted=found.predicted,
            predicted_low=found.predicted_low,
            may_stop=found.may_stop and trial.number % _AUDITED_ONE_IN > 0,
            hope=self.model.hope_after_training(trial.params),
        )

    def keep_scores(self, trial: "optuna.Trial", outcome: Outcome, watch: Watch) -> None:
        """Keep none: candidates are compared by what they are trained to, which is scored as a whole."""


def training_fidelity(fidelity: Fidelity) -> TrainingFidelity:
    """Watches over the same study, whose candidates are trained.

    Args:
        fidelity: As `search.trial.fidelity.open_fidelity` opened it.
    """
    model = fidelity.model
    if not isinstance(model, Knowledge):
        raise TypeError(f"what is expected of trainings is told by Knowledge, got {type(model).__name__}")
    return TrainingFidelity(study=fidelity.study, model=model, samples=fidelity.samples, stops=fidelity.stops)
