"""A check, a load and LoadGen on a target behind a real sshd: the same as here, and nothing stays behind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hwprofiles import HardwareProfile
from latency.check import check_target
from latency.effort import Effort
from latency.sustained import measure_drift
from latency.witness import Traffic, call_witness

Feeds = dict[str, np.ndarray]


@pytest.fixture
def board(profile: HardwareProfile, sshd: Any) -> HardwareProfile:
    return profile.model_copy(update={"reach": sshd.reach()})


def test_a_check(board: HardwareProfile, sshd: Any, baseline: bytes, feeds: Feeds, quick: Effort) -> None:
    findings = {one.name: one for one in check_target(board, baseline, feeds, repeats=2, effort=quick)}
    assert findings["reached"].seen.startswith(f"over SSH at {board.reach.user}@127.0.0.1:{sshd.port}, in ")  # type: ignore[union-attr]
    assert "its outputs: bit-identical on 1 samples to onnxruntime" in findings["network"].seen
    assert list(findings)[-1] == "A/A"
    assert sshd.sessions() == []


def test_a_python_without_the_engine_is_said_with_what_to_install(
    board: HardwareProfile, sshd: Any, baseline: bytes, feeds: Feeds
) -> None:
    bare = board.model_copy(update={"reach": sshd.reach(python_command=(*sshd.reach().python_command, "-S", "-E"))})
    findings = list(check_target(bare, baseline, feeds))
    assert [one.status for one in findings] == ["failed"]
    assert "install it" in findings[0].seen
    assert sshd.sessions() == []


def test_a_load(board: HardwareProfile, sshd: Any, baseline: bytes, feeds: Feeds) -> None:
    drift = measure_drift(board, baseline, feeds, duration_s=0.2, chunk_s=0.1, processes=2)
    assert drift.inferences > 0
    assert len(drift.processes) == 2
    assert sshd.sessions() == []


def test_loadgen(board: HardwareProfile, sshd: Any, baseline: bytes, feeds: Feeds, quick: Effort) -> None:
    pytest.importorskip("mlperf_loadgen", reason="MLCommons' LoadGen is not installed")
    traffic = Traffic(scenario="single-stream", seconds=0.2, min_queries=20)
    witness = call_witness(board, baseline, feeds, traffic, effort=quick)
    assert witness.result.conditions["Min queries"]
    assert witness.loadgen_ms == witness.result.median_ms > 0
    assert sshd.sessions() == []
