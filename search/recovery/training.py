"""One candidate's weights, recovered: from where it was left off, by training where the network can be trained."""

import hashlib
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from compress.errors import CompressionError
from compress.policy import Policy
from compress.recovery.errors import UntrainableError
from compress.recovery.lessons import Lessons
from compress.recovery.lineage import TrainingProgress
from compress.recovery.recovered_weights import RecoveredWeights
from compress.recovery.settings import RecoverySettings
from compress.stitch import Compressor
from latency.worker.turn import working
from search.folder.disk_errors import disk_errors
from search.folder.run_folder import RunFolder
from search.recovery.recoveries import Asked

_TURN_S = 1.0
"""Whoever waits to take times on this machine waits no longer for a training."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class Trainer:
    """Recovers weights.

    Attributes:
        compressor: Knows what policies make of the network.
        lessons: What there is to learn from.
        folder: The run's folder, where unfinished and unmeasured work is kept.
        listener: Told after each step.
    """

    compressor: Compressor
    lessons: Lessons
    folder: RunFolder
    listener: Callable[[TrainingProgress], None]

    def recover(
        self, policy: Policy, asked: Asked, settings: RecoverySettings, *, start: RecoveredWeights | None
    ) -> RecoveredWeights:
        """The candidate's recovered weights; those that an earlier session had ready, or its checkpoint's going on.

        They are kept until `forget` is told that nobody needs them here any more.

        Raises:
            CompressionError: They cannot be recovered.
            WorkloadError: The user's metric failed.
            RunFolderError: The disk is full.
        """
        ready = self._ready_path(asked)
        if ready.is_file():
            try:
                return RecoveredWeights.load(ready)
            except CompressionError as error:
                _log.warning("recovering it again: %s", error)
        self.folder.recovered_path.mkdir(parents=True, exist_ok=True)
        with _Turns() as turns:

            def tell(progress: TrainingProgress) -> None:
                turns.renew()
                self.listener(progress)

            with disk_errors(self.folder.path):
                recovered = self._recover(policy, settings, start, self._checkpoint_path(asked, start), tell)
                recovered.save(ready)
        return recovered

    def _recover(
        self,
        policy: Policy,
        settings: RecoverySettings,
        start: RecoveredWeights | None,
        checkpoint: Path,
        listener: Callable[[TrainingProgress], None],
    ) -> RecoveredWeights:
        from compress.recovery.recover import recover

        try:
            return recover(
                self.compressor, policy, self.lessons, settings, start=start, checkpoint=checkpoint, listener=listener
            )
        except UntrainableError:
            from compress.recovery.reconstruct import reconstruct

            return reconstruct(self.compressor, policy, self.lessons, settings)

    def forget(self, asked: Asked) -> None:
        """Remove what was kept of a candidate on its way."""
        for path in self.folder.recovered_path.glob(f"{_name_of(asked)}.*"):
            path.unlink(missing_ok=True)

    def _ready_path(self, asked: Asked) -> Path:
        return self.folder.recovered_path / f"{_name_of(asked)}.ready.safetensors"

    def _checkpoint_path(self, asked: Asked, start: RecoveredWeights | None) -> Path:
        """A training that begins with other weights is another training."""
        begun = "own" if start is None else start.digest[:16]
        return self.folder.recovered_path / f"{_name_of(asked)}.{begun}.checkpoint.safetensors"


def _name_of(asked: Asked) -> str:
    digest, *others = asked
    return f"{digest[:16]}-{hashlib.sha256(repr(others).encode()).hexdigest()[:16]}"


class _Turns:
    """Hard work in turns with whoever takes times on this machine, renewed now and then."""

    def __init__(self) -> None:
        self._turn = ExitStack()
        self._since_s = 0.0

    def __enter__(self) -> Self:
        self._begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._turn.close()

    def renew(self) -> None:
        """Let others take times, if that was not done lately."""
        if time.monotonic() - self._since_s >= _TURN_S:
            self._turn.close()
            self._begin()

    def _begin(self) -> None:
        self._turn.enter_context(working())
        self._since_s = time.monotonic()
