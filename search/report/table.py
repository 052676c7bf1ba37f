"""The front as a table for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from search.account.selection import Selection, select
from search.facts import ReportFacts
from search.notation import (
    DIGEST_SHOWN,
    drop_text,
    interval_text,
    metric_text,
    shortened,
    size_text,
    speedup_text,
)
from search.point import TrialPoint
from search.report.cost_words import words_of
from search.report.recovery_words import recovery_note, recovery_text
from search.report.target_words import summary_of, warning_of

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

WIDE_COLUMNS = 116


def front_table(points: Sequence[TrialPoint], facts: ReportFacts, *, width: int = 80) -> Table:
    """Lay out the front, slow to fast, for a terminal.

    Args:
        points: all points of the run.
        facts: the circumstances of the run.
        width: columns of the terminal. From 116 on, a point takes one line; below, its intervals go on a second line.

    Returns:
        A table. Users' strings stand in it as plain text: rich reads no markup in them.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    selection = select(points)
    wide = width >= WIDE_COLUMNS
    name = "Confirmed front" if selection.confirmed else "Front so far, not yet confirmed"
    title = f"{name}: {shortened(facts.workload_name, 30)} on {shortened(facts.target_name, 24)}"
    note = words_of(facts).kind_note
    table = Table(
        title=Text(f"{title}\n{note}" if note else title),
        caption=Text(_caption(selection, facts)),
        caption_justify="left",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    _add_columns(table, facts, wide=wide)
    for point in selection.front:
        table.add_row(*_cells(point, selection, facts, wide=wide))
    return table


def _add_columns(table: Table, facts: ReportFacts, *, wide: bool) -> None:
    from rich.text import Text

    words = words_of(facts)
    drop = "drop (pt)" if facts.metric_is_fraction else "drop"
    metric = shortened(facts.metric_name, 20)
    table.add_column("point" if wide else "point\ndigest", no_wrap=True)
    table.add_column(words.cost if wide else f"{words.cost}\ngrade", justify="right", no_wrap=True)
    table.add_column(words.gain if wide else f"{words.gain}\n[95%]", justify="right", no_wrap=True)
    # The name may wrap; the figures have no space to wrap at.
    table.add_column(Text(metric if wide else f"{metric}\nsize"), justify="right", min_width=7, max_width=9)
    table.add_column(drop if wide else f"{drop}\n[95%]", justify="right", no_wrap=True)
    if wide:
        table.add_column("size", justify="right", no_wrap=True)
        table.add_column("grade", no_wrap=True)
    table.add_column("policy")


def _cells(point: TrialPoint, selection: Selection, facts: ReportFacts, *, wide: bool) -> list[Text]:
    from rich.text import Text

    def drop(value: float) -> str:
        return drop_text(value, is_fraction=facts.metric_is_fraction)

    gains = interval_text(speedup_text(1 / point.cost_ratio_high)[:-1], speedup_text(1 / point.cost_ratio_low)[:-1])
    drops = interval_text(drop(point.metric_drop_low), drop(point.metric_drop_high))
    break_at = " " if wide else "\n"

    def with_detail(figure: str, detail: str) -> Text:
        return Text.assemble((figure, "bold"), break_at, (detail, "dim"))

    cost, metric = words_of(facts).of(point), metric_text(facts.metric_of(point))
    size = size_text(point.model_bytes)
    grade = Text(point.grade, style="yellow" if point.grade == "contended" else "dim")
    return [
        with_detail(point.name, point.digest[:DIGEST_SHOWN]),
        Text(cost) if wide else Text.assemble(cost, "\n", grade),
        with_detail(speedup_text(point.gain), gains),
        Text(metric) if wide else Text.assemble(metric, "\n", (size, "dim")),
        with_detail(drop(point.metric_drop), drops),
        *([Text(size), grade] if wide else []),
        _policy(point, selection),
    ]


def _policy(point: TrialPoint, selection: Selection) -> Text:
    from rich.text import Text

    marks = ", ".join(([point.label] if point.label else []) + (["knee"] if point is selection.knee else []))
    said = ((recovery_text(point), "magenta"), (warning_of(point), "yellow"))
    below = [(f"\n{text}", style) for text, style in said if text]
    if point.label:  # its name says what the summary would
        return Text.assemble((marks, "bold"), *below)
    return Text.assemble((f"{marks}: " if marks else "", "bold"), point.policy_summary, *below)


def _caption(selection: Selection, facts: ReportFacts) -> str:
    unit = "percentage points" if facts.metric_is_fraction else "the metric's unit"
    intervals = "95% intervals; of instructions the range over repeats" if facts.is_emulated else "95% intervals"
    parts = [f"[low, high]: {intervals}. drop: FP32 minus candidate, in {unit}."]
    if selection.knee is not None:
        parts.append("knee: the best compromise.")
    note = recovery_note(selection, facts)
    if note:
        parts.append(note)
    if selection.dominated:
        count = len(selection.dominated)
        parts.append(f"{count} confirmed {'point' if count == 1 else 'points'} fell behind others and left the front.")
    if selection.excluded:
        parts.append(f"{selection.excluded} left out: latency unreliable.")
    if facts.is_emulated:
        parts.append("Instructions are counted in an emulator: a cost to compare by, which is not time.")
    if not facts.target_is_host:
        parts += [said for said in (summary_of(selection.front),) if said]
    return " ".join(parts)
