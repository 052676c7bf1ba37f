"""What a study knows, owes and is at, kept up to date with what any number of workers write into it."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from compress.policy import Policy
from search.point import FP32_LABEL
from search.space.space import Choice, SearchSpace
from search.study.liveness import WorkerId
from search.study.partial import is_partial
from search.study.trials import (
    DUPLICATE_OF,
    LABEL,
    OUTCOME,
    POSTPONED,
    REASON,
    Outcome,
    built_digest,
    is_finished,
    is_unfinished,
    outcomes_of,
)

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, kw_only=True)
class Planned:
    """Parameters to try before the sampler is asked, and the user attributes that their trial starts with."""

    params: Mapping[str, Choice]
    attributes: Mapping[str, object] = field(default_factory=dict)


@dataclass(kw_only=True)
class Seen:
    """What the study knows already, what is being tried, and what it owes.

    Attributes:
        space: What the study searches.
        here: This worker.
        candidates: Policy digest to the digest of the candidate that it became, empty when it failed.
        planned: What to try next. It is kept here and not in Optuna's own queue, which only grows at its end: after
            an interruption the first thing to try must be first again.
        outcomes: What completed trials found.
        finished: How many trials count towards the number asked for.
        open: The trials that have not ended, by number: the policy's digest, or None while its parameters are chosen.
        end_stale: Ends the trials of workers that nothing was heard of for long.
        lost: Those that were being chosen for so long that nobody waits for them any more.
    """

    space: SearchSpace
    here: WorkerId
    candidates: dict[str, str] = field(default_factory=dict)
    planned: deque[Planned] = field(default_factory=deque)
    outcomes: list[Outcome] = field(default_factory=list)
    finished: int = 0
    open: dict[int, str | None] = field(default_factory=dict)
    end_stale: Callable[[], None] = lambda: None
    lost: set[int] = field(default_factory=set)
    _known: int = 0
    _queued: set[int] = field(default_factory=set)
    _elsewhere: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._knobs = {knob.name for knob in self.space.knobs}

    def __len__(self) -> int:
        """How many policies have been tried or are being tried."""
        return len(self.candidates.keys() | {digest for digest in self.open.values() if digest is not None})

    def __contains__(self, policy: Policy) -> bool:
        return policy.digest in self.candidates or policy.digest in self.open.values()

    @property
    def queued(self) -> bool:
        """Whether a trial waits in the study for whoever asks next."""
        return bool(self._queued)

    @property
    def elsewhere(self) -> int:
        """How many trials other workers are at."""
        return len(self._elsewhere)

    def add(self, policy: Policy, digest: str) -> None:
        """Remember that `policy` became the candidate `digest` (empty when it failed)."""
        self.candidates[policy.digest] = digest

    def refresh(self, study: "optuna.Study") -> None:
        """Take in what any worker has written since; what a worker left behind is planned again.

        It costs what is new: trials that have ended are read once.
        """
        self._read(study)
        if self._elsewhere and self._bury(study):
            self._read(study)

    def _read(self, study: "optuna.Study") -> None:
        trials = study.get_trials(deepcopy=False)
        for number in [*self.open, *range(self._known, len(trials))]:
            self._take(trials[number])
        self._known = len(trials)

    def earlier(self, number: int, policy: Policy) -> int | None:
        """The number of a trial before `number` that is at `policy` too; None where there is none."""
        return next(
            (other for other in sorted(self.open) if other < number and self.open[other] == policy.digest), None
        )

    def choosing_before(self, number: int) -> set[int]:
        """The trials before `number` that other workers still choose parameters for."""
        return {other for other, digest in self.open.items() if other < number and digest is None} - self.lost

    def _bury(self, study: "optuna.Study") -> bool:
        """End what workers that are gone were at; whether there was anything."""
        self.end_stale()
        trials = study.get_trials(deepcopy=False)
        workers = {number: WorkerId.of(trials[number].user_attrs) for number in self._elsewhere}
        left = [number for number, worker in workers.items() if worker is not None and worker.is_gone(self.here)]
        for number in left:
            end_left_running(study, trials[number])
        return bool(left)

    def _take(self, trial: "optuna.trial.FrozenTrial") -> None:
        number, state = trial.number, trial.state.name
        self._queued.discard(number)
        self._elsewhere.discard(number)
        complete = set(trial.params) == self._knobs
        if not trial.state.is_finished():
            if self.open.get(number) is None:
                self.open[number] = self.space.policy(trial.params).digest if complete else None
            worker = WorkerId.of(trial.user_attrs)
            if state == "WAITING":
                self._queued.add(number)
            elif worker is not None and worker != self.here:
                self._elsewhere.add(number)
            return
        digest = self.open.pop(number, None)
        if is_finished(trial):
            self.finished += 1
            self.outcomes.extend(outcomes_of([trial]))
            digest = digest or self.space.policy(trial.params).digest
            self.candidates[digest] = built_digest(trial)
        elif DUPLICATE_OF in trial.user_attrs:
            digest = digest or self.space.policy(trial.params).digest
            self.candidates[digest] = trial.user_attrs[DUPLICATE_OF]
        elif complete and is_unfinished(trial):
            self._plan_again(trial)

    def _plan_again(self, trial: "optuna.trial.FrozenTrial") -> None:
        policy = self.space.policy(trial.params)
        if policy.digest in self.candidates:
            return
        plan = Planned(params=trial.params, attributes=kept_attributes(trial.user_attrs))
        if plan.attributes.get(LABEL) == FP32_LABEL:
            self.planned.appendleft(plan)  # everything else is reported against it
        else:
            self.planned.append(plan)


def resume(
    study: "optuna.Study",
    space: SearchSpace,
    *,
    joins: bool = False,
    end_stale: Callable[[], None] = lambda: None,
) -> Seen:
    """Put the study right after a crash and plan what comes before the sampler's own proposals.

    That is the space's starting points as far as they have no result, then what a killed process was at and what
    waits for a second try. Trials that no living worker is at end here: with their figures if these had been written
    already, else without counting.

    Args:
        study: The study.
        space: What it searches.
        joins: Whether another process owns the study: then what does not say who is at it is left to that one.
        end_stale: Ends the trials of workers that nothing was heard of for long (`search.study.liveness.Heart`).

    Returns:
        What has been seen so far.
    """
    here = WorkerId.current()
    end_stale()
    for trial in study.get_trials(deepcopy=False):
        worker = WorkerId.of(trial.user_attrs)
        nobody = not joins if worker is None else worker == here or worker.is_gone(here)
        if trial.state.name == "RUNNING" and nobody:
            end_left_running(study, trial)
        elif trial.state.name == "WAITING" and not joins:  # asking is the only way to take it out of Optuna's queue
            mark_interrupted(study, study.ask().number)
    seen = Seen(space=space, here=here, end_stale=end_stale)
    seen.refresh(study)
    starts = [Planned(params=start.params, attributes={LABEL: start.label}) for start in space.starts()]
    seen.planned = deque(_distinct(space, seen, [*starts, *seen.planned]))
    return seen


def _distinct(space: SearchSpace, seen: Seen, wanted: Sequence[Planned]) -> list[Planned]:
    """One plan for each policy that has no result, with the attributes of all."""
    planned: dict[str, Planned] = {}
    for plan in wanted:
        digest = space.policy(plan.params).digest
        if digest not in seen.candidates:
            before = planned.get(digest, plan)
            planned[digest] = Planned(params=plan.params, attributes={**plan.attributes, **before.attributes})
    return list(planned.values())


def kept_attributes(attributes: Mapping[str, object]) -> dict[str, object]:
    """What the next trial of the same policy inherits from one that came to nothing."""
    return {name: attributes[name] for name in (LABEL, POSTPONED) if name in attributes}


def end_left_running(study: "optuna.Study", trial: "optuna.trial.FrozenTrial") -> None:
    """End a trial that nobody is at any more, with its figures where it has them; another worker may be faster."""
    from optuna.exceptions import UpdateFinishedTrialError
    from optuna.trial import TrialState

    try:
        outcome = trial.user_attrs.get(OUTCOME)
        if outcome is not None and is_partial(outcome):
            study.tell(trial.number, state=TrialState.PRUNED)
        elif outcome is not None:
            study.tell(trial.number, Outcome(**outcome).values)
        elif {REASON, DUPLICATE_OF} & set(trial.user_attrs):
            study.tell(trial.number, state=TrialState.FAIL)
        else:
            mark_interrupted(study, trial.number)
    except (UpdateFinishedTrialError, ValueError):
        if not study.get_trials(deepcopy=False)[trial.number].state.is_finished():
            raise


def end_own(study: "optuna.Study", here: WorkerId) -> None:
    """The same for every running trial that `here` is at, and will not go on with."""
    import optuna

    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        if WorkerId.of(trial.user_attrs) == here:
            end_left_running(study, trial)


def mark_interrupted(study: "optuna.Study", number: int) -> None:
    """End the running trial `number` without counting it: a failure without a reason is none of the policy's."""
    import optuna

    study.tell(number, state=optuna.trial.TrialState.FAIL)
