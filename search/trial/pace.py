"""How long a run's two kinds of inference take, so that the cheaper can come first."""

import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_REMEMBERED = 15


def _recent() -> deque[float]:
    return deque(maxlen=_REMEMBERED)


@dataclass(kw_only=True)
class Pace:
    """Medians over the latest of this process.

    Attributes:
        clock: Monotonic seconds.
    """

    clock: Callable[[], float] = time.perf_counter
    _sample_seconds: deque[float] = field(default_factory=_recent)
    _measurement_seconds: deque[float] = field(default_factory=_recent)

    @contextmanager
    def validating(self, samples: int) -> Iterator[None]:
        """The block runs `samples` samples."""
        started_s = self.clock()
        yield
        self._sample_seconds.append((self.clock() - started_s) / samples)

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """The block measures a cost."""
        started_s = self.clock()
        yield
        self._measurement_seconds.append(self.clock() - started_s)

    def is_measuring_cheaper(self, samples: int) -> bool:
        """Whether a measurement takes less time than `samples` further samples; False while either is unknown."""
        if not self._sample_seconds or not self._measurement_seconds:
            return False
        return statistics.median(self._measurement_seconds) < samples * statistics.median(self._sample_seconds)
