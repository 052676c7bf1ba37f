"""When a trial need not go on: what it can still be, some finished point is at no higher cost, and more accurate.

Cost and accuracy are both known by intervals only. A candidate is stopped when a finished point's cost is below its own
with both intervals apart (or below the low end of a prediction, where the run's predictions have been right so far)
and when the evidence of the samples that both were scored on says, wrong at most once in two hundred candidates however
often it is looked at, that the point scores better (`workloads.evidence`). What merely looks worse is finished: the
confirmation is there to judge it.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from search.study.sample_scores import rounded
from search.trial.rivals import Opposition, Rivals, Scores
from workloads import Bounds, weigh

ERROR_RATE = 0.005
"""Of candidates that no finished point is better than, at most this share is stopped, over all looks."""


@dataclass(kw_only=True, eq=False)
class Watch:
    """Watches one candidate as its figures come in.

    Attributes:
        rivals: What has finished.
        samples: How many there are to score a candidate on.
        predicted: What it is expected to cost; None where nothing is known yet.
        predicted_low: The least that it is expected to cost; None where predictions cannot be trusted yet.
        may_stop: Whether it may be stopped. Lines that a search must beat (FP32, uniform policies) may not.
        is_audited: Whether its cost is measured even where a prediction would do: the record of predictions would lack
            the ones that were too high without that.
        error_rate: Of candidates stopped wrongly.
        wants_cost: Whether a measurement of the cost is what is likely to stop it.
        scores: The candidate's, of the samples that were run.
    """

    rivals: Rivals
    samples: int
    predicted: float | None = None
    predicted_low: float | None = None
    may_stop: bool = True
    is_audited: bool = False
    error_rate: float = ERROR_RATE
    wants_cost: bool = False
    scores: Scores = field(default_factory=lambda: np.zeros(0))

    def verdict(self, scores: Scores, measured_low: float | None = None) -> str:
        """Why the candidate need not go on; empty while it must.

        Args:
            scores: Of the samples so far.
            measured_low: Lower end of its measured cost ratio's interval; None before it is measured.
        """
        self.scores = rounded(scores)
        if not self.may_stop or not len(scores):
            return ""
        if measured_low is not None:
            return self._dominated(measured_low, f"{measured_low:.3f}")
        if self.predicted_low is not None:
            reason = self._dominated(self.predicted_low, f"{self.predicted_low:.3f}, as predicted")
            if reason and not self.is_audited:
                return reason
        likely = math.inf if self.predicted is None else self.predicted
        self.wants_cost = bool(self._dominated(likely, ""))
        return ""

    def _dominated(self, low: float, cost: str) -> str:
        """By whom, if the candidate costs `low` at least."""
        opposition = self.rivals.opposition(low)
        return self._weigh(opposition, cost) if opposition.rivals else ""

    def _weigh(self, opposition: Opposition, cost: str) -> str:
        count = len(self.scores)
        known = np.stack([rival.scores[:count] for rival in opposition.rivals if rival.scores is not None])
        bounds = Bounds(worst=self.rivals.worst, best=self.rivals.best)
        evidence = weigh(self.scores, known, bounds, compared=opposition.compared)
        if not evidence.is_beyond(self.error_rate):
            return ""
        rival = opposition.rivals[evidence.strongest]
        return (
            f"dominated by #{rival.number}: on the first {count} of {self.samples} samples that scores "
            f"{known[evidence.strongest].mean():.4g} and this {self.scores.mean():.4g}; that costs at most "
            f"{rival.cost_ratio_high:.3f} of FP32 and this at least {cost}"
        )
