"""Has workers run a model, and reads how many instructions each of its inferences took."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from latency.emulation.counts import between_marks, counts_name
from latency.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from latency.emulation.instruction_count import ClassCounts
    from latency.transports import Connection, Transport

# What comes before the counted inferences, and how many these are, by the instructions of one. Python adapts itself
# during the first eight calls, which takes some thousand instructions off each later one: that shows in a small model
# and not in a large one, whose inferences take seconds under emulation. By instructions and not by time, so that a
# count does not depend on how busy the emulating machine is.
_SCHEDULE = ((20_000_000, {"warm_up": 9, "inferences": 5}), (200_000_000, {"warm_up": 2, "inferences": 3}))
_LARGE = {"warm_up": 1, "inferences": 2}


class Counter:
    """Counts loaded models.

    Args:
        transport: what the workers were started by; its folder has the counts.
        patience_s: how long an answer may take.
    """

    def __init__(self, transport: Transport, patience_s: float) -> None:
        self._transport = transport
        self._patience_s = patience_s

    def count(self, connections: Sequence[Connection], slot: str) -> list[tuple[ClassCounts, ...]]:
        """Instructions of single inferences of the model in ``slot``, for each worker; all of them work at once.

        Raises:
            WorkerError: a worker died or hung, or was not counted.
            OperationError: a worker refused.
        """
        first = self._run(connections, slot, [{"warm_up": 0, "inferences": 1}] * len(connections))
        return self._run(connections, slot, [plan(counts[0].total) for counts in first])

    def _run(
        self, connections: Sequence[Connection], slot: str, plans: Sequence[Mapping[str, int]]
    ) -> list[tuple[ClassCounts, ...]]:
        for connection, each in zip(connections, plans, strict=True):
            connection.post("count_marked", slot=slot, **each)
        return [self._read(connection.collect(self._patience_s)) for connection in connections]

    def _read(self, answer: Mapping[str, Any]) -> tuple[ClassCounts, ...]:
        pid = int(answer["pid"])
        try:
            text = self._transport.get(self._transport.path(counts_name(pid))).decode()
        except OSError as error:
            msg = f"the emulator wrote no counts for process {pid} ({error.strerror}); its plugin did not run"
            raise WorkerError(msg) from error
        return tuple(between_marks(text, pair) for pair in pairwise(answer["marks"]))


def plan(instructions: int) -> Mapping[str, int]:
    """How a model is counted whose first inference took so many instructions: fields of ``count_marked``."""
    for limit, fields in _SCHEDULE:
        if instructions < limit:
            return fields
    return _LARGE
