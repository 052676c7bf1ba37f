"""The store of finished weights: made once per layer and choice, then stitched into any number of candidates."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

T = TypeVar("T", bound=tuple[NDArray[np.generic], ...])

DEFAULT_LIMIT_BYTES = 512 * 2**20


class VariantStore:
    """Arrays by key, the least recently used dropped when their size passes a limit.

    Args:
        limit_bytes: Most bytes kept; one entry larger than this is made anew each time.
    """

    def __init__(self, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        if limit_bytes < 0:
            raise ValueError(f"limit_bytes must not be negative, got {limit_bytes}")
        self._limit_bytes = limit_bytes
        self._entries: OrderedDict[Hashable, Any] = OrderedDict()
        self._size_bytes = 0

    @property
    def size_bytes(self) -> int:
        """Bytes held now."""
        return self._size_bytes

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The arrays under `key`, made by `make` when they are not there."""
        if key in self._entries:
            self._entries.move_to_end(key)
            found: T = self._entries[key]
            return found
        made = make()
        size = sum(array.nbytes for array in made)
        if size <= self._limit_bytes:
            self._entries[key] = made
            self._size_bytes += size
            self._evict()
        return made

    def _evict(self) -> None:
        while self._size_bytes > self._limit_bytes:
            _, dropped = self._entries.popitem(last=False)
            self._size_bytes -= sum(array.nbytes for array in dropped)
