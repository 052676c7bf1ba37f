"""One candidate from bytes to figures: checked, validated, timed.

Every candidate is checked on this host before it goes to the target. Where the target is ONNX Runtime's processor
engine on this host's architecture, both rewrite the graph and choose kernels alike, so the kernels found here must be
the policy's. For every other target (a GPU, TensorRT, another architecture) this host's kernels say nothing: biases in
float, as TensorRT wants them, keep convolutions in float here. There the check keeps what says that the graph is right
(optimized and unoptimized outputs agree, and are finite), accuracy on this host serves the search, and the kernels that
really run are read back from the target at confirmation (`search.confirmation.target_kernels`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from compress.candidate import Candidate
from compress.faithfulness import open_checked
from compress.policy import Policy
from compress.runtime import open_session
from compress.stitch import Compressor
from hwprofiles import HardwareProfile, Machine
from latency import CONFIRM, RETRY, SEARCH
from search.stages import StageClock
from search.study.partial import PartialOutcome
from search.study.trials import Outcome
from search.trial.costing import Costing
from search.trial.course import Course
from search.trial.pace import Pace
from search.trial.speed_record import SpeedRecord
from search.trial.stopping import Watch
from search.trial.turns import in_turn
from search.trial.validation import BATCH_SIZE, Validation, counting
from workloads import Accuracy, Drop, Predict, RunningEvaluation, Samples, evaluate, paired_drop, session_predictor

if TYPE_CHECKING:
    from latency import Meter
    from latency.emulation.instruction_meter import InstructionMeter
    from search.cost import Measured

CHECKED_SAMPLES = 8
"""Samples on which optimized and unoptimized outputs are compared."""


def has_same_kernels(profile: HardwareProfile, target: Machine, host: Machine) -> bool:
    """Whether this host's ONNX Runtime runs a candidate with the kernels that the target will run it with."""
    return profile.engine.provider == "CPUExecutionProvider" and target.architecture == host.architecture


class Evaluator:
    """Takes the figures of candidates, cheapest first.

    Args:
        compressor: Builds them.
        validation: The part of the data to validate on.
        meter: Measures the cost on the target.
        threads: Threads for accuracy runs on this machine.
        target_batch_size: Samples per inference on the target: those that share the ranges of dynamic formats.
        judge_kernels: Whether the kernels of this host are those of the target (`has_same_kernels`).
        stages: Where the seconds are counted.
        pace: What is known already of how long samples and measurements take.
        speeds: What is known of the target's speeds; None where cost is none of time.
    """

    def __init__(
        self,
        *,
        compressor: Compressor,
        validation: Validation,
        meter: "Meter | InstructionMeter",
        threads: int,
        target_batch_size: int,
        judge_kernels: bool = True,
        stages: StageClock,
        pace: Pace | None = None,
        speeds: SpeedRecord | None = None,
    ) -> None:
        self._compressor = compressor
        self._validation = validation
        self._threads = threads
        self._target_batch_size = target_batch_size
        self._judge_kernels = judge_kernels
        self._stages = stages
        self._pace = Pace() if pace is None else pace
        self.speeds = speeds
        self._costing = Costing(meter, build=self.build, speeds=speeds, stages=stages)
        self._checked_feeds, _ = next(validation.samples.batches(CHECKED_SAMPLES))
        fp32 = open_session(compressor.network.onnx_bytes, threads=threads)
        self._checked_reference = fp32.run(None, dict(self._checked_feeds))

    @property
    def samples(self) -> Samples:
        """What candidates are validated on."""
        return self._validation.samples

    def build(self, policy: Policy) -> Candidate:
        """The policy's candidate.

        Raises:
            PolicyError: It cannot be built.
        """
        with in_turn(self._stages, "building"):
            return self._compressor.build(policy)

    def evaluate(
        self,
        candidate: Candidate,
        reference_ms: float | None = None,
        *,
        again: bool = False,
        watch: Watch | None = None,
    ) -> Outcome | PartialOutcome:
        """The figures of a candidate as the search sees them, or what of them it takes to know that they do not matter.

        The check comes first: what the runtime does not run as its policy says has no figures. Then whichever takes
        less time of the next chunk of samples and the measurement of the cost; the cost, once the samples say that it
        is likely to decide. An unreliable cost ends it, since it will be tried again.

        Args:
            candidate: What to evaluate.
            reference_ms: FP32's latency that the ratio is multiplied with; None takes this measurement's own.
            again: Whether an earlier measurement could not tell enough, so that this one takes more effort.
            watch: Who may stop it; None lets it run to its end.

        Raises:
            CompressionError: It does not load, or does not run as its policy says.
            WorkloadError: Its outputs or scores are not finite.
            MeasurementError: Its cost cannot be measured.
            TargetError: The target is gone.
        """
        course = self._begin(candidate, reference_ms)
        while not course.is_complete:
            if course.measured is None and self._measures_next(course, watch):
                with self._pace.measuring():
                    taken = self._costing.take(candidate, RETRY if again else SEARCH, reference_ms)
                course.take(taken)
                if taken.measured.grade == "unreliable":
                    return course.partial(f"latency is unreliable: {taken.measured.reason}")
            else:
                self._advance(course)
            reason = "" if watch is None else watch.verdict(course.running.scores, course.measured_low)
            if reason and not course.is_complete:  # what is there need not be thrown away
                return course.partial(reason)
        return course.outcome()

    def _begin(self, candidate: Candidate, reference_ms: float | None) -> Course:
        self._costing.expect(candidate)
        with in_turn(self._stages, "checking"):
            checked = open_checked(
                candidate,
                self._compressor.network,
                self._checked_feeds,
                self._checked_reference,
                threads=self._threads,
                judge_kernels=self._judge_kernels,
            )
            checked.faithfulness.require()
        running = RunningEvaluation(
            counting(session_predictor(checked.session), self._stages),
            self._validation.samples,
            self._validation.metric,
            batch_size=self._batch_size(candidate),
            reference=self._validation.fp32,
        )
        facts = {
            "digest": candidate.digest,
            "model_bytes": len(candidate.onnx_bytes),
            "kernels": checked.faithfulness.kernels,
            "ranks": candidate.ranks,
            "rounding": checked.faithfulness.relative_difference,
        }
        return Course(running=running, fp32=self._validation.fp32.accuracy, facts=facts, reference_ms=reference_ms)

    def _measures_next(self, course: Course, watch: Watch | None) -> bool:
        """Whether the cost comes before further samples: whichever is cheaper, of those that can stop the trial."""
        if course.running.is_complete or watch is None or not watch.may_stop:
            return course.running.is_complete
        return watch.wants_cost or self._pace.is_measuring_cheaper(self._next_end(course) - course.running.count)

    def _advance(self, course: Course) -> None:
        before, end = course.running.count, self._next_end(course)
        with self._stages.stage("scoring"), self._pace.validating(end - before):
            course.running.advance(end)

    def _next_end(self, course: Course) -> int:
        return next(end for end in self._validation.ends if end > course.running.count)

    def validate(self, candidate: Candidate) -> tuple[Accuracy, Drop]:
        """Score and drop of a candidate that has been checked before.

        Raises:
            CompressionError: It does not load.
            WorkloadError: Its outputs or scores are not finite.
        """
        with self._stages.stage("session loading"):
            session = open_session(
                candidate.onnx_bytes, threads=self._threads, session_entries=candidate.session_entries
            )
        return self._score(candidate, session_predictor(session))

    def measure_afresh(self, candidate: Candidate) -> "Measured":
        """A new measurement with the confirmation's effort, whatever is known already, as it is read.

        Raises:
            MeasurementError: It cannot be measured.
            TargetError: The target is gone.
        """
        return self._costing.take_afresh(candidate, CONFIRM)

    def together(self, measured: Sequence["Measured"], policy: Policy, reference_ms: float | None) -> "Measured":
        """Several measurements of one policy's candidate as one, at the reference speed (`Costing.together`)."""
        return self._costing.together(measured, policy, reference_ms)

    def narrowable(self, measured: Sequence["Measured"], policy: Policy, reference_ms: float | None) -> float:
        """Half the relative width of their interval as far as more could narrow it (`Costing.narrowable`)."""
        return self._costing.narrowable(measured, policy, reference_ms)

    def _score(self, candidate: Candidate, predict: Predict) -> tuple[Accuracy, Drop]:
        validation = self._validation
        with self._stages.stage("scoring"):
            accuracy = evaluate(
                counting(predict, self._stages),
                validation.samples,
                validation.metric,
                batch_size=self._batch_size(candidate),
                reference=validation.fp32,
            ).accuracy
            return accuracy, paired_drop(validation.fp32.accuracy, accuracy)

    def _batch_size(self, candidate: Candidate) -> int:
        return self._target_batch_size if candidate.depends_on_batch else BATCH_SIZE
