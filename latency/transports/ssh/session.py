"""What stands on one login: file transfer, the folder's keeper, and processes. When the link goes, all of it goes."""

from __future__ import annotations

import asyncio
import logging
import secrets
import shlex
from typing import TYPE_CHECKING

import asyncssh

from latency.errors import OperationError, TargetError, WorkerError
from latency.transports.connection import WorkerConnection
from latency.transports.ssh.login import log_in, where
from latency.transports.ssh.process import SshProcess, execute
from latency.worker.keep import CLAIM
from latency.worker_archive import build_archive

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hwprofiles import SshReach
    from latency.transports.ssh.event_loop import LoopThread
    from latency.transports.ssh.folder import RemoteFolder
    from latency.transports.ssh.link import LinkSettings

ARCHIVE = "worker.pyz"
_KEEPER_START_S = 60.0  # a small board starts Python slowly
_KEEPER_ANSWER_S = 15.0  # it waits up to 5 s for a process that it killed
_TAKEOVERS = 3  # how often the folder may be removed under our hands

_log = logging.getLogger(__name__)


class SshSession:
    """A login with the folder made, its keeper started and all files in place.

    Args:
        loop: where it lives.
        reach: where, and as whom.
        folder: the private directory.
        settings: how long what may take.

    Raises:
        TargetError: the target does not work, and trying again will not help.
        PermissionError: our keys are refused.
        ConnectionError: the link did not come about, or not for long enough.
    """

    def __init__(self, loop: LoopThread, reach: SshReach, folder: RemoteFolder, settings: LinkSettings) -> None:
        self._loop = loop
        self._reach = reach
        self._folder = folder
        self._settings = settings
        self._closing = False
        self._connection, self._client = loop.run(
            log_in(reach, keepalive_s=settings.keepalive_s, keepalives=settings.keepalives)
        )
        try:
            self._sftp = loop.run(self._start_sftp())
            self._keeper_process, self._keeper = self._fill_folder()
        except BaseException:
            self.drop()
            raise
        loop.call(self._beat)

    @property
    def lost(self) -> str | None:
        """Why nothing can be done here any more; None as long as it can."""
        if self._keeper_process.ended and self._client.lost is None:
            return f"its keeper there ended: {self._keeper_process.last_words() or 'without a word'}"
        return self._client.lost

    def put(self, name: str) -> None:
        """Puts one of the folder's kept files. Raises as ``RemoteFolder.put`` does."""
        self._loop.run(self._folder.put(self._sftp, name))

    def get(self, path: str) -> bytes:
        """Reads a file. Raises as ``RemoteFolder.get`` does."""
        return self._loop.run(self._folder.get(self._sftp, path))

    def remove(self, path: str) -> None:
        """Removes a file, if it is there."""
        self._loop.run(self._folder.remove(self._sftp, path))

    def start(self, words: Sequence[str], name: str, lock: str) -> SshProcess:
        """Starts a process that holds ``lock``, a name in the folder, as long as it lives.

        Raises:
            ConnectionError: the link is gone.
            WorkerError: the server starts no more processes for us.
        """
        return self._process(words, name, lambda: self._kill(lock))

    def drop(self) -> None:
        """Gives the login up at once: the link is broken."""
        self._loop.call(self._connection.abort)

    def close(self) -> None:
        """Has the keeper remove the folder, and logs out."""
        self._closing = True
        try:
            if self.lost is None:
                self._keeper.request("remove", _KEEPER_ANSWER_S)
                self._keeper.close()
        except (WorkerError, OperationError) as error:
            _log.warning("the folder %s on %s was left to its keeper: %s", self._folder.path, where(self._reach), error)
        self._loop.run(self._log_out())

    async def _start_sftp(self) -> asyncssh.SFTPClient:
        try:
            async with asyncio.timeout(self._reach.connect_timeout_s):
                return await self._connection.start_sftp_client()
        except (asyncssh.Error, OSError) as error:
            if isinstance(error, asyncssh.ChannelOpenError | asyncssh.SFTPError) and self._client.lost is None:
                msg = (
                    f"{where(self._reach)} has no SFTP, which files travel by: {error.reason}; add 'Subsystem sftp "
                    "internal-sftp' to its sshd_config"
                )
                raise TargetError(msg) from error
            raise ConnectionError(f"the link to {where(self._reach)} was lost at once: {error}") from error

    def _fill_folder(self) -> tuple[SshProcess, WorkerConnection]:
        """Has a keeper stand and all files in place. A target that does not work keeps none of it."""
        try:
            keeper = self._start_keeper()
            self._loop.run(self._folder.put_missing(self._sftp))
        except TargetError:
            self._loop.run(self._folder.discard(self._sftp))  # the keeper may be what does not work
            raise
        return keeper

    def _start_keeper(self) -> tuple[SshProcess, WorkerConnection]:
        """Makes the folder, or finds it and claims it, and starts its keeper."""
        for _ in range(_TAKEOVERS):
            claim = secrets.token_hex(12)
            self._loop.run(self._folder.make(self._sftp))
            for name, data in ((CLAIM, claim.encode()), (ARCHIVE, build_archive())):
                self._folder.keep(data, name)
                self.put(name)
            process = self._start_keeper_process(claim)
            keeper = WorkerConnection(process)
            if self._answers(keeper):
                return process, keeper
        raise ConnectionError(f"the folder {self._folder.path} disappears as often as it is made")

    def _start_keeper_process(self, claim: str) -> SshProcess:
        archive = f"{self._folder.path}/{ARCHIVE}"
        periods = (str(self._settings.grace_s), str(self._settings.silence_s))
        words = [*self._reach.python_command, archive, "keep", self._folder.path, claim, *periods]
        try:
            return self._process(words, f"keeper on {where(self._reach)}", lambda: None)
        except WorkerError as error:
            raise TargetError(str(error)) from error

    def _process(self, words: Sequence[str], name: str, kill: Callable[[], None]) -> SshProcess:
        try:
            channel, session = self._loop.run(execute(self._connection, words, self._reach.connect_timeout_s))
        except (asyncssh.Error, OSError) as error:
            if isinstance(error, asyncssh.ChannelOpenError) and self._client.lost is None:
                msg = (
                    f"{where(self._reach)} starts no further process: {error.reason}; see MaxSessions in its "
                    "sshd_config, or use fewer workers"
                )
                raise WorkerError(msg) from error
            raise ConnectionError(f"no process was started on {where(self._reach)}: {error}") from error
        return SshProcess(name, channel, session, self._loop, kill)

    def _answers(self, keeper: WorkerConnection) -> bool:
        """Whether the keeper stands; False if the one before it has removed the folder in the meantime.

        Raises:
            TargetError: the Python that runs it is none that workers run in.
            ConnectionError: the link is gone.
        """
        command = shlex.join(self._reach.python_command)
        try:
            hello = keeper.request("hello", _KEEPER_START_S)
        except WorkerError as error:
            if self._client.lost is not None:
                raise ConnectionError(f"the link was lost: {self._client.lost}") from error
            if not self._loop.run(self._folder.stands(self._sftp)):
                return False
            msg = (
                f"no worker can be started on {where(self._reach)} with {command}: {error}; install Python 3.9 or "
                "newer with numpy and the engine there, and name it in python_command in reach"
            )
            raise TargetError(msg) from error
        if not hello["numpy"]:
            msg = (
                f"Python {hello['python']} on {where(self._reach)} has no numpy; install it and the engine there: "
                f"{command} -m pip install numpy onnxruntime; or name another Python in python_command in reach"
            )
            raise TargetError(msg)
        return bool(hello["kept"])

    def _kill(self, lock: str) -> None:
        """Has the keeper end the process that holds ``lock``: few servers pass a signal on."""
        try:
            if self.lost is None:
                self._keeper.request("kill", _KEEPER_ANSWER_S, lock=lock)
        except (WorkerError, OperationError) as error:
            _log.warning("a worker on %s may go on for a while: %s", where(self._reach), error)

    def _beat(self) -> None:
        """Lets the keeper hear of us, as long as there is anything to hear."""
        if self._closing or self._keeper_process.ended:
            return
        self._keeper_process.write(b"\n")
        asyncio.get_running_loop().call_later(self._settings.silence_s / 4, self._beat)

    async def _log_out(self) -> None:
        self._sftp.exit()
        self._connection.close()
        try:
            async with asyncio.timeout(self._reach.connect_timeout_s):
                await self._connection.wait_closed()
        except TimeoutError:
            self._connection.abort()
