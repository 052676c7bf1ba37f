"""`recovering.json`: how far the recovery that is going on is, for whoever looks at the run meanwhile."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from search.folder.run_folder import RunFolder, damaged

FORMAT_VERSION = 1
_INTERVAL_S = 2.0


@dataclass(frozen=True, kw_only=True)
class RecoveryState:
    """What a recovery is at.

    Attributes:
        candidate: The name of the candidate that is being trained.
        done: Candidates that are done.
        candidates: Candidates in all.
        step: Updates of the weights done, in all epochs.
        steps: Updates in all epochs.
        epoch: Counted from 1.
        epochs: In all.
        loss: Running mean.
        score: Running mean score on what is learned from; None where nobody can tell.
        remaining_s: Seconds left for all candidates, estimated.
    """

    candidate: str
    done: int
    candidates: int
    step: int
    steps: int
    epoch: int
    epochs: int
    loss: float
    score: float | None
    remaining_s: float

    def detail(self, metric: str) -> str:
        """What a line of progress says besides the time left: '#12 (2 of 5), epoch 1/3, loss 0.21, top1 0.93'."""
        score = "" if self.score is None else f", {metric} {self.score:.4g}"
        where = f"{self.candidate} ({self.done + 1} of {self.candidates}), epoch {self.epoch}/{self.epochs}"
        return f"{where}, loss {self.loss:.3g}{score}"


class StateFile:
    """Keeps the state now and then.

    Args:
        folder: The run's folder.
        clock: Monotonic seconds.
    """

    def __init__(self, folder: RunFolder, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._kept_s = -_INTERVAL_S

    def keep(self, state: RecoveryState) -> None:
        """Write the state, if that was not done lately."""
        if self._clock() - self._kept_s >= _INTERVAL_S:
            self._kept_s = self._clock()
            document = {"format_version": FORMAT_VERSION, "state": asdict(state)}
            self._folder.write(self._folder.recovery_progress_path, json.dumps(document))

    def remove(self) -> None:
        """Nothing is going on any more."""
        self._folder.recovery_progress_path.unlink(missing_ok=True)


def read_state(folder: RunFolder) -> RecoveryState | None:
    """What the recovery of a run is at; None where none is going on.

    Raises:
        RunFolderError: The file is damaged, or of a newer paretune.
    """
    if not folder.is_owned:  # what a killed process has left
        return None
    document = folder.read_json(folder.recovery_progress_path, FORMAT_VERSION)
    if not document:
        return None
    try:
        return RecoveryState(**document["state"])
    except (KeyError, TypeError) as error:
        raise damaged(folder.recovery_progress_path, f"{type(error).__name__}: {error}") from error
