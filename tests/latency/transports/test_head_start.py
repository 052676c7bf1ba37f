"""Workers that have a head start are those that are used, and none outlives its owner."""

from __future__ import annotations

import sys

import numpy as np
import psutil
import pytest

from hwprofiles import HardwareProfile
from latency import Effort, MeasurementError, Meter
from latency.transports.head_start import HeadStart
from latency.transports.local import LocalTransport

Feeds = dict[str, np.ndarray]


def workers() -> set[int]:
    """Process ids of this process's workers."""
    children = psutil.Process().children(recursive=True)
    return {child.pid for child in children if "worker.pyz" in " ".join(child.cmdline())}


def test_a_meter_takes_the_workers_that_run_already_and_starts_what_it_needs_besides(
    profile: HardwareProfile, baseline: bytes, candidate: bytes, feeds: Feeds, quick: Effort
) -> None:
    before = workers()
    with HeadStart(LocalTransport(), workers=2) as early:
        ahead = workers() - before
        assert len(ahead) == 2
        with Meter(profile, baseline, feeds, effort=quick, transport=early, workers=3) as meter:
            used = workers() - before
            assert ahead < used
            assert len(used) == 3
            assert len(meter.measure(candidate).processes) == 3
        assert workers() == before
    assert workers() == before


def test_workers_that_nobody_wanted_end_with_their_owner() -> None:
    before = workers()
    with HeadStart(LocalTransport(), workers=2):
        assert len(workers() - before) == 2
    assert workers() == before


def test_after_a_meter_has_closed_it_another_finds_it_fresh(
    profile: HardwareProfile, baseline: bytes, candidate: bytes, feeds: Feeds, quick: Effort
) -> None:
    with HeadStart(LocalTransport(), workers=1) as early:
        for _ in range(2):
            with Meter(profile, baseline, feeds, effort=quick, transport=early, workers=2) as meter:
                assert len(meter.measure(candidate).processes) == 2


def test_a_worker_that_cannot_start_is_said_where_it_is_needed(
    profile: HardwareProfile, baseline: bytes, feeds: Feeds
) -> None:
    missing = LocalTransport(["/no/such/python", "{archive}"])
    with (
        HeadStart(missing, workers=2) as early,
        pytest.raises(MeasurementError, match="cannot start a worker with '/no/such/python'"),
        Meter(profile, baseline, feeds, transport=early),
    ):
        pass


def test_one_that_died_on_the_way_is_found_by_the_meter_that_gets_it(
    profile: HardwareProfile, baseline: bytes, feeds: Feeds
) -> None:
    dying = LocalTransport([sys.executable, "-c", "raise SystemExit('no runtime here')"])
    with (
        HeadStart(dying, workers=1) as early,
        pytest.raises(MeasurementError, match="no runtime here"),
        Meter(profile, baseline, feeds, transport=early),
    ):
        pass
