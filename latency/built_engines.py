"""What a runtime built of models on the target: kept, so that what was timed is what is timed again and shipped."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

from latency.errors import OperationError, TargetError, WorkerError

if TYPE_CHECKING:
    from hwprofiles import HardwareProfile
    from latency.transports import Connection, Transport

_PATIENCE_S = 60.0

_log = logging.getLogger(__name__)


def timing_cache_path(profile: HardwareProfile) -> Path:
    """Where the tactics that builders timed for a profile are kept between runs.

    With them builds vary less, and are quicker. The runtime itself refuses a cache of another GPU or version.
    """
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "paretune" / "timing-caches" / f"{profile.name}-{profile.engine.name}.cache"


class BuiltEngines:
    """Brings built engines and the timing cache to a target, and back.

    Two builds of one network differ in speed, so the first one of a model is kept and put in place of a second.

    Args:
        profile: the target.
        folder: where engines are kept, ``DIGEST.engine`` with ``DIGEST.json`` by the model's digest; None keeps none.
    """

    def __init__(self, profile: HardwareProfile, folder: Path | None) -> None:
        self._builds = profile.engine.builds
        self._cache = timing_cache_path(profile)
        self._folder = folder
        self._sent_cache: bytes | None = None

    def open(self, transport: Transport) -> str | None:
        """Puts the timing cache on the target and returns its path there; None for a runtime that builds nothing."""
        if not self._builds:
            return None
        path = transport.path("timing.cache")
        with contextlib.suppress(OSError):
            self._sent_cache = self._cache.read_bytes()
            return transport.put(self._sent_cache, "timing.cache")
        return path

    def close(self, transport: Transport, path: str | None) -> None:
        """Keeps the timing cache as the builds have left it. A target that is gone by then keeps its own."""
        if path is None:
            return
        try:
            data = transport.get(path)
            if data != self._sent_cache:
                self._cache.parent.mkdir(parents=True, exist_ok=True)
                _write_whole(self._cache, data)
        except (OSError, WorkerError, TargetError) as error:
            _log.warning("the timing cache was not kept: %s", error)

    def place(self, transport: Transport, built: str, digest: str) -> None:
        """Puts the engine of an earlier build of this model where workers look for it."""
        if not self._builds or self._folder is None:
            return
        data, facts = self._folder / f"{digest}.engine", self._folder / f"{digest}.json"
        if data.is_file() and facts.is_file():
            key = json.loads(facts.read_bytes())["key"]
            transport.put(f"{key}\n".encode() + data.read_bytes(), Path(built).name)

    def keep(self, transport: Transport, connection: Connection, slot: str, built: str, digest: str) -> None:
        """Keeps the engine that runs in a worker's slot, unless one of this model is kept already."""
        if not self._builds or self._folder is None or (self._folder / f"{digest}.json").is_file():
            return
        try:
            path = transport.path("artifact.bin")
            answer = connection.request("artifact", _PATIENCE_S, slot=slot, path=path)
            if answer["kind"] is None:
                return
            data = transport.get(path)
            key = transport.get(built).split(b"\n", 1)[0].decode()
        except (OSError, WorkerError, OperationError) as error:
            _log.warning("the engine of %s was not kept: %s", digest[:12], error)
            return
        facts = {name: value for name, value in answer.items() if name not in {"ok", "id"}}
        self._folder.mkdir(parents=True, exist_ok=True)
        _write_whole(self._folder / f"{digest}.engine", data)
        _write_whole(self._folder / f"{digest}.json", json.dumps({**facts, "key": key}, indent=1).encode())

    def clear_away(self, transport: Transport, built: str) -> None:
        """Removes a candidate's engine from the target."""
        if self._builds:
            transport.remove(built)


def _write_whole(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.partial")
    temporary.write_bytes(data)
    temporary.replace(path)
