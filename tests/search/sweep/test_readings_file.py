"""Readings survive whatever ends the sweep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from search.folder.run_folder import RunFolder
from search.sweep.joint import Joint
from search.sweep.readings import Key, Reading
from search.sweep.readings_file import ReadingsFile

READINGS: dict[Key, Reading | None] = {
    ("bits/a", "int8"): Reading(mean=0.25, standard_error=0.125),
    ("sparsity/a", 0.375): Reading(mean=0.0, standard_error=0.0),
}
JOINT = Joint(params={"bits/a": "int8", "sparsity/a": 0.375}, reading=Reading(mean=0.5, standard_error=0.25))
FACTS = b'{"format_version": 1, "network": "d", "samples": 32'


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def file_in(folder: Path, clock: Clock | None = None, **changes: Any) -> ReadingsFile:
    facts: dict[str, Any] = {"network_digest": "d", "samples": 32, **changes}
    return ReadingsFile(RunFolder(folder), clock=clock or Clock(), **facts)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """The folder of a sweep that came to its end."""
    file = file_in(tmp_path)
    with file.kept():
        file.readings.update(READINGS)
        file.fail(("rank/a", 0.5), "the runtime refuses it")
        file.joints.append(JOINT)
    return tmp_path


def test_what_is_written_is_read_back(kept: Path) -> None:
    file = file_in(kept)
    assert file.read() == ""
    assert file.readings == {**READINGS, ("rank/a", 0.5): None}
    assert file.joints == [JOINT]


def test_reasons_of_failures_stay(kept: Path) -> None:
    file = file_in(kept)
    file.read()
    with file.kept():
        pass
    document = json.loads((kept / "sweep.json").read_text())
    assert document["format_version"] == 1
    assert document["failures"] == [["rank/a", 0.5, "the runtime refuses it"]]


def test_no_file_is_no_reading(tmp_path: Path) -> None:
    file = file_in(tmp_path)
    assert file.read() == ""
    assert file.readings == {}


@pytest.mark.parametrize("change", [{"network_digest": "another"}, {"samples": 16}])
def test_readings_of_another_network_or_of_other_samples_do_not_count(kept: Path, change: dict[str, Any]) -> None:
    file = file_in(kept, **change)
    assert file.read() == ""
    assert file.readings == {}


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"\xff\xfe",
        b"[]",
        b'{"format_version": 1}',
        FACTS + b', "readings": [["bits/a", "int8", NaN, 0]], "failures": []}',
        FACTS + b', "readings": [["bits/a", "int8"]], "failures": []}',
        FACTS + b', "readings": [["bits/a", "int8", "x", 0]], "failures": []}',
        FACTS + b', "readings": []}',
        FACTS + b', "readings": [["bits/a", "int8", 0.5, 0]], "failures": []}',
        FACTS + b', "readings": [["bits/a", "int8", 0.5, 0]], "failures": [], "joints": [[{"bits/a": "int8"}, -1, 0]]}',
    ],
)
def test_a_damaged_file_is_said_and_measured_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sweep.json").write_bytes(content)
    file = file_in(tmp_path)
    assert f"'{tmp_path / 'sweep.json'}' is damaged: " in file.read()
    assert (file.readings, file.joints) == ({}, [])
    with file.kept():
        file.readings.update(READINGS)
    again = file_in(tmp_path)
    assert again.read() == ""
    assert again.readings == READINGS


def test_a_crash_loses_the_last_seconds_only(tmp_path: Path) -> None:
    clock = Clock()
    file = file_in(tmp_path, clock)
    with file.kept() as tick:
        file.readings.update(READINGS)
        tick()
        assert not (tmp_path / "sweep.json").exists()
        clock.now_s += 10.0
        tick()
        seen_by_others = file_in(tmp_path)
        seen_by_others.read()
        assert seen_by_others.readings == READINGS


def test_what_interrupts_the_sweep_costs_nothing(tmp_path: Path) -> None:
    file = file_in(tmp_path)

    def interrupted() -> None:
        with file.kept():
            file.readings.update(READINGS)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    again = file_in(tmp_path)
    again.read()
    assert again.readings == READINGS


def test_a_newer_paretune_s_readings_do_not_count(kept: Path) -> None:
    path = kept / "sweep.json"
    path.write_text(path.read_text().replace('"format_version": 1', '"format_version": 2'))
    file = file_in(kept)
    assert file.read() == ""
    assert file.readings == {}
