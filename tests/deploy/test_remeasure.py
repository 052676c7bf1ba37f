"""A measurement ends where nothing is left to doubt, and goes on in other processes where something is."""

from __future__ import annotations

import psutil
import pytest

from deploy.exportable import Exportable
from deploy.first_look import PROCESSES, start_ahead
from deploy.remeasure import PASSES, WORKERS, Remeasured, Timed, remeasure


@pytest.fixture
def timed(point_before: Exportable) -> Timed:
    return Timed(
        model=point_before.onnx_bytes,
        session_entries=point_before.session_entries,
        fp32=point_before.fp32,
        feeds=point_before.feeds,
    )


def test_a_first_look_that_suffices_is_the_last(point_before: Exportable, timed: Timed) -> None:
    found = remeasure(point_before.profile, timed, suffices=lambda found: True)
    assert len(found.passes) == 1
    assert len(found.whole.processes) == PROCESSES


def test_doubts_are_put_to_fresh_processes_until_as_many_were_asked_as_without_a_first_look(
    point_before: Exportable, timed: Timed
) -> None:
    """The last look is not asked about: there is nothing more to come."""
    seen: list[tuple[int, set[int]]] = []

    def note(found: Remeasured) -> bool:
        workers = {child.pid for child in psutil.Process().children() if "worker.pyz" in " ".join(child.cmdline())}
        seen.append((len(found.whole.processes), workers))
        return False

    found = remeasure(point_before.profile, timed, suffices=note)
    assert [processes for processes, _ in seen] == list(range(PROCESSES, WORKERS * PASSES, PROCESSES))
    assert len(found.whole.processes) == WORKERS * PASSES
    first, second = seen[0][1], seen[1][1]
    assert len(first) == len(second) == PROCESSES
    assert not first & second


def test_workers_that_were_started_ahead_are_those_that_measure(point_before: Exportable, timed: Timed) -> None:
    before = {child.pid for child in psutil.Process().children()}
    with start_ahead() as ahead:
        started = {child.pid for child in psutil.Process().children()} - before
        during: list[set[int]] = []

        def note(found: Remeasured) -> bool:
            during.append({child.pid for child in psutil.Process().children()} - before)
            return True

        remeasure(point_before.profile, timed, suffices=note, ahead=ahead)
    assert len(started) == PROCESSES
    assert during == [started]
