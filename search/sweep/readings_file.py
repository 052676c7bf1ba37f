"""`sweep.json`: what was measured of single choices, kept while it is measured."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from search.folder.run_folder import RunFolder
from search.sweep.joint import Joint
from search.sweep.readings import Key, Reading

FORMAT_VERSION = 1

_INTERVAL_S = 2.0


class ReadingsFile:
    """The readings of a run, in its folder.

    Args:
        folder: The run's folder.
        network_digest: What the readings are of; a file about another network counts for nothing.
        samples: On how many samples they are; likewise.
        clock: Monotonic seconds.
    """

    def __init__(
        self, folder: RunFolder, *, network_digest: str, samples: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = folder
        self._facts = {"format_version": FORMAT_VERSION, "network": network_digest, "samples": samples}
        self._clock = clock
        self._kept_s = clock()
        self.readings: dict[Key, Reading | None] = {}
        self.joints: list[Joint] = []
        self._reasons: dict[Key, str] = {}

    def read(self) -> str:
        """Read what an earlier session has measured, and say in words what is wrong with the file, if anything is."""
        try:
            document = json.loads(self._folder.sweep_path.read_bytes())
            if {name: document[name] for name in self._facts} != self._facts:
                return ""
            for knob, choice, mean, standard_error in document["readings"]:
                self.readings[str(knob), choice] = Reading(mean=mean, standard_error=standard_error)
            for knob, choice, reason in document["failures"]:
                self.fail((str(knob), choice), str(reason))
            for params, mean, standard_error in document["joints"]:
                reading = Reading(mean=mean, standard_error=standard_error)
                self.joints.append(Joint(params=dict(params), reading=reading))
        except FileNotFoundError:
            return ""
        except (ValueError, TypeError, KeyError) as error:
            self.readings.clear()
            self.joints.clear()
            self._reasons.clear()
            reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            return f"{str(self._folder.sweep_path)!r} is damaged: {reason}; single layers are measured anew"
        return ""

    def fail(self, key: Key, reason: str) -> None:
        """Keep that a choice cannot be measured."""
        self.readings[key] = None
        self._reasons[key] = reason

    @contextmanager
    def kept(self) -> Iterator[Callable[[], None]]:
        """Within the block, `tick` writes the file now and then; it is written once more however the block ends."""
        try:
            yield self._tick
        except BaseException:
            with contextlib.suppress(OSError):  # what ended the block is what should be said
                self._write()
            raise
        self._write()

    def _tick(self) -> None:
        if self._clock() - self._kept_s >= _INTERVAL_S:
            self._write()

    def _write(self) -> None:
        self._kept_s = self._clock()
        document: dict[str, Any] = {
            **self._facts,
            "readings": [
                [*key, reading.mean, reading.standard_error]
                for key, reading in self.readings.items()
                if reading is not None
            ],
            "failures": [[*key, reason] for key, reason in self._reasons.items()],
            "joints": [[dict(one.params), one.reading.mean, one.reading.standard_error] for one in self.joints],
        }
        self._folder.write(self._folder.sweep_path, json.dumps(document, indent=1))
