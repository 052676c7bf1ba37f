"""LoadGen's own words become values, and its figure is set beside ours on the same network."""

from __future__ import annotations

import json
import sys
from typing import get_args

import numpy as np
import pytest

from hwprofiles import EmulatedReach, HardwareProfile
from latency.effort import Effort
from latency.errors import MeasurementError
from latency.loadgen_result import Scenario, parse_summary
from latency.transports.local import LocalTransport
from latency.witness import OFFICIAL_QUERIES, Traffic, Witness, call_witness

pytest.importorskip("mlperf_loadgen", reason="MLCommons' LoadGen is not installed")

Feeds = dict[str, np.ndarray]
SCENARIOS = get_args(Scenario)
VERSION = "mlcommons-loadgen 6.0.17"

SERVER = """\
================================================
MLPerf Results Summary
================================================
SUT name : PySUT
Scenario : Server
Mode     : PerformanceOnly
Completed samples per second    : 282.21
Result is : INVALID
  Performance constraints satisfied : Yes
  Min duration satisfied : Yes
  Min queries satisfied : Yes
  Early stopping satisfied: NO
Recommendations:
Early Stopping Result:
 * Run unsuccessful.
 * Processed 144 queries.
 * Would need to run at least 315 more queries,
 with the run being successful if every additional
 query were under latency.

================================================
Additional Stats
================================================
Scheduled samples per second : 282.93
Min latency (ns)                : 1104161
Max latency (ns)                : 3150336
Mean latency (ns)               : 1426971
50.00 percentile latency (ns)   : 1233870
90.00 percentile latency (ns)   : 2094557
99.90 percentile latency (ns)   : 3150336

================================================
Test Parameters Used
================================================
samples_per_query : 1
target_qps : 300
"""
"""What LoadGen 6.0.17 wrote of 144 queries."""


def check(witness: Witness, scenario: Scenario) -> None:
    """What holds of every witness."""
    result = witness.result
    assert result.scenario == scenario
    assert result.percentiles_ms[50.0] == result.median_ms > 0
    assert list(result.percentiles_ms.values()) == sorted(result.percentiles_ms.values())
    assert result.samples_per_s > 0
    assert result.valid == (not result.reasons)
    assert result.conditions["Min queries"]
    assert witness.ratio == pytest.approx(witness.loadgen_ms / witness.our_ms)
    assert witness.before.model_digest == witness.before.baseline_digest == witness.after.model_digest
    stored = json.loads(json.dumps(witness.to_dict()))
    assert stored["loadgen"]["verdict"] == ("VALID" if result.valid else "INVALID")
    assert stored["loadgen"]["summary"] == result.summary
    assert stored["loadgen"]["percentiles_ms"]["50"] == result.median_ms


def test_single_stream_is_compared_by_its_median(
    profile: HardwareProfile, baseline: bytes, feeds: Feeds, quick: Effort
) -> None:
    traffic = Traffic(scenario="single-stream", seconds=0.2, min_queries=20)
    witness = call_witness(profile, baseline, feeds, traffic, effort=quick)
    check(witness, "single-stream")
    assert witness.loadgen_ms == witness.result.median_ms


def test_offline_is_compared_by_the_time_per_inference_of_a_batch(
    profile: HardwareProfile, baseline: bytes, quick: Effort
) -> None:
    feeds = {"x": np.ones((4, 8), np.float32)}
    traffic = Traffic(scenario="offline", seconds=0.1, min_queries=8)
    witness = call_witness(profile.with_engine(batch_size=4), baseline, feeds, traffic, effort=quick)
    check(witness, "offline")
    assert witness.loadgen_ms == pytest.approx(4e3 / witness.result.samples_per_s)


def test_a_verdict_comes_with_its_reasons_and_advice() -> None:
    result = parse_summary(SERVER, VERSION)
    assert (result.scenario, result.valid, result.reasons) == ("server", False, ("Early stopping",))
    assert result.samples_per_s == 282.21
    assert result.percentiles_ms == {50.0: 1.23387, 90.0: 2.094557, 99.9: 3.150336}
    assert result.mean_ms == 1.426971
    assert result.advice[2] == (
        "Would need to run at least 315 more queries, with the run being successful if every additional query were "
        "under latency."
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Additional Stats", "Other Stats", "MLPerf Results Summary"),
        ("Scenario : Server", "Scenario : MultiStream", "scenario 'MultiStream'"),
        ("50.00 percentile", "51.00 percentile", "no 50th percentile"),
        ("Mean latency (ns)  ", "Average latency (ns)", r"no 'Mean latency \(ns\)'"),
        (": 282.21", ": nan?", "'Completed samples per second: nan"),
        ("Result is : ", "Result was : ", "no 'Result is'"),
    ],
)
def test_a_summary_of_another_kind_is_refused_with_what_is_strange(old: str, new: str, said: str) -> None:
    assert old in SERVER
    with pytest.raises(MeasurementError, match=rf"the summary of {VERSION} cannot be read: .*{said}"):
        parse_summary(SERVER.replace(old, new), VERSION)


def test_what_a_server_is_asked_for_follows_from_how_long_an_inference_takes() -> None:
    settings = Traffic(scenario="server").settings(0.004, batch_size=1)
    assert settings["qps"] == pytest.approx(150.0)
    assert settings["target_latency_s"] == pytest.approx(0.04)
    assert settings["percentile"] == 0.99
    asked = Traffic(scenario="server", qps=20.0, target_latency_ms=15.0).settings(0.004, batch_size=1)
    assert (asked["qps"], asked["target_latency_s"]) == (20.0, 0.015)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"scenario": "offline", "seconds": 0.0}, "seconds must be above 0, got 0"),
        ({"scenario": "offline", "min_queries": 0}, "min_queries must be above 0, got 0"),
        ({"scenario": "server", "qps": -1.0}, "qps must be above 0, got -1"),
        ({"scenario": "offline", "qps": 3.0}, "go with the server scenario"),
        ({"scenario": "single-stream", "target_latency_ms": 3.0}, "go with the server scenario"),
    ],
)
def test_traffic_that_makes_no_sense_is_refused(asked: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Traffic(**asked)  # type: ignore[arg-type]


def test_a_run_is_official_only_when_it_is_long_enough() -> None:
    for scenario in SCENARIOS:
        queries = OFFICIAL_QUERIES[scenario]
        assert Traffic(scenario=scenario, seconds=600, min_queries=queries).is_official
        assert not Traffic(scenario=scenario, seconds=599, min_queries=queries).is_official
        assert not Traffic(scenario=scenario, seconds=600, min_queries=queries - 1).is_official


def test_nothing_is_witnessed_where_time_says_nothing(profile: HardwareProfile, baseline: bytes, feeds: Feeds) -> None:
    emulated = profile.model_copy(update={"reach": EmulatedReach()})
    with pytest.raises(MeasurementError, match="is emulated"):
        call_witness(emulated, baseline, feeds, Traffic(scenario="offline"))


def test_a_target_without_loadgen_says_what_to_install(
    profile: HardwareProfile, baseline: bytes, feeds: Feeds, quick: Effort
) -> None:
    code = "import sys; sys.modules['mlperf_loadgen'] = None; sys.path.insert(0, sys.argv[1]); "
    code += "from latency.worker.serve import main; main()"
    transport = LocalTransport([sys.executable, "-c", code, "{archive}"])
    with pytest.raises(MeasurementError, match="pip install mlcommons-loadgen"):
        call_witness(profile, baseline, feeds, Traffic(scenario="offline"), effort=quick, transport=transport)
