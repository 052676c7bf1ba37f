"""A meter measures over SSH as it does here, and a lost link costs at most the candidate that was measured."""

from __future__ import annotations

import contextlib
import dataclasses
import platform
import threading
from typing import Any

import numpy as np
import pytest

from hwprofiles import HardwareProfile
from latency.effort import Effort
from latency.errors import MeasurementError, TargetError
from latency.measure import Meter
from latency.target import Target
from latency.transports.ssh import LinkSettings, SshTransport

Feeds = dict[str, np.ndarray]


@pytest.fixture
def there(profile: HardwareProfile, server: Any) -> HardwareProfile:
    """The profile of this machine, reached over SSH."""
    return profile.model_copy(update={"reach": server.reach()})


def test_meter_measures_over_ssh(
    there: HardwareProfile, baseline: bytes, candidate: bytes, feeds: Feeds, quick: Effort
) -> None:
    with Meter(there, baseline, feeds, effort=quick, workers=2) as meter:
        measurement = meter.measure(candidate)
        assert meter.machine.architecture == platform.machine().lower()
        assert meter.machine.hardware_id == measurement.key.hardware_id
    assert measurement.ratio > 0
    assert len(measurement.processes) == 2


def test_target_predicts_over_ssh(there: HardwareProfile, baseline: bytes, feeds: Feeds) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(baseline, providers=["CPUExecutionProvider"])
    samples = {"x": np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)}
    with Target(there) as target:
        target.load(baseline, feeds)
        np.testing.assert_allclose(target.predict(samples)["y"], session.run(None, samples)[0], rtol=1e-5)


def test_link_lost_while_measuring_costs_at_most_this_candidate(
    profile: HardwareProfile,
    sshd: Any,
    settings: LinkSettings,
    baseline: bytes,
    candidate: bytes,
    feeds: Feeds,
    quick: Effort,
    until: Any,
) -> None:
    def cut_off() -> None:
        until(lambda: any(sshd.target.glob("*/candidate-*.onnx")), "no candidate came")
        sshd.drop()

    slow = dataclasses.replace(quick, seconds_per_process=0.5, max_seconds=30.0)
    transport = SshTransport(sshd.reach(), settings=settings)
    with Meter(profile, baseline, feeds, effort=quick, workers=3, transport=transport) as meter:
        cutter = threading.Thread(target=cut_off)
        cutter.start()
        with contextlib.suppress(MeasurementError):
            assert meter.measure(candidate, effort=slow).ratio > 0
        cutter.join()
        assert meter.cost.workers_lost > 0
        assert meter.measure(candidate, fresh=True).ratio > 0


def test_target_that_stays_away_is_no_candidates_fault(
    profile: HardwareProfile,
    sshd: Any,
    settings: LinkSettings,
    baseline: bytes,
    candidate: bytes,
    feeds: Feeds,
    quick: Effort,
) -> None:
    transport = SshTransport(sshd.reach(), settings=settings, sleep=lambda _pause_s: None)
    with Meter(profile, baseline, feeds, effort=quick, workers=2, transport=transport) as meter:
        sshd.stop()
        for _ in range(2):
            with pytest.raises(TargetError, match="did not come back in 4 attempts"):
                meter.measure(candidate)
        sshd.start()
        assert meter.measure(candidate).ratio > 0


def test_target_that_cannot_be_reached_is_no_trial(
    profile: HardwareProfile, sshd: Any, ssh_servers: Any, baseline: bytes, feeds: Feeds
) -> None:
    away = profile.model_copy(update={"reach": sshd.reach(port=ssh_servers.free_port())})
    with pytest.raises(TargetError, match="cannot reach"), Meter(away, baseline, feeds):
        pass
