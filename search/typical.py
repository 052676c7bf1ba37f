"""How long something typically takes in this process."""

import statistics
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_REMEMBERED = 15


def _recent() -> deque[float]:
    return deque(maxlen=_REMEMBERED)


@dataclass(frozen=True, kw_only=True)
class Typical:
    """The median over the latest times.

    Attributes:
        clock: Seconds from any origin.
    """

    clock: Callable[[], float]
    _taken_s: deque[float] = field(default_factory=_recent)

    @contextmanager
    def timing(self, parts: int = 1) -> Iterator[None]:
        """The block does it, or so many of it; one that fails says nothing."""
        started_s = self.clock()
        yield
        self._taken_s.append((self.clock() - started_s) / parts)

    @property
    def seconds(self) -> float | None:
        """Of one; None before there was one."""
        return statistics.median(self._taken_s) if self._taken_s else None
