"""Has workers run a model, and reads how many instructions each of its inferences took."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from latency.emulation.counts import between_marks, counts_name
from latency.errors import WorkerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from latency.emulation.instruction_count import ClassCounts
    from latency.transports import Connection, Transport

# How many inferences are left out, and how many after them are counted, by the instructions of one. Python adapts
# itself in the first twenty calls or so, which takes some thousand instructions off each later one: that shows in a
# small model and not in a large one, whose inferences take seconds under emulation. By instructions and not by time,
# so that a count does not depend on how busy the emulating machine is.
_SCHEDULE = ((2e6, (24, 9)), (2e7, (16, 5)), (2e8, (2, 3)), (inf, (1, 2)))


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
        first = self._run(connections, slot, [(0, 1)] * len(connections))
        return self._run(connections, slot, [plan(counts[0].total) for counts in first])

    def _run(
        self, connections: Sequence[Connection], slot: str, plans: Sequence[tuple[int, int]]
    ) -> list[tuple[ClassCounts, ...]]:
        for connection, (left_out, counted) in zip(connections, plans, strict=True):
            connection.post("count_marked", slot=slot, inferences=left_out + counted)
        answers = [connection.collect(self._patience_s) for connection in connections]
        return [self._read(answer)[left_out:] for answer, (left_out, _) in zip(answers, plans, strict=True)]

    def _read(self, answer: Mapping[str, Any]) -> tuple[ClassCounts, ...]:
        pid = int(answer["pid"])
        try:
            text = self._transport.get(self._transport.path(counts_name(pid))).decode()
        except OSError as error:
            msg = f"the emulator wrote no counts for process {pid} ({error.strerror}); its plugin did not run"
            raise WorkerError(msg) from error
        return between_marks(text, answer["marks"])


def plan(instructions: int) -> tuple[int, int]:
    """For a model whose first inference took so many instructions: how many to leave out, and then to count."""
    return next(numbers for limit, numbers in _SCHEDULE if instructions < limit)
