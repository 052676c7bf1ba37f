"""How a worker is started and spoken to. A target is an engine behind one of these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from latency.errors import TargetError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from hwprofiles import EmulatedReach, LocalReach, SshReach


class Connection(Protocol):
    """One running worker. After a WorkerError it can only be closed."""

    def post(self, op: str, **fields: Any) -> None:
        """Sends a request without waiting, so that several workers can prepare at once.

        Raises:
            WorkerError: the worker is gone.
        """
        ...

    def collect(self, timeout_s: float) -> dict[str, Any]:
        """Waits for the answer to the oldest request that has none yet.

        Raises:
            WorkerError: no answer in time, the worker died, or what came is no answer.
            OperationError: the worker refused the request, and lives.
        """
        ...

    def request(self, op: str, timeout_s: float, **fields: Any) -> dict[str, Any]:
        """``post`` and ``collect``."""
        ...

    def close(self) -> None:
        """Ends the worker, by force if it does not listen. Closing twice is harmless."""
        ...


class Transport(Protocol):
    """Starts workers on one target. A context manager: leaving it ends the workers and removes the files."""

    def start(self) -> Connection:
        """Starts a worker and returns at once; its first answer comes when it is ready.

        Raises:
            WorkerError: it cannot be started.
            TargetError: the target has no room for its files.
        """
        ...

    def put(self, data: bytes, name: str) -> str:
        """Stores bytes on the target and returns the path that workers know them by.

        Raises:
            TargetError: the target has no room for them.
        """
        ...

    def get(self, path: str) -> bytes:
        """Reads back a file that a worker wrote."""
        ...

    def path(self, name: str) -> str:
        """A path on the target that a worker may write to."""
        ...

    def remove(self, path: str) -> None:
        """Removes a file that ``put`` stored; one that is gone is not missed."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_transport(reach: LocalReach | SshReach | EmulatedReach) -> Transport:
    """The transport that a profile's ``reach`` names, ready to be entered.

    Raises:
        TargetError: what it needs is not installed here.
    """
    if reach.transport == "ssh":
        try:
            from latency.transports.ssh import SshTransport
        except ModuleNotFoundError as error:
            if error.name != "asyncssh":
                raise
            msg = "a target reached over SSH needs asyncssh, which is not installed; run: pip install 'paretune[ssh]'"
            raise TargetError(msg) from error
        return SshTransport(reach)
    if reach.transport == "emulated":
        from latency.transports.emulated import EmulatedTransport

        return EmulatedTransport(reach)
    from latency.transports.local import LocalTransport

    return LocalTransport()
