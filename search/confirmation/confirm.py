"""Against the winner's curse: the front measured afresh, and validated on samples that the search never saw.

What looks best among many noisy readings was partly lucky (Smith & Winkler 2006, "The optimizer's curse"), so the
search's own figures are never the last word. Candidates are taken in turns, pass by pass, so that slow drift of the
machine falls on all of them alike.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from compress.candidate import Candidate
from compress.errors import CompressionError
from compress.policy import Policy
from latency import MeasurementError, TargetError
from search import pareto
from search.as_read import as_read
from search.confirmation.confirmations import Confirmation, confirmed, read_confirmations, write_confirmations
from search.confirmation.target_validation import TargetValidator
from search.folder.run_folder import RunFolder
from search.point import ALL_8_BIT_LABEL, FP32_LABEL, TrialPoint
from search.progress import Listener, Progress
from search.trial.evaluate import Evaluator
from workloads import WorkloadError

if TYPE_CHECKING:
    from search.cost import Measured

PASSES = 2
MOST_PASSES = 3
KNOWN_WELL = 0.03
"""Half-width of the ratio's interval above which a point gets further passes."""
GONE_AFTER = 3
"""Nominees have been measured before. When so many in a row cannot be, it is the target that fails."""
ENOUGH_POINTS = 14
"""Points near the front are confirmed too, up to this many in all: some of the front will not hold."""
_RECOVERED_FRONTS = 2
"""Of what was recovered, what is on so many successive fronts of all points is confirmed: it took a training each."""


def nominate(points: Sequence[TrialPoint], enough: int = ENOUGH_POINTS) -> list[TrialPoint]:
    """The points to confirm: FP32, all-8-bit and the whole front, then what lies behind it until there are `enough`.

    The front is that of the trials, so that what recovery made of it can be told; what was recovered comes besides,
    as far as it is on the front of all points or close behind.
    """
    complete = [point for point in points if point.state == "complete"]
    fronts = _fronts([point for point in complete if point.is_trial])
    always = [point for point in complete if point.label in (FP32_LABEL, ALL_8_BIT_LABEL)]
    chosen = {point.digest: point for point in [*always, *(fronts[0] if fronts else [])]}
    for behind in fronts[1:]:
        for point in behind:
            if len(chosen) < enough:
                chosen.setdefault(point.digest, point)
    for behind in _fronts(complete)[:_RECOVERED_FRONTS]:
        chosen |= {point.digest: point for point in behind if not point.is_trial}
    return sorted(chosen.values(), key=lambda point: point.key)


def _fronts(points: list[TrialPoint]) -> list[list[TrialPoint]]:
    """Successive fronts, the best first."""
    by_rank: dict[int, list[TrialPoint]] = {}
    for point, rank in zip(points, pareto.ranks([(p.cost_ratio, p.metric) for p in points]), strict=True):
        by_rank.setdefault(rank, []).append(point)
    return [by_rank[rank] for rank in sorted(by_rank)]


def confirm(
    points: Sequence[TrialPoint],
    remake: Callable[[TrialPoint], Candidate],
    evaluator: Evaluator,
    validator: TargetValidator,
    folder: RunFolder,
    reference_ms: float | None,
    listener: Listener,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> list[TrialPoint]:
    """Confirm the nominees and return all points, the confirmed ones with their new figures.

    What is known well enough after a pass is concluded and kept then, whatever becomes of the others. Accuracy is taken
    between the passes, on this host and on the target, so that nothing else of ours runs while a latency is taken.

    Args:
        points: All points of the run.
        remake: Gives the candidate that a point was measured as.
        evaluator: On the part of the validation data that the search never saw.
        validator: On the target itself.
        folder: Confirmations are kept here, so that a resumed run does not repeat them.
        reference_ms: FP32's latency that ratios are multiplied with; None where instructions are counted.
        listener: Told after every candidate of every pass, and why one is not confirmed.
        clock: Monotonic seconds.

    Raises:
        SearchError: A candidate cannot be built again as it was measured.
        TargetError: The target is gone; what was concluded before is kept.
    """
    known = read_confirmations(folder)
    due = [_Turns(point=point, remake=remake) for point in unconfirmed(points, folder)]
    # The same instructions are counted every time.
    least = 1 if any(turn.point.is_emulated for turn in due) else PASSES
    done, lost, started_s = 0, 0, clock()
    for passes in range(1, MOST_PASSES + 1):
        expected = done + len(due) * max(1, least - passes + 1)
        for turn in due:
            note = turn.measure(evaluator)
            done += 1
            lost = lost + 1 if turn.failed else 0
            left_s = (clock() - started_s) / done * (expected - done)
            listener(Progress(stage="confirmation", done=done, total=expected, remaining_s=left_s, note=note))
            if lost == GONE_AFTER:
                raise TargetError(f"{lost} measurements failed one after another; {note}")
        due = [turn for turn in due if not turn.failed]
        for turn in [turn for turn in due if passes >= least and turn.is_known(passes, evaluator, reference_ms)]:
            due.remove(turn)
            try:
                known[turn.point.digest] = turn.conclude(evaluator, validator, reference_ms)
            except (CompressionError, MeasurementError, WorkloadError) as error:
                listener(Progress(stage="confirmation", done=done, total=done, note=turn.refusal(error)))
            else:
                write_confirmations(folder, known)
    return [confirmed(point, known[point.digest]) if point.digest in known else point for point in points]


def unconfirmed(points: Sequence[TrialPoint], folder: RunFolder) -> list[TrialPoint]:
    """The nominees that have no confirmed figures yet."""
    known = read_confirmations(folder)
    return [point for point in nominate(points) if point.digest not in known]


@dataclass(kw_only=True, eq=False)
class _Turns:
    """One nominee's turns, pass by pass."""

    point: TrialPoint
    remake: Callable[[TrialPoint], Candidate]
    measured: "list[Measured]" = field(default_factory=list)
    failed: bool = False
    _policy: Policy = field(init=False)

    def is_known(self, passes: int, evaluator: Evaluator, reference_ms: float | None) -> bool:
        """Whether `passes` are enough: more are taken while little is known."""
        return passes == MOST_PASSES or evaluator.narrowable(self.measured, self._policy, reference_ms) <= KNOWN_WELL

    def measure(self, evaluator: Evaluator) -> str:
        """Take a turn; where that fails, say so."""
        try:
            candidate = self.remake(self.point)
            self._policy = candidate.policy
            self.measured.append(evaluator.measure_afresh(candidate))
        except MeasurementError as error:
            self.failed = True
            return self.refusal(error)
        return ""

    def refusal(self, error: Exception) -> str:
        """Why the point is not confirmed."""
        return f"{self.point.name} is not confirmed: {error}"

    def conclude(self, evaluator: Evaluator, validator: TargetValidator, reference_ms: float | None) -> Confirmation:
        """The confirmed figures.

        Raises:
            CompressionError, MeasurementError, WorkloadError: They cannot be relied on, or not be taken.
            TargetError: The target is gone.
        """
        # By now the others' turns have told more of the target's speeds.
        measured = evaluator.together(self.measured, self._policy, reference_ms)
        if measured.grade == "unreliable":
            raise MeasurementError(f"latency is unreliable: {measured.reason}")
        candidate = self.remake(self.point)
        accuracy, drop = evaluator.validate(candidate)
        there = validator.validate(candidate, accuracy, drop)
        return Confirmation.taken(
            measured,
            accuracy,
            drop,
            reference_ms=reference_ms,
            digest=self.point.digest,
            reason="; ".join(there.problems),
            **as_read(measured),
            **asdict(there.accuracy),
        )
