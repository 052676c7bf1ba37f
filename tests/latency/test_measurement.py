"""A measurement is its raw samples; figures are derived, and a file holds it exactly."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from latency.errors import MeasurementFormatError
from latency.measurement import Measurement
from latency.samples import ProcessSamples, Samples

Maker = Callable[..., Measurement]
STORED = Path(__file__).parents[1] / "data" / "measurement-v1.json"


def test_figures_are_derived_from_the_samples(make_measurement: Maker) -> None:
    measurement = make_measurement()
    assert measurement.latency_ms == np.median(measurement.candidate_ms())
    assert measurement.baseline_ms == pytest.approx(1.0, rel=0.01)
    assert measurement.ratio_low < measurement.ratio < measurement.ratio_high
    assert measurement.ratio == pytest.approx(0.5, rel=0.01)
    assert (measurement.threads, measurement.batch_size, measurement.runtime) == (1, 1, "onnxruntime 1.32.0")
    assert (measurement.model_digest[0], measurement.baseline_digest[0]) == ("c", "b")
    assert measurement.hardware_id == "0123456789ab"


def test_percentiles_stand_only_where_samples_allow(make_measurement: Maker) -> None:
    measurement = make_measurement()
    assert len(measurement.candidate_ms()) == 320
    assert set(measurement.percentiles_ms) == {50, 90, 95}
    few = dataclasses.replace(measurement, processes=measurement.processes[:1])
    assert set(few.percentiles_ms) == {50, 90}


def test_clock_says_which_samples_count(make_measurement: Maker) -> None:
    wall = make_measurement()
    assert wall.candidate_ms()[:80] == wall.processes[0].candidate.wall_ms
    cpu = dataclasses.replace(wall, clock="cpu")
    assert cpu.candidate_ms()[:80] == cpu.processes[0].candidate.cpu_ms


@pytest.mark.parametrize("affinity", [None, (0, 1)])
def test_json_round_trip_is_exact(make_measurement: Maker, affinity: tuple[int, ...] | None) -> None:
    measurement = make_measurement(affinity=affinity, grade="contended", clock="cpu")
    text = measurement.to_json()
    assert "\n" not in text
    assert Measurement.from_json(text) == measurement
    assert hash(Measurement.from_json(text).key) == hash(measurement.key)


def test_stored_old_sample_still_loads() -> None:
    measurement = Measurement.from_json(STORED.read_text())
    assert measurement.grade == "clean"
    assert measurement.ratio == pytest.approx(0.4987, abs=1e-4), "by today's estimate of the samples of then"
    assert measurement.key.input_shapes == (("x", "float32", (1, 8)),)
    assert measurement.processes[0].candidate.switches is not None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format_version": 3}, "reads up to 2; upgrade"),
        ({"format_version": None}, "format_version is None"),
        ({"grade": "splendid"}, "got 'splendid'"),
        ({"surprise": 1}, "surprise"),
        ({"processes": []}, "got none"),
    ],
)
def test_what_is_no_measurement_is_refused(make_measurement: Maker, change: dict[str, object], words: str) -> None:
    text = json.dumps({**json.loads(make_measurement().to_json()), **change})
    with pytest.raises(MeasurementFormatError, match=words):
        Measurement.from_json(text)


@pytest.mark.parametrize("text", ["", "{", "[]", "3"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(MeasurementFormatError, match="not a stored measurement"):
        Measurement.from_json(text)


def test_samples_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"lengths \[1, 2\]"):
        Samples(wall_ms=(1.0, 2.0), cpu_ms=(1.0,), switches=None)


def test_samples_that_make_no_rounds_are_refused() -> None:
    samples = Samples(wall_ms=(1.0,) * 6, cpu_ms=None, switches=None)
    with pytest.raises(ValueError, match="6 samples of the candidate do not make 2 rounds"):
        ProcessSamples(candidate=samples, baseline=samples, rounds=2)


def test_rounds_compare_neighbours_in_time() -> None:
    level = np.repeat([1.0, 1.6, 1.3], 4)  # the host changes between rounds
    baseline = Samples(wall_ms=tuple(level), cpu_ms=None, switches=None)
    candidate = Samples(wall_ms=tuple(0.5 * level), cpu_ms=None, switches=None)
    process = ProcessSamples(candidate=candidate, baseline=baseline, rounds=3)
    np.testing.assert_allclose(np.exp(process.log_ratios("wall")), 0.5)
    assert process.joined(process).rounds == 6
    with pytest.raises(ValueError, match="no processor time"):
        process.log_ratios("cpu")


def test_samples_come_from_nanoseconds() -> None:
    samples = Samples.from_worker([[1_234_567, 1_000_000, 2], [2_000_000, 999_996, 0]])
    assert samples == Samples(wall_ms=(1.23457, 2.0), cpu_ms=(1.0, 1.0), switches=(2, 0))
    assert Samples.from_worker([[1_000_000, 1_000_000, None]]).switches is None
