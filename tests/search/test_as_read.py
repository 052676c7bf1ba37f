"""Latencies follow from what was read, which is kept."""

from __future__ import annotations

import math

import pytest

from latency import Measurement
from search import RunResult
from search.as_read import AsRead
from search.folder.run_folder import RunFolder
from search.study.study import FP32_MS, load_run_study
from search.study.trials import outcomes_of


def test_every_latency_of_a_run_follows_from_its_raw_samples_again(finished: RunResult) -> None:
    """Seen from the study's reference speed with what was known then of how the ratio follows it."""
    with load_run_study(RunFolder(finished.folder)) as study:
        outcomes, fp32_ms = outcomes_of(study.get_trials(deepcopy=False)), study.user_attrs[FP32_MS]
    lines = (finished.folder / "measurements.jsonl").read_text().splitlines()
    taken = [Measurement.from_json(line) for line in lines]
    assert outcomes
    for outcome in outcomes:
        mine = [each for each in taken if each.model_digest == outcome.digest]
        (read,) = [each for each in mine if each.ratio == pytest.approx(outcome.read_latency_ratio, rel=1e-12)]
        assert read.baseline_ms == pytest.approx(outcome.read_fp32_ms)
        seen = read.at(outcome.seen_from(fp32_ms))
        assert (seen.ratio, seen.ratio_high) == pytest.approx((outcome.latency_ratio, outcome.latency_ratio_high))
        assert outcome.readings
        assert outcome.readings[0]["model"] == outcome.digest


def test_what_stands_as_it_was_read_is_seen_from_nowhere() -> None:
    """As in studies from before speeds were told apart."""
    assert AsRead().seen_from(1.0) is None
    speed = AsRead(elasticity=0.4, elasticity_deviation=0.1).seen_from(2.0)
    assert speed is not None
    assert (speed.baseline_ms, speed.elasticity.value, speed.elasticity.deviation) == (2.0, 0.4, 0.1)
    assert math.isnan(AsRead().read_fp32_ms)
