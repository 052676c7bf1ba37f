"""A candidate on its way: scores chunk by chunk, and a cost; what there is of them can be concluded at any time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from search.as_read import as_read
from search.cost import cost_fields
from search.study.partial import PartialOutcome
from search.study.trials import Outcome
from search.trial.costing import Taken
from search.trial.speed_record import as_attribute
from workloads import Accuracy, Drop, RunningEvaluation, paired_drop

if TYPE_CHECKING:
    from latency.elasticity import SpeedReading
    from search.cost import Measured


@dataclass(kw_only=True, eq=False)
class Course:
    """What is known of a candidate so far.

    Attributes:
        running: Its evaluation.
        fp32: FP32's scores, on all samples.
        facts: The fields that an `Outcome` and a `PartialOutcome` share and that are known from the beginning.
        reference_ms: FP32's latency that the ratio is multiplied with; None takes the measurement's own.
        measured: Its cost, once it is measured; a latency looked at from the study's reference speed.
        readings: What was read of the target's speeds meanwhile.
    """

    running: RunningEvaluation
    fp32: Accuracy
    facts: Mapping[str, Any]
    reference_ms: float | None
    measured: "Measured | None" = None
    readings: "Sequence[SpeedReading]" = ()

    def take(self, taken: Taken) -> None:
        """Go on with a cost."""
        self.measured, self.readings = taken.measured, taken.readings

    @property
    def is_complete(self) -> bool:
        """Whether everything is known."""
        return self.running.is_complete and self.measured is not None

    @property
    def measured_low(self) -> float | None:
        """Lower end of the cost ratio's interval; None before it is measured."""
        return None if self.measured is None else self.measured.ratio_low

    def outcome(self) -> Outcome:
        """All figures of a complete course."""
        if self.measured is None:
            raise ValueError("an outcome needs a cost, and none was measured; conclude a partial one")
        accuracy, drop = self._accuracy()
        return Outcome.taken(
            self.measured,
            accuracy,
            drop,
            reference_ms=self.reference_ms,
            grade_reason=self.measured.reason,
            divergence=accuracy.mean_divergence or 0.0,
            readings=as_attribute(self.readings),
            **as_read(self.measured),
            **self.facts,
        )

    def partial(self, reason: str) -> PartialOutcome:
        """The figures that there are, of a course that ends for this reason."""
        found: dict[str, Any] = {}
        if self.measured is not None:
            found = cost_fields(self.measured, self.reference_ms)
            found |= {"grade": self.measured.grade, "grade_reason": self.measured.reason}
            found |= {"readings": as_attribute(self.readings), **as_read(self.measured)}
        # A metric that needs all outputs together has no score before the end.
        if len(self.running.scores):
            accuracy, drop = self._accuracy()
            found |= {"metric": accuracy.value, "divergence": accuracy.mean_divergence or 0.0}
            found |= {"metric_drop": drop.value, "metric_drop_low": drop.low, "metric_drop_high": drop.high}
        return PartialOutcome(samples=self.running.count, reason=reason, **found, **self.facts)

    def _accuracy(self) -> tuple[Accuracy, Drop]:
        accuracy = self.running.evaluation().accuracy
        return accuracy, paired_drop(self.fp32.first(accuracy.count), accuracy)
