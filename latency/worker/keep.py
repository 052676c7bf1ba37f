"""The keeper of a session's folder on a target: it ends the workers and removes the folder when nobody is left.

Whoever measures from afar may be killed, or the link may drop; then nobody there can clear away. The keeper stands on
the target and hears: JSON lines on standard input are requests, empty ones are signs of life. When the input ends,
or nothing was heard for long, it waits for a session to claim the folder over a new link, which starts a keeper of its
own. If none does, it ends the workers that are left and removes the folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import select
import shutil
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latency.worker.lock import end_holder, is_held

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import NoReturn, TextIO

_LOCKS = ".lock"  # the end of the names of files that workers hold
_OWNER = "owner"  # held by each keeper; without a holder a folder is a leftover
_TURN = "turn"  # held while it is decided who keeps the folder
CLAIM = "claim"  # holds the word of the session whose keeper keeps it
_KILL_S = 5.0
_CHUNK = 65536


class Keeper:
    """Keeps one folder.

    Args:
        folder: the session's own; the part of its name before the last dash is that of all sessions' folders.
        claim: the word of the session that started it.
        grace_s: how long another claim may take to come after the input has ended.
        silence_s: how long nothing may be heard before that counts as the end of the input.
    """

    def __init__(self, folder: Path, claim: str, *, grace_s: float, silence_s: float) -> None:
        self._folder = folder
        self._grace_s = grace_s
        self._silence_s = silence_s
        self._claim = claim
        self._bell, self._ring = os.pipe()
        self._owner: TextIO | None = None

    def keep(self) -> None:
        """Answers requests until the folder is removed, or is another's to remove."""
        signal.signal(signal.SIGTERM, lambda _number, _frame: os.write(self._ring, b"!"))
        kept = self._take_over()
        if kept:
            self._remove_leftovers()
        with contextlib.suppress(OSError):  # whoever asked is gone before the answer is written
            for line in self._lines():
                if line.strip():
                    answer = self._answer(json.loads(line), kept)
                    os.write(1, json.dumps(answer).encode() + b"\n")
                    if not answer["kept"]:
                        return
        select.select([self._bell], [], [], self._grace_s)
        self._remove()

    def _take_over(self) -> bool:
        """Keeps the folder from now on. Returns False if the keeper before has just removed it.

        Workers of the session before have lost their link. They would end by themselves, but take the processor for
        seconds until then, from what is measured next.
        """
        import fcntl

        try:
            with self._turn():
                self._owner = (self._folder / _OWNER).open("a+")
                fcntl.flock(self._owner, fcntl.LOCK_SH)
                self._end_workers()
        except FileNotFoundError:
            return False
        return True

    def _remove_leftovers(self) -> None:
        """Removes this user's folders of sessions whose keeper was killed: nobody holds the owner file in them."""
        for folder in self._folder.parent.glob(f"{self._folder.name.rpartition('-')[0]}-*"):
            with contextlib.suppress(OSError):  # another keeper may be at the same
                ours = folder.lstat().st_uid == os.getuid() and not folder.is_symlink()
                if ours and (folder / _OWNER).exists() and not is_held(folder / _OWNER):
                    shutil.rmtree(folder)

    def _lines(self) -> Iterator[bytes]:
        """Lines of standard input, until it ends, is silent for too long, or the system ends its processes."""
        rest = b""
        while select.select([0, self._bell], [], [], self._silence_s)[0] == [0]:
            data = os.read(0, _CHUNK)
            if not data:
                return
            *lines, rest = (rest + data).split(b"\n")
            yield from lines

    def _answer(self, request: dict[str, Any], kept: bool) -> dict[str, Any]:
        """The answer to a request; ``kept`` in it says whether there is anything left to keep."""
        answer: dict[str, Any] = {"id": request["id"], "ok": True, "kept": kept}
        if request["op"] == "hello":
            answer.update(python=platform.python_version(), numpy=find_spec("numpy") is not None)
        elif request["op"] == "kill":
            answer["ended"] = end_holder(self._folder / str(request["lock"]), _KILL_S)
        elif request["op"] == "remove":
            self._remove()
            answer["kept"] = False
        return answer

    def _remove(self) -> None:
        """Ends the workers and removes the folder, unless another session's keeper has it."""
        gone = self._folder.with_name(f"{self._folder.name}.gone")
        try:
            with self._turn():
                if (self._folder / CLAIM).read_text() != self._claim:
                    return
                self._end_workers()
                self._folder.rename(gone)  # at once: another keeper finds all of it or nothing
        except FileNotFoundError:
            return
        shutil.rmtree(gone, ignore_errors=True)

    def _end_workers(self) -> None:
        for lock in self._folder.glob(f"*{_LOCKS}"):
            end_holder(lock, _KILL_S)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Decides alone. Raises FileNotFoundError if the folder was removed in the meantime."""
        import fcntl

        with (self._folder / _TURN).open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not os.path.samestat((self._folder / _TURN).stat(), os.fstat(file.fileno())):
                raise FileNotFoundError(str(self._folder))
            yield


def main(folder: str, claim: str, grace_s: float, silence_s: float) -> None:
    """Keeps a folder until it is removed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Keeper(Path(folder), claim, grace_s=grace_s, silence_s=silence_s).keep()
    _leave()


def _leave() -> NoReturn:
    """Ends without the interpreter's own end, which may look for modules in an archive that has just been removed."""
    sys.stderr.flush()
    os._exit(0)
