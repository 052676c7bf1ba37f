"""optuna-dashboard on the study of a run."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from search.errors import NoResultYetError, SearchError
from search.study.address import address_of
from search.study.storage import open_storage

if TYPE_CHECKING:
    from search.folder.run_folder import RunFolder

HOST = "127.0.0.1"
"""Nobody else's business: the dashboard can change a study, and asks nobody for a password."""

USUAL_PORT = 8080


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    allow_reuse_address = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002  # the base class's name
        """A line per request helps nobody."""


@dataclass(frozen=True, kw_only=True)
class Dashboard:
    """A dashboard that is reachable at `url` and answers while `serve` runs."""

    url: str
    server: WSGIServer

    def serve(self) -> None:
        """Answer until the process is interrupted, or `server.shutdown()` is called from another thread."""
        self.server.serve_forever()


@contextmanager
def open_dashboard(folder: RunFolder, port: int | None = None) -> Iterator[Dashboard]:
    """A dashboard on the study of a run, wherever that lies; a context manager.

    Args:
        folder: The run.
        port: Where to listen on this machine; None for 8080, or any free one where that is taken.

    Raises:
        SearchError: optuna-dashboard is not installed, or the port is taken.
        RunFolderError: There is no run, or no study of it yet.
        StorageError: The database does not take us.
    """
    try:
        from optuna_dashboard import wsgi
    except ImportError as error:
        raise SearchError(
            "the dashboard needs optuna-dashboard, which is not installed: pip install 'paretune[dashboard]'"
        ) from error
    address = address_of(folder)
    if address.file is not None and not address.file.is_file():
        raise NoResultYetError(f"the run in {str(folder.path)!r} has no study yet; its search makes one")
    with open_storage(address) as storage:
        try:
            study = storage.get_study_id_from_name(address.name)
        except KeyError as error:
            raise NoResultYetError(f"the study at {address} is empty; run its search command again") from error
        with _listening(port) as server:
            server.set_app(wsgi(storage))
            url = f"http://{HOST}:{server.server_port}/dashboard/studies/{study}"
            yield Dashboard(url=url, server=server)


@contextmanager
def _listening(port: int | None) -> Iterator[WSGIServer]:
    taken = port is None and not _is_free(USUAL_PORT)
    wanted = 0 if taken else USUAL_PORT if port is None else port
    try:
        server = make_server(HOST, wanted, lambda _, __: [], server_class=_Server, handler_class=_Quiet)
    except OSError as error:
        raise SearchError(f"port {wanted} cannot be listened on ({error.strerror}); give another --port") from error
    with server:
        yield server


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) != 0
