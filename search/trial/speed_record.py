"""Which speeds the target has shown, and how ratios to FP32 follow them.

Measurements taken at different speeds compare only where that is known. Three sources tell: measurements during which
the speed changed, candidates that are measured at several moments (a confirmation), and an anchor, one uniform
candidate of another format than FP32, that is measured once more whenever the target has come to a speed at which it
was not. On a target that keeps its speed nothing is measured more, and nothing is corrected.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from compress.policy import Policy
from latency import Measurement
from latency.elasticity import LEVELS_APART, UNKNOWN, Elasticity, SpeedReading, fit_elasticity
from latency.reference_speed import ReferenceSpeed, speeds_within
from search.layers.format_share import share_in_other_formats
from search.space.space import SearchSpace
from search.study.trials import LABEL, OUTCOME

if TYPE_CHECKING:
    import optuna

MEASURED_BETWEEN = 5
"""Measurements from one of the anchor to the next, at least: a speed that wanders is not to cost a search its time."""

MOST_ANCHORS = 20
"""Measurements of the anchor by one worker. Speeds apart enough to matter, over a range of four, are fewer."""


class SpeedRecord:
    """Learns from measurements, and says how one is to be looked at.

    Args:
        space: Which policies there are; one of its starts is the anchor.
        macs: Layer to multiply-adds.
    """

    def __init__(self, space: SearchSpace, macs: Mapping[str, int]) -> None:
        self._macs = macs
        self._label, self.anchor = _choose_anchor(space)
        self._anchor_digest = ""
        self._readings: dict[str, list[SpeedReading]] = {}
        self._fitted: Elasticity | None = UNKNOWN
        self._since_anchor = MEASURED_BETWEEN
        self._anchors_taken = 0

    @property
    def elasticity(self) -> Elasticity:
        """Of a candidate all of whose work is in other formats than FP32."""
        if self._fitted is None:
            self._fitted = fit_elasticity(
                reading for readings in self._readings.values() if len(readings) > 1 for reading in readings
            )
        return self._fitted

    def speed(self, policy: Policy, reference_ms: float | None) -> ReferenceSpeed | None:
        """How a measurement of the policy's candidate is looked at; None where it stands as it was read.

        Args:
            policy: The candidate's.
            reference_ms: What FP32 takes at the speed that all are to be seen at; None where none is settled yet.
        """
        elasticity = self.elasticity.of_share(share_in_other_formats(policy, self._macs))
        if reference_ms is None or elasticity == UNKNOWN:
            return None
        return ReferenceSpeed(baseline_ms=reference_ms, elasticity=elasticity)

    def learn(self, policy: Policy, measurement: Measurement) -> tuple[SpeedReading, ...]:
        """Take in a measurement, and give back what it said; nothing where it is unreliable."""
        if measurement.grade == "unreliable":
            return ()
        if policy == self.anchor:
            self._anchor_digest = measurement.model_digest
        found = speeds_within(measurement, share_in_other_formats(policy, self._macs))
        self._take(found)
        self._since_anchor += 1
        return found

    def learn_trials(self, trials: Sequence["optuna.trial.FrozenTrial"]) -> None:
        """Take in what trials have left, other workers' and earlier sessions'; what is known is passed over."""
        for trial in trials:
            outcome = trial.user_attrs.get(OUTCOME, {})
            if outcome and self.anchor is not None and trial.user_attrs.get(LABEL) == self._label:
                self._anchor_digest = outcome["digest"]
            self._take(SpeedReading(**reading) for reading in outcome.get("readings", ()))

    def wants_anchor(self, baseline_ms: float) -> bool:
        """Whether the anchor is to be measured again, now that FP32 takes so long.

        It must have been measured before, at no speed close to this one and not just now.
        """
        known = self._readings.get(self._anchor_digest, [])
        if not known or self._since_anchor < MEASURED_BETWEEN or self._anchors_taken >= MOST_ANCHORS:
            return False
        return all(abs(math.log(baseline_ms / reading.baseline_ms)) >= LEVELS_APART for reading in known)

    def begin_anchor(self) -> Policy:
        """The anchor's policy, now that it is being measured, whatever comes of that.

        Raises:
            ValueError: The space has none.
        """
        if self.anchor is None:
            raise ValueError("the space has no policy in another format than FP32 to be an anchor; ask wants_anchor")
        self._anchors_taken += 1
        self._since_anchor = 0
        return self.anchor

    def _take(self, readings: Iterable[SpeedReading]) -> None:
        for reading in readings:
            mine = self._readings.setdefault(reading.model, [])
            if reading not in mine:
                mine.append(reading)
                if len(mine) > 1:
                    self._fitted = None


def _choose_anchor(space: SearchSpace) -> tuple[str, Policy | None]:
    """The first start that is not FP32 throughout, usually all 8-bit, and its label; None where there is none."""
    for start in space.starts():
        policy = space.policy(start.params)
        if any(layer.format != "fp32" for layer in policy.layers.values()):
            return start.label, policy
    return "", None


def as_attribute(readings: Sequence[SpeedReading]) -> list[dict[str, Any]]:
    """Readings as a trial's outcome keeps them."""
    return [
        {"model": each.model, "ratio": each.ratio, "baseline_ms": each.baseline_ms, "share": each.share}
        for each in readings
    ]
