"""`timings.json`: where a run's wall time went."""

import json
import time
from collections.abc import Callable

from search.run_folder import RunFolder, damaged
from search.stages import StageClock

FORMAT_VERSION = 1

_INTERVAL_S = 10.0


class Timings:
    """Seconds by stage over all sessions of a run, kept in its folder.

    Args:
        folder: The run's folder; what earlier sessions took is read from it now.
        stages: This session's seconds.
        clock: Monotonic seconds.

    Raises:
        RunFolderError: The file is damaged, or of a newer paretune.
    """

    def __init__(
        self, folder: RunFolder, stages: StageClock, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._folder = folder
        self._stages = stages
        self._clock = clock
        self._started_s = clock() - sum(stages.seconds.values())
        self._kept_s = clock()
        self._earlier = read_seconds(folder)

    def tick(self) -> None:
        """Write the seconds so far, if that was not done lately: a killed session's time counts too."""
        if self._clock() - self._kept_s >= _INTERVAL_S:
            self.keep()

    def keep(self) -> None:
        """Write the seconds so far; what no stage accounts for is `other`."""
        self._kept_s = self._clock()
        seconds = self._stages.seconds
        seconds["other"] = max(0.0, self._kept_s - self._started_s - sum(seconds.values()))
        names = sorted({*self._earlier, *seconds})
        total = {name: round(self._earlier.get(name, 0.0) + seconds.get(name, 0.0), 3) for name in names}
        document = {"format_version": FORMAT_VERSION, "seconds": total}
        self._folder.write(self._folder.timings_path, json.dumps(document, indent=1))


def read_seconds(folder: RunFolder) -> dict[str, float]:
    """Seconds by stage so far; empty before there are any.

    Raises:
        RunFolderError: The file is damaged, or of a newer paretune.
    """
    seconds = folder.read_json(folder.timings_path, FORMAT_VERSION).get("seconds", {})
    if not isinstance(seconds, dict) or not all(isinstance(value, int | float) for value in seconds.values()):
        raise damaged(folder.timings_path, "its seconds are no numbers by stage")
    return seconds
