"""Counts are differences between marks; what is damaged or missing is said."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency.emulation.counts import between_marks
from latency.emulation.instruction_count import CLASSES
from latency.errors import WorkerError


def lines(*totals: int) -> str:
    rows = [{"mark": mark, **dict.fromkeys(CLASSES, 0), "total": total} for mark, total in enumerate(totals)]
    return "".join(json.dumps(row) + "\n" for row in rows)


@given(steps=st.lists(st.integers(1, 10**12), min_size=2, max_size=6), asked=st.integers(2, 6))
def test_counts_are_the_steps_between_the_last_marks(steps: list[int], asked: int) -> None:
    totals = [sum(steps[:count]) for count in range(1, len(steps) + 1)]
    marks = list(range(len(steps)))[-asked:]
    counts = between_marks(lines(*totals), marks)
    assert [each.total for each in counts] == steps[1:][-(len(marks) - 1) :]


def test_a_number_that_comes_again_means_the_latest() -> None:
    assert between_marks(lines(5, 7) + lines(100, 103), [0, 1])[0].total == 3


@pytest.mark.parametrize("text", ["rubbish\n", "[1]\n", '{"mark": 0}\n', lines(1, 2)[:-5], '{"mark": "x"}\n'])
def test_damaged_line_is_quoted(text: str) -> None:
    with pytest.raises(WorkerError, match="which is no count"):
        between_marks(text, [0, 1])


@pytest.mark.parametrize("text", ["", lines(1), lines(1, 2)])
def test_missing_mark_is_said(text: str) -> None:
    with pytest.raises(WorkerError, match=r"the worker had set \[1, 2\]; is the disk full\?"):
        between_marks(text, [1, 2])
