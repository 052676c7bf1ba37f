"""Progress in a log is a line now and then; on a terminal it is one bar that leaves nothing behind."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from search.cli.watch import Watch, clock_text, facts, is_milestone
from search.progress import Progress

STEPS = [
    Progress(stage="export", done=0, total=1),
    Progress(stage="export", done=1, total=1),
    *(Progress(stage="calibration", done=done, total=64) for done in (16, 32, 48, 64)),
    Progress(stage="baseline", done=0, total=1),
    Progress(stage="search", done=1, total=3, front_size=1, best_speedup=1.0, remaining_s=4.0),
    Progress(stage="search", done=1, total=3, front_size=1, best_speedup=1.0, note="#1 will be [tried] again: noise"),
    Progress(stage="search", done=2, total=3, front_size=2, best_speedup=2.5, remaining_s=2.0),
    Progress(stage="search", done=3, total=3, front_size=2, best_speedup=2.5, remaining_s=0.0),
    Progress(stage="confirmation", done=0, total=None),
    Progress(stage="confirmation", done=1, total=2),
    Progress(stage="confirmation", done=2, total=2),
    Progress(stage="report", done=0, total=1),
    Progress(stage="report", done=1, total=1),
]


def show(*, terminal: bool, width: int = 80) -> str:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=width, color_system=None, legacy_windows=False)
    with Watch(console) as watch:
        for step in STEPS:
            watch.listen(step)
    return file.getvalue()


def test_a_log_has_a_line_for_each_step_that_matters() -> None:
    assert show(terminal=False).splitlines() == [
        "Reading the network",
        "Calibrating 16/64",
        "Calibrating 48/64",
        "Calibrating 64/64",
        "Validating FP32",
        "Searching 1/3 front 1 · best within 1 point ×1.00 · 0:04 left",
        "#1 will be [tried] again: noise",
        "Searching 2/3 front 2 · best within 1 point ×2.50 · 0:02 left",
        "Searching 3/3 front 2 · best within 1 point ×2.50",
        "Confirming the front",
        "Confirming the front 1/2",
        "Confirming the front 2/2",
        "Writing the report",
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_a_terminal_gets_one_bar_that_fits_and_the_notes_stay(width: int) -> None:
    shown = show(terminal=True, width=width)
    assert "#1 will be [tried] again: noise" in shown
    assert "Searching" in shown
    frames = [frame for line in shown.splitlines() for frame in line.split("\r")]
    assert all(len(frame.removeprefix("\x1b[2K")) <= width + 12 for frame in frames)
    assert shown.endswith("\x1b[2K")  # the last bar is wiped out


@given(st.integers(1, 10_000))
def test_a_stage_has_about_ten_lines_and_ends_with_its_last(total: int) -> None:
    lines = [done for done in range(total + 1) if is_milestone(Progress(stage="search", done=done, total=total))]
    assert len(lines) <= 21
    assert total == 1 or (lines[0], lines[-1]) == (1, total)


def test_a_night_until_a_deadline_fits_into_a_log() -> None:
    done = [count for count in range(1, 20_001) if is_milestone(Progress(stage="search", done=count, total=None))]
    assert done[:5] == [1, 10, 20, 30, 40]
    assert len(done) < 250


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (725, "12:05"), (25400, "7:03:20")])
def test_clock_text(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text


def test_facts_say_what_counts_as_close() -> None:
    step = Progress(stage="search", done=1, total=3, best_speedup=2.0, close="1% of FP32's metric")
    assert facts(step) == "best within 1% of FP32's metric ×2.00"


def test_facts_name_only_what_is_known() -> None:
    assert facts(Progress(stage="search", done=0, total=3)) == ""
    assert facts(Progress(stage="search", done=1, total=3, remaining_s=61)) == "1:01 left"
