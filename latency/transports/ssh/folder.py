"""The one private directory of a session on the target, and the files in it, kept here to be put again."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import asyncssh

from latency.errors import TargetError
from latency.transports.scratch import full

if TYPE_CHECKING:
    from pathlib import Path

_PREFIX = "paretune-session-"
_ANSWER_S = 60.0
_SLOWEST_BYTES_PER_S = 50_000  # a transfer below this has stalled
_GONE = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, asyncssh.DisconnectError, OSError)  # time-outs too


@dataclass(slots=True)
class _File:
    """What was put: where it is kept here, and whether it stands on the target."""

    kept_at: Path
    size_bytes: int
    there: bool = False


class RemoteFolder:
    """A directory on the target that only its user may look into. All of it happens in the loop, but for ``keep``.

    Args:
        where: what errors call the target.
        parent: where the directory is made; below the home directory if it is no absolute path.
        spool: an empty folder here, for what was put.
    """

    def __init__(self, where: str, parent: str, spool: Path) -> None:
        self.path = ""
        self._where = where
        self._parent = parent
        self._spool = spool
        self._owner: int | None = None
        self._ours = False
        self._files: dict[str, _File] = {}
        self._count = 0

    async def make(self, sftp: asyncssh.SFTPClient) -> None:
        """Makes the directory, or finds the one that it made before.

        Raises:
            TargetError: it cannot be made, or what stands there is not ours.
            ConnectionError: the link is gone.
        """
        self._ours = False
        try:
            async with asyncio.timeout(_ANSWER_S):
                if not self.path:
                    parent = await sftp.realpath(_below_home(self._parent))
                    self.path = f"{str(parent).rstrip('/')}/{_PREFIX}{secrets.token_hex(12)}"
                await self._make_or_find(sftp)
        except _GONE as error:
            raise ConnectionError(f"the link was lost while the folder was made: {_words(error)}") from error
        except asyncssh.SFTPError as error:
            msg = (
                f"no folder can be made in {self._parent!r} on {self._where}: {error.reason}; free some space there, "
                "or set folder in reach to one that this user may write to"
            )
            raise TargetError(msg) from error

    async def stands(self, sftp: asyncssh.SFTPClient) -> bool:
        """Whether the directory is there. Raises ConnectionError if the link is gone."""
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await self._found(sftp) is not None
        except (*_GONE, asyncssh.SFTPError) as error:
            raise ConnectionError(f"the folder was not found: {_words(error)}") from error

    async def _found(self, sftp: asyncssh.SFTPClient) -> asyncssh.SFTPAttrs | None:
        try:
            return await sftp.lstat(self.path)
        except asyncssh.SFTPNoSuchFile:
            return None

    async def _make_or_find(self, sftp: asyncssh.SFTPClient) -> None:
        found = await self._found(sftp) if self._owner is not None else None
        if found is not None:
            self._check_ours(found)
            return
        await sftp.mkdir(self.path, asyncssh.SFTPAttrs(permissions=0o700))
        made = await sftp.lstat(self.path)
        self._owner = made.uid
        self._check_ours(made)
        for file in self._files.values():
            file.there = False

    def _check_ours(self, found: asyncssh.SFTPAttrs) -> None:
        mode = found.permissions or 0
        if found.uid != self._owner or not stat.S_ISDIR(mode) or stat.S_IMODE(mode) & 0o077:
            msg = (
                f"{self.path!r} on {self._where} is not the folder that was made there: mode {mode:o}, owner "
                f"{found.uid}; set folder in reach to one where only this user may write"
            )
            raise TargetError(msg)
        self._ours = True

    def keep(self, data: bytes, name: str) -> None:
        """Keeps a file here under its name, to be put. Raises TargetError if there is no room here."""
        self.forget(name)
        self._count += 1
        path = self._spool / str(self._count)
        try:
            path.write_bytes(data)
        except OSError as error:
            raise full(self._spool, error) from error
        self._files[name] = _File(kept_at=path, size_bytes=len(data))

    def forget(self, name: str) -> None:
        """Keeps it no longer."""
        file = self._files.pop(name, None)
        if file is not None:
            file.kept_at.unlink(missing_ok=True)

    async def put(self, sftp: asyncssh.SFTPClient, name: str) -> None:
        """Puts a kept file: whole, or not at all.

        Raises:
            TargetError: there is no room for it.
            ConnectionError: the link is gone, or the directory.
        """
        file = self._files[name]
        path, temporary = f"{self.path}/{name}", f"{self.path}/{name}.part"
        try:
            async with asyncio.timeout(_ANSWER_S + file.size_bytes / _SLOWEST_BYTES_PER_S):
                await sftp.put(file.kept_at, temporary, sparse=False)
                await _rename(sftp, temporary, path)
        except (*_GONE, asyncssh.SFTPNoSuchFile) as error:
            raise ConnectionError(f"{name} did not arrive: {_words(error)}") from error
        except asyncssh.SFTPError as error:
            await _remove(sftp, temporary)
            raise TargetError(await self._full_words(sftp, name, file, error)) from error
        file.there = True

    async def put_missing(self, sftp: asyncssh.SFTPClient) -> None:
        """Puts all kept files that are not there, or not with their size. Raises as ``put`` does."""
        for name, file in list(self._files.items()):
            if not (file.there and await self._size(sftp, name) == file.size_bytes):
                await self.put(sftp, name)

    async def get(self, sftp: asyncssh.SFTPClient, path: str) -> bytes:
        """Reads a file.

        Raises:
            FileNotFoundError: there is none.
            ConnectionError: the link is gone.
        """
        try:
            async with asyncio.timeout(_ANSWER_S):
                size = (await sftp.stat(path)).size or 0
            async with asyncio.timeout(_ANSWER_S + size / _SLOWEST_BYTES_PER_S), sftp.open(path, "rb") as file:
                return cast("bytes", await file.read())
        except asyncssh.SFTPNoSuchFile as error:
            if not await self.stands(sftp):
                raise ConnectionError(f"{path!r} went with its folder, whose keeper ended") from error
            raise FileNotFoundError(f"no file {path!r} on {self._where}") from error
        except (*_GONE, asyncssh.SFTPError) as error:
            raise ConnectionError(f"{path!r} was not read: {_words(error)}") from error

    async def discard(self, sftp: asyncssh.SFTPClient) -> None:
        """Removes the directory, as far as that goes; never one that is not ours."""
        if not self._ours:
            return
        with contextlib.suppress(*_GONE, asyncssh.SFTPError):
            async with asyncio.timeout(_ANSWER_S):
                await sftp.rmtree(self.path, ignore_errors=True)

    async def remove(self, sftp: asyncssh.SFTPClient, path: str) -> None:
        """Removes a file; one that is gone is not missed."""
        await _remove(sftp, path)

    async def _size(self, sftp: asyncssh.SFTPClient, name: str) -> int | None:
        try:
            async with asyncio.timeout(_ANSWER_S):
                return (await sftp.lstat(f"{self.path}/{name}")).size
        except asyncssh.SFTPNoSuchFile:
            return None
        except (*_GONE, asyncssh.SFTPError) as error:
            raise ConnectionError(f"{name} was not found: {_words(error)}") from error

    async def _full_words(self, sftp: asyncssh.SFTPClient, name: str, file: _File, error: asyncssh.SFTPError) -> str:
        return (
            f"cannot write {name} ({file.size_bytes:,} bytes) to {self.path!r} on {self._where}: {error.reason}"
            f"{await _free_words(sftp, self.path)}; free some space there, or set folder in reach to one with room, "
            "and run the same command again"
        )


def _below_home(parent: str) -> str:
    """``~`` as SFTP says it: its paths begin at the home directory."""
    return "." if parent == "~" else parent.removeprefix("~/")


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__


async def _rename(sftp: asyncssh.SFTPClient, old: str, new: str) -> None:
    """In place of what has that name; in two steps only where the server has no word for one."""
    try:
        await sftp.posix_rename(old, new)
    except asyncssh.SFTPOpUnsupported:
        await _remove(sftp, new)
        await sftp.rename(old, new)


async def _remove(sftp: asyncssh.SFTPClient, path: str) -> None:
    try:
        async with asyncio.timeout(_ANSWER_S):
            await sftp.remove(path)
    except (*_GONE, asyncssh.SFTPError):
        return  # it is gone, or goes with the folder


async def _free_words(sftp: asyncssh.SFTPClient, path: str) -> str:
    """Servers only say "failure"; those that tell how much room is left show whether that is why."""
    try:
        async with asyncio.timeout(_ANSWER_S):
            room = await sftp.statvfs(path)
    except (*_GONE, asyncssh.SFTPError):
        return ""
    return f", {room.bavail * room.frsize / 2**20:.1f} MiB free there"
