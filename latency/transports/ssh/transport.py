"""Starts workers on another machine."""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING

from latency.errors import TargetError, WorkerError
from latency.transports.connection import WorkerConnection
from latency.transports.scratch import scratch_folder
from latency.transports.ssh.event_loop import LoopThread
from latency.transports.ssh.folder import RemoteFolder
from latency.transports.ssh.link import LinkSettings, SshLink
from latency.transports.ssh.login import where
from latency.transports.ssh.session import ARCHIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Self

    from hwprofiles import SshReach
    from latency.transports.ssh.process import SshProcess

_WORKER = ("-X", "faulthandler", "{archive}", "serve", "{lock}")
_START_ATTEMPTS = 2  # the second one when the first has shown that the link was lost

_log = logging.getLogger(__name__)


class SshTransport:
    """Starts the worker archive over SSH, in one private folder of the target that disappears with the transport.

    Paths that it gave out stay valid while it is open: what was put is kept here too, and put again where a lost link
    has come back to a target that was restarted.

    Args:
        reach: where, as whom, and with which Python.
        settings: how patient the link is.
        command: what starts a worker there, word by word, with ``{archive}`` and ``{lock}`` where the archive's path
            and that of the file it holds go; None for the ``python_command`` of ``reach``.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        reach: SshReach,
        *,
        settings: LinkSettings | None = None,
        command: Sequence[str] | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._reach = reach
        self._settings = settings or LinkSettings()
        self._command = tuple(command) if command else (*reach.python_command, *_WORKER)
        self._sleep = sleep
        self._open: tuple[RemoteFolder, SshLink] | None = None
        self._stack = contextlib.ExitStack()
        self._connections: list[WorkerConnection] = []
        self._started = 0

    def __enter__(self) -> Self:
        """Log in and make the folder.

        Raises:
            TargetError: the target cannot be reached, is not the one that is known, refuses us, or has no room.
        """
        with contextlib.ExitStack() as stack:
            spool = stack.enter_context(scratch_folder())
            loop = LoopThread()
            stack.callback(loop.close)
            folder = RemoteFolder(where(self._reach), self._reach.folder, spool)
            link = SshLink(loop, self._reach, folder, self._settings, self._sleep)
            stack.callback(link.close)
            link.open()
            self._open = (folder, link)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = None
        try:
            for connection in self._connections:
                connection.close()
        finally:
            self._connections = []
            self._stack.close()

    def start(self) -> WorkerConnection:
        """Starts a worker and returns at once; where the link was lost, once it has come back.

        Raises:
            WorkerError: the link did not come back, or the server starts no more processes.
            TargetError: the target has no room for the files, or shows another host key.
        """
        _folder, link = self._opened()
        self._connections = [connection for connection in self._connections if not connection.closed]
        self._started += 1
        for _ in range(_START_ATTEMPTS):
            session = link.session()
            try:
                connection = WorkerConnection(self._start_on(session.start))
            except ConnectionError as error:
                problem = error
                link.give_up(str(error))
            else:
                self._connections.append(connection)
                return connection
        raise WorkerError(str(problem)) from problem

    def _start_on(self, start: Callable[[Sequence[str], str, str], SshProcess]) -> SshProcess:
        lock = f"worker-{self._started}.lock"
        paths = {"{archive}": self.path(ARCHIVE), "{lock}": self.path(lock)}
        words = [paths.get(word, word) for word in self._command]
        return start(words, f"worker {self._started} on {where(self._reach)}", lock)

    def put(self, data: bytes, name: str) -> str:
        """Stores bytes under a name in the private folder and returns their path.

        While the link is lost they wait here, and are put when it has come back: no worker lives until then.

        Raises:
            TargetError: there is no room for them.
        """
        folder, link = self._opened()
        folder.keep(data, name)
        session = link.standing()
        if session is not None:
            try:
                session.put(name)
            except ConnectionError as error:
                _log.warning("%s; it will be put again when the link stands", error)
                link.give_up(str(error))
            except TargetError:
                folder.forget(name)
                raise
        return self.path(name)

    def get(self, path: str) -> bytes:
        """Reads a file that a worker wrote.

        Raises:
            FileNotFoundError: there is none.
            WorkerError: the link was lost.
        """
        _folder, link = self._opened()
        try:
            return link.session().get(path)
        except ConnectionError as error:
            link.give_up(str(error))
            raise WorkerError(str(error)) from error

    def path(self, name: str) -> str:
        """The path of a name in the private folder."""
        folder, _link = self._opened()
        return f"{folder.path}/{name}"

    def remove(self, path: str) -> None:
        """Removes a stored file; one that is gone is not missed."""
        folder, link = self._opened()
        folder.forget(path.removeprefix(f"{folder.path}/"))
        session = link.standing()
        if session is not None:
            session.remove(path)

    def _opened(self) -> tuple[RemoteFolder, SshLink]:
        if self._open is None:
            raise RuntimeError("the transport is not open; use it in a with statement")
        return self._open
