"""When a trial need not go on: what it can still be, some finished point is at no higher cost, and more accurate.

Cost and accuracy are both known by intervals only. A candidate is stopped when a finished point's cost is below its own
with both intervals apart (or below the low end of a prediction, where the run's predictions have been right so far)
and when the evidence of the samples that both were scored on says, wrong at most once in two hundred candidates however
often it is looked at, that the point scores better (`workloads.evidence`). What merely looks worse is finished: the
confirmation is there to judge it.
"""

from dataclasses import dataclass

import numpy as np

from search.rivals import Opposition, Rivals, Scores
from search.sample_scores import rounded
from workloads import Bounds, weigh

ERROR_RATE = 0.005
"""Of candidates that no finished point is better than, at most this share is stopped, over all looks."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Judge:
    """Judges one candidate as its figures come in.

    Attributes:
        rivals: What has finished.
        samples: How many there are.
        predicted_low: The least that it is expected to cost; None where predictions cannot be trusted yet.
        error_rate: Of candidates stopped wrongly.
    """

    rivals: Rivals
    samples: int
    predicted_low: float | None = None
    error_rate: float = ERROR_RATE

    @property
    def can_judge_unmeasured(self) -> bool:
        """Whether a candidate may be stopped before its cost is measured."""
        return self.predicted_low is not None and bool(self.rivals.opposition(self.predicted_low).rivals)

    def verdict(self, scores: Scores, measured_low: float | None = None) -> str:
        """Why the candidate need not go on; empty while it must.

        Args:
            scores: Of the samples so far.
            measured_low: Lower end of its measured cost ratio's interval; None before it is measured.
        """
        low = self.predicted_low if measured_low is None else measured_low
        if low is None or not len(scores):
            return ""
        opposition = self.rivals.opposition(low)
        if not opposition.rivals:
            return ""
        return self._weigh(
            rounded(scores), opposition, f"{'predicted' if measured_low is None else 'measured'} {low:.3f}"
        )

    def _weigh(self, scores: Scores, opposition: Opposition, cost: str) -> str:
        known = [rival.scores[: len(scores)] for rival in opposition.rivals if rival.scores is not None]
        bounds = Bounds(worst=self.rivals.worst, best=self.rivals.best)
        evidence = weigh(scores, np.stack(known), bounds, compared=opposition.compared)
        if not evidence.is_beyond(self.error_rate):
            return ""
        rival = opposition.rivals[evidence.strongest]
        return (
            f"dominated: on the first {len(scores)} of {self.samples} samples #{rival.number} scores "
            f"{known[evidence.strongest].mean():.4g} and this {scores.mean():.4g}, and it costs at most "
            f"{rival.cost_ratio_high:.3f} of FP32 where this costs at least {cost}"
        )
