"""How long trials take, what is left of the time, and whether another trial fits into it."""

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from search.trial.training import TrainsTrials


@dataclass(frozen=True, kw_only=True)
class Budget:
    """When to stop starting trials.

    Attributes:
        trials: Finished trials wanted in the study, those of earlier sessions and of other workers included; None for
            no such limit.
        deadline_s: On the loop's clock; confirmation has to be over by then. None for no such limit.
        own_trials: Trials that one loop itself may run to their end; None for no such limit.
    """

    trials: int | None = None
    deadline_s: float | None = None
    own_trials: int | None = None


@dataclass(kw_only=True)
class Outlook:
    """What the time of a loop is spent on, and suffices for.

    What trials take and what trainings in them take is kept apart: confirming a front takes a multiple of the former.

    Attributes:
        budget: When to stop.
        confirmation_s: Estimates the seconds that confirming a front of the given size takes, from the median seconds
            per trial.
        trainer: Trains candidates before they get their values; None where none does.
        clock: Monotonic seconds.
    """

    budget: Budget
    confirmation_s: Callable[[int, float], float]
    trainer: TrainsTrials | None
    clock: Callable[[], float]
    _trial_seconds: list[float] = field(default_factory=list)

    @contextmanager
    def timing(self, has_ended: Callable[[], bool]) -> Iterator[None]:
        """The block runs a trial, which counts if it has ended by then."""
        started_s, trained_s = self.clock(), self._trained_s
        yield
        if has_ended():
            self._trial_seconds.append(self.clock() - started_s - (self._trained_s - trained_s))

    def is_late(self, front_size: int) -> bool:
        """Whether another trial would not be over in time for the front's confirmation."""
        if self.budget.deadline_s is None:
            return False
        training_s = 0.0 if self.trainer is None else self.trainer.typical_s
        needed_s = self._typical_s + training_s + self._confirming_s(front_size)
        return self.clock() + needed_s >= self.budget.deadline_s

    def ends_s(self, front_size: int) -> float | None:
        """When the last trial has to be over, on the clock; None where that does not matter."""
        deadline_s = self.budget.deadline_s
        return None if deadline_s is None else deadline_s - self._confirming_s(front_size)

    def remaining_s(self, *, finished: int, own: int, front_size: int) -> float | None:
        """Seconds until the front is confirmed; None before that can be told.

        Args:
            finished: Trials of the study that count.
            own: Those that this loop has run.
            front_size: Points on the front.
        """
        known = [] if self.budget.deadline_s is None else [self.budget.deadline_s - self.clock()]
        if self.budget.trials is not None and self._trial_seconds:
            trial_s = self._typical_s + self._trained_s / max(own, 1)
            known.append((self.budget.trials - finished) * trial_s + self._confirming_s(front_size))
        return max(0.0, min(known)) if known else None

    @property
    def _typical_s(self) -> float:
        return statistics.median(self._trial_seconds) if self._trial_seconds else 0.0

    @property
    def _trained_s(self) -> float:
        return 0.0 if self.trainer is None else self.trainer.spent_s

    def _confirming_s(self, front_size: int) -> float:
        return self.confirmation_s(front_size, self._typical_s)
