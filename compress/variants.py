"""The store of finished weights: made once per layer and choice, then stitched into any number of candidates.

It has two levels. What was used last is held in memory. Where a folder is given, everything lies in it as well, for the
other trials and workers of a run, and for the run that is resumed.
"""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from compress.variant_files import DEFAULT_DISK_LIMIT_BYTES, Arrays, Key, VariantFiles, canonical

T = TypeVar("T", bound=tuple[NDArray[np.generic], ...])

DEFAULT_LIMIT_BYTES = 512 * 2**20


class VariantStore:
    """Arrays by key, the least recently used dropped when their size passes a limit; for any number of threads.

    Threads that ask for one key at the same time may each make it; they all get what the first of them has made.

    Args:
        limit_bytes: Most bytes kept in memory; one entry larger than this is made, or read, anew each time.
        folder: Where any number of processes share what they have made; None for memory alone.
        disk_limit_bytes: Most bytes of finished files in the folder.
    """

    def __init__(
        self,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
        folder: Path | None = None,
        disk_limit_bytes: int = DEFAULT_DISK_LIMIT_BYTES,
    ) -> None:
        for name, value in (("limit_bytes", limit_bytes), ("disk_limit_bytes", disk_limit_bytes)):
            if value < 0:
                raise ValueError(f"{name} must not be negative, got {value}")
        self._limit_bytes = limit_bytes
        self._entries: OrderedDict[str, Arrays] = OrderedDict()
        self._size_bytes = 0
        self._lock = Lock()  # of the entries and their size
        self._disk_lock = Lock()
        self._files = None if folder is None else VariantFiles(folder, disk_limit_bytes)

    @property
    def size_bytes(self) -> int:
        """Bytes held in memory now."""
        return self._size_bytes

    def __contains__(self, key: Key) -> bool:
        """Whether the arrays under `key` are in memory."""
        return canonical(key) in self._entries

    def get(self, key: Key, make: Callable[[], T]) -> T:
        """The arrays under `key`, made by `make` where neither memory nor the folder has them. They are read-only.

        Args:
            key: Everything that the arrays depend on. Where a folder is given that includes the network and the
                calibration, by their digests: another run's process may have written them.
            make: Called without arguments; must give the same arrays in every process.

        Raises:
            TypeError: A part of the key is not a str, int, float or None.
        """
        name = canonical(key)
        known = self._known(name)
        if known is not None:
            return cast(T, known)
        arrays = None if self._files is None else self._files.read(name)
        if arrays is None:
            arrays = make()
            if self._files is not None:
                with self._disk_lock:
                    self._files.write(name, arrays)
        return cast(T, self._keep(name, tuple(_read_only(array) for array in arrays)))

    def _known(self, name: str) -> Arrays | None:
        with self._lock:
            if name not in self._entries:
                return None
            self._entries.move_to_end(name)
            return self._entries[name]

    def _keep(self, name: str, arrays: Arrays) -> Arrays:
        """The arrays, or those that another thread, or `make` by itself, has kept under this name meanwhile."""
        size = sum(array.nbytes for array in arrays)
        with self._lock:
            if name in self._entries or size > self._limit_bytes:
                return self._entries.get(name, arrays)
            self._size_bytes += size
            self._entries[name] = arrays
            while self._size_bytes > self._limit_bytes:
                _, dropped = self._entries.popitem(last=False)
                self._size_bytes -= sum(array.nbytes for array in dropped)
        return arrays


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    """The array for reading only; a view of another's memory is copied, so that nothing larger is kept alive."""
    array = array.view() if array.base is None else array.copy(order="K")
    array.flags.writeable = False
    return array
