"""The terminal's table keeps its figures whole at 80 columns."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from search.report.table import front_table


def printed(points: Any, facts: Any, *, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(front_table(points, facts, width=width))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


@pytest.mark.parametrize("width", [80, 100, 120, 160])
@pytest.mark.parametrize("size", [{}, {"trials": 2000, "layers": 60, "seed": 3}])
def test_no_figure_is_cut_or_wrapped(make_run: Callable[..., Any], width: int, size: dict[str, int]) -> None:
    points, facts = make_run(**size)
    text = printed([replace(p, grade="contended") if p.grade else p for p in points], facts, width=width)
    assert "…" not in text
    assert all(len(line) <= width for line in text.splitlines())
    knee = next(line for line in text.splitlines() if "knee" in line)
    assert " ms" in knee
    assert "×" in knee
    assert text.count("contended") >= 6


def test_wide_terminals_get_one_line_per_figure(make_run: Callable[..., Any]) -> None:
    assert "2.91× [2.86, 2.94]" in printed(*make_run(), width=120)


def test_markup_in_names_is_text(make_run: Callable[..., Any]) -> None:
    points, facts = make_run()
    marked = [replace(point, policy_summary="[red]x[/red]") for point in points]
    text = printed(marked, replace(facts, workload_name="[bold]w[/nope]"), width=120)
    assert "[red]x[/red]" in text
    assert "[bold]w[/nope]" in text


def test_unconfirmed_front_says_so(make_run: Callable[..., Any]) -> None:
    assert "Front so far, not yet confirmed" in printed(*make_run(confirm=False), width=80)


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_runs_that_hardly_began_have_a_table(make_run: Callable[..., Any], keep: int) -> None:
    points, facts = make_run(confirm=False)
    assert "FP32 minus candidate" in " ".join(printed(points[:keep], facts, width=80).split())
