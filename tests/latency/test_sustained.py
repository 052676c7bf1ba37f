"""A target is kept busy for as long as asked, and timed by the same processes before and after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hwprofiles import HardwareProfile
from latency.errors import MeasurementError
from latency.sustained import Moment, measure_drift
from latency.transports.local import LocalTransport

Feeds = dict[str, np.ndarray]


def test_a_drift_on_a_real_worker(profile: HardwareProfile, baseline: bytes, feeds: Feeds) -> None:
    moments: list[Moment] = []
    drift = measure_drift(profile, baseline, feeds, duration_s=0.4, chunk_s=0.1, processes=2, on_moment=moments.append)
    assert tuple(moments) == drift.course
    assert len(moments) >= 2
    elapsed = [moment.elapsed_s for moment in moments]
    assert elapsed == sorted(elapsed)
    assert drift.duration_s >= 0.4
    assert drift.inferences > 10
    assert len(drift.processes) == 2
    for ends in drift.processes:
        assert min(*ends.before.wall_ms, *ends.after.wall_ms) > 0
    assert drift.ratio_low <= drift.ratio <= drift.ratio_high


def test_a_target_that_dies_under_load(
    profile: HardwareProfile,
    baseline: bytes,
    feeds: Feeds,
    faulty: Callable[[str], LocalTransport],
    tmp_path: Path,
) -> None:
    with pytest.raises(MeasurementError, match=r"the load on 'test-cpu' was cut off: .*about to die"):
        measure_drift(
            profile,
            baseline,
            feeds,
            duration_s=0.2,
            chunk_s=0.1,
            processes=2,
            transport=faulty("dies"),
            on_moment=lambda _moment: (tmp_path / "armed").touch(),
        )


def test_a_network_that_is_refused(profile: HardwareProfile, broken_model: bytes, feeds: Feeds) -> None:
    with pytest.raises(MeasurementError, match="NoSuchOperator"):
        measure_drift(profile, broken_model, feeds, duration_s=0.1, processes=2)
