"""What is said of a recovery while it goes on: on the terminal, and in a file for whoever looks at the run."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from compress.recovery.lineage import TrainingProgress
from search.folder.run_folder import RunFolder
from search.point import TrialPoint
from search.progress import Listener, Progress
from search.recovery.state import RecoveryState, StateFile


@dataclass(kw_only=True, eq=False)
class Telling:
    """Turns steps of a training into steps of the whole recovery; a context manager.

    Attributes:
        folder: The run's folder.
        listener: Told of every step.
        candidates: How many there are to recover.
        metric: What the score is called.
        clock: Monotonic seconds.
    """

    folder: RunFolder
    listener: Listener
    candidates: int
    metric: str
    clock: Callable[[], float] = time.monotonic
    _done: int = 0
    _name: str = ""
    _steps: int = 0
    _until_s: float = 0.0
    _others_s: float = 0.0
    _file: StateFile = field(init=False)

    def __post_init__(self) -> None:
        self._file = StateFile(self.folder, clock=self.clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.remove()

    def say(self, note: str) -> None:
        """Say something worth a line."""
        self._tell(note=note)

    def begin(self, point: TrialPoint, *, until_s: float, typical_s: float) -> None:
        """The next candidate is begun.

        Args:
            point: It.
            until_s: When all should be done.
            typical_s: What a candidate typically takes; 0 where that is not known.
        """
        self._name = point.name
        self._until_s = until_s
        self._others_s = typical_s * (self.candidates - self._done - 1)
        self._tell()

    def listen(self, progress: TrainingProgress) -> None:
        """One step of the candidate's training."""
        self._steps = max(progress.steps, 1)
        state = RecoveryState(
            candidate=self._name,
            done=self._done,
            candidates=self.candidates,
            step=progress.step,
            steps=progress.steps,
            epoch=progress.epoch,
            epochs=progress.epochs,
            loss=progress.loss,
            score=progress.score,
            remaining_s=max(0.0, min(self._until_s - self.clock(), progress.seconds_left + self._others_s)),
        )
        self._file.keep(state)
        self._tell(state)

    def end(self, note: str, *, left: int) -> None:
        """The candidate is done, and so many are left."""
        self._done += 1
        self.candidates = self._done + left
        self._tell(note=note)

    def _tell(self, state: RecoveryState | None = None, *, note: str = "") -> None:
        steps = self._steps or 1
        self.listener(
            Progress(
                stage="recovery",
                done=self._done * steps + (0 if state is None else state.step),
                total=self.candidates * steps,
                remaining_s=None if state is None else state.remaining_s,
                detail="" if state is None else state.detail(self.metric),
                note=note,
            )
        )


def said_of_rest(rest: Sequence[TrialPoint]) -> str:
    """What the time did not suffice for."""
    names = ", ".join(point.name for point in rest[:8]) + (f" and {len(rest) - 8} more" if len(rest) > 8 else "")
    return f"no time is left to recover {names}; the same command goes on with them (--recover-time gives more)"
