"""A link that comes back: a session while there is one, and another login where it was lost."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latency.errors import TargetError
from latency.transports.ssh.login import where
from latency.transports.ssh.session import SshSession

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hwprofiles import SshReach
    from latency.transports.ssh.event_loop import LoopThread
    from latency.transports.ssh.folder import RemoteFolder

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkSettings:
    """How patient a link is.

    Args:
        attempts: how often a lost link is tried again before the target counts as gone; about nine minutes.
        first_pause_s: before the second attempt; each further one waits twice as long.
        longest_pause_s: the most that one waits.
        keepalive_s: after this long without a word the target is asked for one.
        keepalives: so many of these without an answer, and the link counts as lost.
        grace_s: how long the target keeps workers' files for us after the link was lost.
        silence_s: how long it may hear nothing, not even of the link's loss, before it counts us as gone.

    Raises:
        ValueError: one of them is not above zero.
    """

    attempts: int = 40
    first_pause_s: float = 0.5
    longest_pause_s: float = 15.0
    keepalive_s: float = 10.0
    keepalives: int = 3
    grace_s: float = 60.0
    silence_s: float = 120.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above zero, got {getattr(self, name)}")

    def pauses_s(self) -> Iterator[float]:
        """The pause before each attempt; none before the first."""
        yield 0.0
        for number in range(self.attempts - 1):
            yield min(self.first_pause_s * 2**number, self.longest_pause_s)


class SshLink:
    """The way to a target for as long as a transport is open.

    Args:
        loop: where sessions live.
        reach: where, and as whom.
        folder: the private directory, made again by each session if it is gone.
        settings: how patient it is.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        loop: LoopThread,
        reach: SshReach,
        folder: RemoteFolder,
        settings: LinkSettings,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._loop = loop
        self._reach = reach
        self._folder = folder
        self._settings = settings
        self._sleep = sleep
        self._session: SshSession | None = None
        self._lost = ""

    def open(self) -> None:
        """Logs in for the first time, with one attempt.

        Raises:
            TargetError: it does not work.
        """
        try:
            self._session = SshSession(self._loop, self._reach, self._folder, self._settings)
        except OSError as error:
            raise TargetError(str(error)) from error

    def standing(self) -> SshSession | None:
        """The session, if its link stands at the moment. One whose link was lost is given up."""
        if self._session is not None and (lost := self._session.lost) is not None:
            _log.warning("the link to %s was lost: %s", where(self._reach), lost)
            self.give_up(lost)
        return self._session

    def give_up(self, reason: str) -> None:
        """Ends the session, whatever of it still stands: its link is broken."""
        if self._session is not None:
            self._session.drop()
            self._session, self._lost = None, reason

    def session(self) -> SshSession:
        """The session; another one, after some attempts, where the link was lost.

        Raises:
            TargetError: no attempt succeeded (the next call tries again), or the target has no room, or shows another
                host key.
        """
        return self.standing() or self._log_in_again()

    def close(self) -> None:
        """Removes the folder and logs out, if the link stands; otherwise the keeper does so."""
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _log_in_again(self) -> SshSession:
        problem: OSError | None = None
        for number, pause_s in enumerate(self._settings.pauses_s(), start=1):
            self._sleep(pause_s)
            try:
                self._session = SshSession(self._loop, self._reach, self._folder, self._settings)
            except OSError as error:
                problem = error
                _log.info("attempt %d to reach %s again failed: %s", number, where(self._reach), error)
            else:
                _log.warning("the link to %s stands again after %d attempts", where(self._reach), number)
                return self._session
        msg = (
            f"the link to {where(self._reach)} was lost ({self._lost}) and did not come back in "
            f"{self._settings.attempts} attempts; the last one: {problem}"
        )
        raise TargetError(msg) from problem
