"""How long a run's two kinds of inference take, so that the cheaper can come first."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from search.typical import Typical


class Pace:
    """What samples and measurements of this process take.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._sample, self._measurement = Typical(clock=clock), Typical(clock=clock)

    def validating(self, samples: int) -> AbstractContextManager[None]:
        """The block runs `samples` samples."""
        return self._sample.timing(samples)

    def measuring(self) -> AbstractContextManager[None]:
        """The block measures a cost."""
        return self._measurement.timing()

    def is_measuring_cheaper(self, samples: int) -> bool:
        """Whether a measurement takes less time than `samples` further samples; False while either is unknown."""
        measurement_s, sample_s = self._measurement.seconds, self._sample.seconds
        return measurement_s is not None and sample_s is not None and measurement_s < samples * sample_s
