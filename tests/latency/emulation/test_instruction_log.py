"""Counts have a log of their own: nothing of it is read as a time, and no time as a count."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from latency import MeasurementLog
from latency.emulation.instruction_count import InstructionCount
from latency.emulation.instruction_log import InstructionLog
from latency.errors import MeasurementFormatError

Maker = Callable[..., InstructionCount]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "instructions.jsonl"


def test_what_was_appended_is_found_again_also_by_another_log(path: Path, make_count: Maker) -> None:
    log = InstructionLog(path)
    first, second = make_count(), make_count(model_digest="d" * 64)
    assert log.find(first.key) is None
    log.append(first)
    log.append(second)
    for reader in (log, InstructionLog(path)):
        assert len(reader) == 2
        assert reader.find(first.key) == first
        assert reader.find(second.key) == second


def test_torn_last_line_is_cut_off(path: Path, make_count: Maker) -> None:
    log = InstructionLog(path)
    log.append(make_count())
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:50])
    reopened = InstructionLog(path)
    assert len(reopened) == 1
    reopened.append(make_count(model_digest="d" * 64))
    assert len(InstructionLog(path)) == 2


def test_times_and_counts_do_not_mix(path: Path, make_count: Maker, make_measurement: Callable[..., object]) -> None:
    InstructionLog(path).append(make_count())
    with pytest.raises(MeasurementFormatError, match="line 1"):
        MeasurementLog(path)
    path.unlink()
    MeasurementLog(path).append(make_measurement())  # type: ignore[arg-type]
    with pytest.raises(MeasurementFormatError, match="line 1: not a stored instruction count: its kind is not"):
        InstructionLog(path)
