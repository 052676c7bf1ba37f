"""Recovered points are told from the others, by shape as well as by colour and in words, and so are both fronts."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from matplotlib.text import Text
from rich.console import Console

from search import pareto
from search.account.selection import select
from search.choosing.choice import Choice, choose
from search.report.choice_words import choice_lines
from search.report.figure import front_figure
from search.report.page import page_text
from search.report.table import front_table


def printed(points: Any, facts: Any, *, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(front_table(points, facts, width=width))
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text


def test_the_front_before_is_that_of_the_trials_alone(recovered_run: Any, make_run: Callable[..., Any]) -> None:
    points, _ = recovered_run
    selection = select(points)
    trials = [point for point in points if point.confirmed and not point.recovered_from]
    pairs = [(point.latency_ratio, -point.metric_drop) for point in trials]
    assert list(selection.before) == [trials[position] for position in reversed(pareto.front(pairs))]
    assert any(point.recovered_from for point in selection.front)
    assert [point for point in selection.before if point not in selection.front], "some of it lies behind now"
    assert {point.key for point in (*selection.front, *selection.dominated)} >= {p.key for p in points if p.confirmed}
    assert select(make_run()[0]).before == ()


def test_the_table_says_what_was_recovered_from_what_and_how(recovered_run: Any) -> None:
    for width in (80, 130):
        text = " ".join(printed(*recovered_run, width=width).split())
        recovered = [point for point in select(recovered_run[0]).front if point.recovered_from]
        for point in recovered:
            assert f"#{point.number}r" in text
        assert f"{len(recovered)} of the front were recovered (#…r); before, it had" in text
    assert f"recovered from #{recovered[0].number}: distillation, 3" in " ".join(
        printed(*recovered_run, width=400).split()
    )


def test_the_picture_has_shapes_of_their_own_for_recovered_points(recovered_run: Any) -> None:
    figure = front_figure(*recovered_run)
    drawn = dict(zip(*reversed(figure.axes[0].get_legend_handles_labels()), strict=True))
    shapes = {name: drawn[name].lines[0].get_marker() for name in drawn if hasattr(drawn[name], "lines")}
    assert shapes["recovered"] == shapes["recovered, not on the front"] == "^"
    assert shapes["confirmed front, 95% intervals"] == "o"
    assert len(drawn["front before recovery"].get_xdata()) == len(select(recovered_run[0]).before)


def test_the_pictures_texts_keep_apart(recovered_run: Any) -> None:
    points, facts = recovered_run
    figure = front_figure(points, replace(facts, trials_stopped=100))
    figure.canvas.draw()
    axes = figure.axes[0]
    shown = [*axes.texts, *figure.texts, *axes.get_legend().get_texts(), axes.xaxis.label]
    boxes = [Text.get_window_extent(text) for text in shown]
    for position, box in enumerate(boxes):
        assert 0 <= box.x0 < box.x1 <= 1600
        assert 0 <= box.y0 < box.y1 <= 1000
        assert not [other for other in boxes[position + 1 :] if box.overlaps(other)], shown[position].get_text()


def test_a_choice_says_that_it_was_recovered(recovered_run: Any) -> None:
    points, facts = recovered_run
    chosen = choose([point for point in points if point.recovered_from], [], knee=True)
    assert isinstance(chosen, Choice)
    lines = choice_lines(chosen, [], facts, Path("run"))
    number = chosen.point.number
    assert lines[0].startswith(f"#{number}r ")
    assert f"  recovery     recovered from #{number}: distillation, 3 epochs, seed 0" in lines


def test_the_page_explains_them_where_there_are_some(recovered_run: Any, make_run: Callable[..., Any]) -> None:
    text = page_text(*recovered_run)
    assert "Recovered (#…r, triangles)" in text
    assert "of the front were recovered" in text
    assert "Recovered (#…r" not in page_text(*make_run())


def test_a_run_that_trained_its_candidates_says_so_and_names_trials_as_trials(
    recovered_run: Any, tmp_path: Path
) -> None:
    points, facts = recovered_run
    trained = [replace(point, trained_in_search=bool(point.recovered_from)) for point in points]
    facts = replace(facts, search_epochs=1)
    text = " ".join(printed(trained, facts, width=400).split())
    assert "Candidates were trained in the search, for 1 epoch each" in text
    assert "in the search: distillation, 3 epochs" in text
    assert "#…r" not in text, "nothing was trained on after the search"
    page = page_text(trained, facts, run=tmp_path)
    assert "Trained in the search (triangles)" in page
    assert "for 1 epoch each" in page
    after = [
        replace(point, trained_in_search=bool(point.recovered_from) and index % 2 == 0)
        for index, point in enumerate(points)
    ]
    assert "trained on after it (#…r); before, it had" in " ".join(printed(after, facts, width=400).split())
