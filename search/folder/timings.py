"""`timings.json`: where a run's wall time went.

`seconds` holds all of it by stage. `steady`, where a session got so far, holds the same at its first trial from
`STEADY_FROM_TRIAL` on and at its last: between the two lies nothing but trials.
"""

import json
import time
from collections.abc import Callable
from typing import Any

from search.folder.run_folder import RunFolder, damaged
from search.stages import StageClock

FORMAT_VERSION = 1

STEADY_FROM_TRIAL = 20
"""From this trial on, what a run does once and builds for the first time no longer hides what a trial takes."""

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
        self._steady: list[dict[str, Any]] = []

    def tick(self, finished_trials: int = 0) -> None:
        """Write the seconds so far, if that was not done lately: a killed session's time counts too.

        Args:
            finished_trials: Trials of the study that have ended, where that is what is told.
        """
        if finished_trials >= STEADY_FROM_TRIAL:
            self._steady[1:] = [{"trials": finished_trials, "seconds": self._total()}]
        if self._clock() - self._kept_s >= _INTERVAL_S:
            self.keep()

    def keep(self) -> None:
        """Write the seconds so far; what no stage accounts for is `other`."""
        self._kept_s = self._clock()
        document: dict[str, Any] = {"format_version": FORMAT_VERSION, "seconds": self._total()}
        if len(self._steady) == 2:
            document["steady"] = self._steady
        self._folder.write(self._folder.timings_path, json.dumps(document, indent=1))

    def _total(self) -> dict[str, float]:
        """Seconds by stage over all sessions until now."""
        seconds = self._stages.seconds
        seconds["other"] = max(0.0, self._clock() - self._started_s - sum(seconds.values()))
        names = sorted({*self._earlier, *seconds})
        return {name: round(self._earlier.get(name, 0.0) + seconds.get(name, 0.0), 3) for name in names}


def read_seconds(folder: RunFolder) -> dict[str, float]:
    """Seconds by stage so far; empty before there are any.

    Raises:
        RunFolderError: The file is damaged, or of a newer paretune.
    """
    seconds = folder.read_json(folder.timings_path, FORMAT_VERSION).get("seconds", {})
    if not isinstance(seconds, dict) or not all(isinstance(value, int | float) for value in seconds.values()):
        raise damaged(folder.timings_path, "its seconds are no numbers by stage")
    return seconds
