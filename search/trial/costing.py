"""A candidate's cost on the target: counted as it is, timed and then looked at from the study's reference speed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from compress.candidate import Candidate
from compress.errors import CompressionError
from compress.policy import Policy
from latency import SEARCH, Effort, Measurement, MeasurementError, combine
from latency.elasticity import SpeedReading
from search.stages import StageClock
from search.trial.speed_record import SpeedRecord
from search.trial.turns import WAITING

if TYPE_CHECKING:
    from latency import Meter
    from latency.emulation.instruction_meter import InstructionMeter
    from search.cost import Measured


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A cost, and what was read of the target's speeds on the way.

    Attributes:
        measured: The cost; a latency is looked at from the reference speed, as far as anything is known of speeds.
        readings: Of the candidate and, where it was measured again, of the anchor.
    """

    measured: "Measured"
    readings: tuple[SpeedReading, ...] = ()


class Costing:
    """Takes costs, and keeps the record of the target's speeds.

    Args:
        meter: Measures on the target.
        build: Makes a policy's candidate.
        speeds: The record; None where cost is none of time.
        stages: Where the seconds are counted.
    """

    def __init__(
        self,
        meter: "Meter | InstructionMeter",
        *,
        build: Callable[[Policy], Candidate],
        speeds: SpeedRecord | None,
        stages: StageClock,
    ) -> None:
        self._meter = meter
        self._build = build
        self._speeds = speeds
        self._stages = stages

    def expect(self, candidate: Candidate) -> None:
        """Lets the target prepare for a candidate that will probably be measured, while this host looks at it.

        Raises:
            TargetError: The target is gone.
        """
        with self._stages.stage("latency overhead"):
            self._meter.expect(candidate.onnx_bytes, session_entries=candidate.session_entries, digest=candidate.digest)

    def take(self, candidate: Candidate, effort: Effort, reference_ms: float | None) -> Taken:
        """A candidate's cost, measured or known from before.

        Args:
            candidate: What is measured.
            effort: How exactly.
            reference_ms: What FP32 takes at the reference speed; None where there is none yet.

        Raises:
            MeasurementError: It cannot be measured.
            TargetError: The target is gone.
        """
        if self._speeds is None:
            return Taken(measured=self._time(candidate, effort))
        count = self._meter.cost.measured
        measured = self._time(candidate, effort)
        readings = self._learn(candidate, measured)
        is_new = self._meter.cost.measured > count  # what the log had says nothing of the speed that the target has now
        if is_new and readings and self._speeds.wants_anchor(readings[0].baseline_ms):
            readings += self._take_anchor(self._speeds)
        return Taken(measured=self.together([measured], candidate.policy, reference_ms), readings=readings)

    def take_afresh(self, candidate: Candidate, effort: Effort) -> "Measured":
        """A new measurement whatever is known already, as it is read.

        Raises:
            MeasurementError: It cannot be measured.
            TargetError: The target is gone.
        """
        measured = self._time(candidate, effort, fresh=True)
        self._learn(candidate, measured)
        return measured

    def together(self, measured: Sequence["Measured"], policy: Policy, reference_ms: float | None) -> "Measured":
        """Several measurements of one candidate as one, at the reference speed as far as anything is known of speeds.

        Args:
            measured: One or more; counts of instructions do not differ.
            policy: The candidate's.
            reference_ms: What FP32 takes at the reference speed; None where there is none.
        """
        latencies = [each for each in measured if isinstance(each, Measurement)]
        speed = None if self._speeds is None else self._speeds.speed(policy, reference_ms)
        if len(latencies) > 1:
            return combine(latencies, speed)
        return latencies[0].at(speed) if latencies else measured[-1]

    def narrowable(self, measured: Sequence["Measured"], policy: Policy, reference_ms: float | None) -> float:
        """Half the relative width of their interval as far as more measurements could narrow it.

        What is uncertain of how the ratio follows the target's speed they could not.
        """
        whole = self.together(measured, policy, reference_ms)
        if isinstance(whole, Measurement) and whole.speed is not None:
            return whole.at(whole.speed.certain).ratio_half_width
        return whole.ratio_half_width

    def _take_anchor(self, speeds: SpeedRecord) -> tuple[SpeedReading, ...]:
        anchor = speeds.begin_anchor()
        try:
            candidate = self._build(anchor)
            return self._learn(candidate, self._time(candidate, SEARCH, fresh=True))
        except (CompressionError, MeasurementError):
            return ()  # then a little less is known of this speed

    def _learn(self, candidate: Candidate, measured: "Measured") -> tuple[SpeedReading, ...]:
        if self._speeds is None or not isinstance(measured, Measurement):
            return ()
        return self._speeds.learn(candidate.policy, measured)

    def _time(self, candidate: Candidate, effort: Effort, *, fresh: bool = False) -> "Measured":
        cost = self._meter.cost
        inference_s, waited_s = cost.inference_s, cost.waited_s
        with self._stages.stage("latency overhead"):
            measurement = self._meter.measure(
                candidate.onnx_bytes,
                session_entries=candidate.session_entries,
                digest=candidate.digest,
                effort=effort,
                fresh=fresh,
            )
        self._stages.move("latency overhead", "latency inference", cost.inference_s - inference_s)
        self._stages.move("latency overhead", WAITING, cost.waited_s - waited_s)
        return measurement
