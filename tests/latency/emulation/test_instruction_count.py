"""An instruction count is its repeats; figures are derived, a file holds it exactly, and none of it is a time."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency.emulation.instruction_count import CLASSES, RESOLUTION, ClassCounts, InstructionCount, ProcessCounts
from latency.errors import MeasurementFormatError

Maker = Callable[..., InstructionCount]
STORED = Path(__file__).parents[2] / "data" / "instruction-count-v1.json"


@st.composite
def counts(draw: st.DrawFn) -> ClassCounts:
    parts = {name: draw(st.integers(0, 10**9)) for name in CLASSES if name != "total"}
    return ClassCounts(total=sum(parts.values()) + draw(st.integers(1, 10**9)), **parts)


several = st.lists(counts(), min_size=1, max_size=5).map(tuple)
processes = st.lists(st.builds(ProcessCounts, candidate=several, baseline=several), min_size=2, max_size=3).map(tuple)


def test_figures_are_those_of_the_middle_inference(make_count: Maker) -> None:
    count = make_count()
    assert count.candidate_instructions == 1005
    assert count.baseline_instructions == 2002, "one odd inference changes nothing"
    assert count.ratio == 1005 / 2002
    assert count.ratio_low == pytest.approx((1 - RESOLUTION) * 1000 / 2002)
    assert count.ratio_high == pytest.approx((1 + RESOLUTION) * 1010 / 2002)
    assert count.candidate_by_class["dot"] == 300
    assert count.baseline_by_class["fmla32"] == 900
    assert (count.threads, count.batch_size, count.model_digest[0], count.baseline_digest[0]) == (1, 1, "c", "b")


def test_grade_says_that_it_is_no_time(make_count: Maker) -> None:
    count = make_count()
    assert count.grade == "emulated"
    assert "cortex-a76 (qemu-aarch64 7.2.22); they say nothing certain about time" in count.reason


@given(processes=processes)
def test_interval_holds_the_ratio_and_json_holds_everything(
    make_count: Maker, processes: tuple[ProcessCounts, ...]
) -> None:
    count = make_count(processes=processes)
    assert count.ratio_low < count.ratio < count.ratio_high
    assert count.ratio_half_width > 0.9 * RESOLUTION
    text = count.to_json()
    assert "\n" not in text
    assert InstructionCount.from_json(text) == count
    assert hash(InstructionCount.from_json(text).key) == hash(count.key)


@pytest.mark.parametrize(
    ("total", "changes"), [(0, {}), (-1, {}), (10, {"dot": 11}), (10, {"dot": 6, "mlal": 5}), (10, {"sve": -1})]
)
def test_impossible_counts_are_refused(total: int, changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="instructions are whole numbers"):
        ClassCounts(**{**dict.fromkeys(CLASSES, 0), "total": total, **changes})


def test_one_process_has_no_spread(make_count: Maker) -> None:
    with pytest.raises(ValueError, match="at least 2 processes to know its spread, got 1"):
        make_count(processes=make_count().processes[:1])
    with pytest.raises(ValueError, match="at least once"):
        dataclasses.replace(make_count().processes[0], baseline=())


def test_stored_old_sample_still_loads() -> None:
    count = InstructionCount.from_json(STORED.read_text())
    assert count.grade == "emulated"
    assert count.ratio == pytest.approx(1005 / 2002)
    assert count.key.input_shapes == (("x", "float32", (1, 8)),)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format_version": 2}, "reads up to 1; upgrade"),
        ({"format_version": None}, "format_version is None"),
        ({"kind": "latency"}, "its kind is not"),
        ({"surprise": 1}, "surprise"),
        ({"processes": []}, "got 0"),
        ({"cpu": None, "key": {}}, "KeyError"),
    ],
)
def test_what_is_no_count_is_refused(make_count: Maker, change: dict[str, object], words: str) -> None:
    text = json.dumps({**json.loads(make_count().to_json()), **change})
    with pytest.raises(MeasurementFormatError, match=words):
        InstructionCount.from_json(text)


@pytest.mark.parametrize("text", ["", "{", "[]", "3"])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(MeasurementFormatError, match="not a stored instruction count"):
        InstructionCount.from_json(text)
