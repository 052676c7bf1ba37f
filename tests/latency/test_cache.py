"""The log survives being killed while it writes, and never serves what cannot be relied on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from latency.cache import MeasurementLog
from latency.errors import MeasurementFormatError
from latency.measurement import Measurement

Maker = Callable[..., Measurement]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "measurements.jsonl"


def test_what_was_appended_is_found_again_also_by_another_log(path: Path, make_measurement: Maker) -> None:
    log = MeasurementLog(path)
    first, second = make_measurement(), make_measurement(model_digest="d" * 64, seed=1)
    assert log.find(first.key) is None
    log.append(first)
    log.append(second)
    for reader in (log, MeasurementLog(path)):
        assert len(reader) == 2
        assert reader.find(first.key) == first
        assert reader.find(second.key) == second


@pytest.mark.parametrize(
    "change",
    [
        {"model_digest": "e" * 64},
        {"baseline_digest": "e" * 64},
        {"hardware_id": "f" * 12},
        {"runtime": "onnxruntime 1.33.0"},
        {"provider": "CUDAExecutionProvider"},
        {"threads": 2},
        {"affinity": (0,)},
        {"spinning": False},
        {"batch_size": 4},
        {"input_shapes": (("x", "float32", (1, 9)),)},
        {"session_entries": ()},
        {"baseline_session_entries": (("a", "b"),)},
    ],
)
def test_every_part_of_the_key_matters(path: Path, make_measurement: Maker, change: dict[str, object]) -> None:
    log = MeasurementLog(path)
    log.append(make_measurement())
    assert log.find(make_measurement(**change).key) is None


def test_latest_of_equal_keys_is_found(path: Path, make_measurement: Maker) -> None:
    log = MeasurementLog(path)
    later = make_measurement(seed=7)
    log.append(make_measurement())
    log.append(later)
    assert log.find(later.key) == MeasurementLog(path).find(later.key) == later


def test_unreliable_is_kept_but_never_served(path: Path, make_measurement: Maker) -> None:
    log = MeasurementLog(path)
    unreliable = make_measurement(grade="unreliable")
    log.append(unreliable)
    assert log.find(unreliable.key) is None
    assert MeasurementLog(path).find(unreliable.key) is None
    assert len(path.read_text().splitlines()) == 1
    clean = dataclasses.replace(unreliable, grade="clean")
    log.append(clean)
    log.append(unreliable)
    assert log.find(clean.key) == MeasurementLog(path).find(clean.key) == clean


@pytest.mark.parametrize("kept", [1, 100, -1])
def test_torn_last_line_is_ignored_and_cut_before_the_next_append(
    path: Path, make_measurement: Maker, kept: int
) -> None:
    first, second = make_measurement(), make_measurement(model_digest="d" * 64)
    log = MeasurementLog(path)
    log.append(first)
    whole = path.read_bytes()
    log.append(second)
    torn = path.read_bytes()[len(whole) :][:kept]
    path.write_bytes(whole + torn)
    reopened = MeasurementLog(path)
    assert reopened.find(first.key) == first
    assert reopened.find(second.key) is None
    assert path.read_bytes() == whole + torn, "reading changes nothing"
    reopened.append(second)
    assert MeasurementLog(path).find(second.key) == second
    assert len(path.read_bytes().splitlines()) == 2


def test_bad_line_is_named(path: Path, make_measurement: Maker) -> None:
    log = MeasurementLog(path)
    log.append(make_measurement())
    path.write_bytes(path.read_bytes() + b"rubbish\n" + path.read_bytes())
    with pytest.raises(MeasurementFormatError, match=r"measurements\.jsonl, line 2: not a stored measurement"):
        MeasurementLog(path)


def test_index_holds_places_and_not_samples(path: Path, make_measurement: Maker) -> None:
    log = MeasurementLog(path)
    log.append(make_measurement())
    assert all(isinstance(place, int) for place in vars(log)["_places"].values())
