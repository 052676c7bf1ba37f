"""Who is at a trial, and whether whoever that is still lives.

A worker writes its name into the trials that it runs. On its own machine the operating system says whether it lives;
of workers elsewhere only their heartbeats do, so that what they left is taken over some minutes later.
"""

import contextlib
import os
import platform
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from search.study.address import StudyAddress
from search.study.storage import HEARTBEAT_S, open_storage

WORKER = "worker"
"""User attribute of a trial: who is at it, as `WorkerId` has it."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PROCESS_IDS = Path("/proc/self/ns/pid")
_SAME_START_S = 1.0
_JOIN_S = 1.0


@dataclass(frozen=True, kw_only=True)
class WorkerId:
    """A process among all processes of all machines.

    Attributes:
        host: The machine's name, for people.
        machine: The machine since it was started, and the room of process ids in it (containers have their own).
        pid: The process id there.
        since: When the process began, in seconds since 1970: process ids are given again.
    """

    host: str
    machine: str
    pid: int
    since: float

    @classmethod
    def current(cls) -> Self:
        """This process."""
        import psutil

        try:
            machine = f"{_BOOT_ID.read_text().strip()}/{_PROCESS_IDS.stat().st_ino}"
        except OSError:  # not Linux
            machine = f"{platform.node()}/{psutil.boot_time():.0f}"
        return cls(
            host=platform.node(), machine=machine, pid=os.getpid(), since=round(psutil.Process().create_time(), 2)
        )

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> Self | None:
        """Who is at the trial with these user attributes; None where it does not say."""
        found = attributes.get(WORKER)
        return None if found is None else cls(**found)

    def to_attribute(self) -> dict[str, Any]:
        """As a JSON-able user attribute."""
        return asdict(self)

    def is_gone(self, here: "WorkerId") -> bool:
        """Whether the process has ended for certain; False for one of another machine than `here`."""
        import psutil

        if self.machine != here.machine:
            return False
        try:
            process = psutil.Process(self.pid)
            alive = abs(process.create_time() - self.since) < _SAME_START_S
            return not alive or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True


class Heart:
    """Says now and then, from a thread of its own, that this process is still at a trial; a context manager.

    It ends trials too of which nobody has said so for long. It has its own connection to the study: Optuna's `ask`
    holds that heartbeats are for Optuna's own loop alone.

    Args:
        address: Where the study lies.
    """

    def __init__(self, address: StudyAddress) -> None:
        self._address = address
        self._stack = ExitStack()
        self._asked_s = -float(HEARTBEAT_S)

    def __enter__(self) -> Self:
        import optuna

        self._storage = self._stack.enter_context(open_storage(self._address, heartbeats=True))
        self._study = optuna.load_study(study_name=self._address.name, storage=self._storage)
        self._study_id = self._storage.get_study_id_from_name(self._address.name)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @contextmanager
    def beating(self, number: int) -> Iterator[None]:
        """The block works at the trial `number`."""
        trial_id = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
        self._storage.record_heartbeat(trial_id)
        over = threading.Event()

        def beat() -> None:
            while not over.wait(HEARTBEAT_S):
                # A storage that is away is the business of whoever needs an answer from it.
                with contextlib.suppress(Exception):
                    self._storage.record_heartbeat(trial_id)
            self._storage.remove_session()

        thread = threading.Thread(target=beat, name=f"heartbeat of trial {number}", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(timeout=_JOIN_S)

    def end_stale(self) -> None:
        """End the trials whose worker has said nothing for `GRACE_S`; it is looked once in a heartbeat's interval."""
        from optuna.storages import fail_stale_trials

        if time.monotonic() - self._asked_s < HEARTBEAT_S:
            return
        self._asked_s = time.monotonic()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna calls it experimental
            fail_stale_trials(self._study)
