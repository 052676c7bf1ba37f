"""The picture holds what it should, at the size it should have."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from matplotlib.text import Text
from PIL import Image

from search.report.figure import front_figure, front_png
from search.report.figure.axes import nice_costs


def labels(figure: Any) -> set[str]:
    return set(figure.axes[0].get_legend_handles_labels()[1])


def texts(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_picture_is_a_png_of_the_stated_size(make_run: Callable[..., Any]) -> None:
    with Image.open(io.BytesIO(front_png(*make_run()))) as image:
        assert (image.format, image.size) == ("PNG", (1600, 1000))


def test_everything_shown_is_labelled(make_run: Callable[..., Any]) -> None:
    figure = front_figure(*make_run())
    assert {"searched", "FP32", "all 8-bit", "confirmed front, 95% intervals"} < labels(figure)
    assert any(text.startswith("FP32 1.67 ms") for text in texts(figure))
    assert any("knee" in text for text in texts(figure))
    axes = figure.axes[0]
    assert axes.get_xlabel() == "Speedup over FP32 (×), more is faster"
    assert axes.get_ylabel() == "top-1 accuracy, more is better"


def test_unconfirmed_front_says_so(make_run: Callable[..., Any]) -> None:
    assert "front so far, not yet confirmed, 95% intervals" in labels(front_figure(*make_run(confirm=False)))


def test_broken_networks_are_counted_and_do_not_squash_the_front(make_run: Callable[..., Any]) -> None:
    figure = front_figure(*make_run())
    low, high = figure.axes[0].get_ylim()
    assert 0.9 < low < high < 1.0
    notes = [text.get_text() for text in figure.texts]
    assert any(note.startswith("Not shown: 3 searched points outside the plot (metric down to 0.") for note in notes)


def test_texts_lie_inside_the_picture_and_not_on_each_other(make_run: Callable[..., Any]) -> None:
    for seed in range(8):
        points, facts = make_run(seed=seed)
        device = "Intel(R) Xeon(R) Processor @ 2.50GHz, 1 thread, over SSH"
        figure = front_figure(points, replace(facts, device=device, trials_stopped=100 * seed))
        figure.canvas.draw()
        axes = figure.axes[0]
        shown = [*axes.texts, *figure.texts, *axes.get_legend().get_texts(), axes.xaxis.label]
        boxes = [Text.get_window_extent(text) for text in shown]  # an annotation's own holds its leader line too
        for position, box in enumerate(boxes):
            assert 0 <= box.x0 < box.x1 <= 1600
            assert 0 <= box.y0 < box.y1 <= 1000
            hit = [shown[position + 1 + i].get_text() for i, b in enumerate(boxes[position + 1 :]) if box.overlaps(b)]
            assert not hit, (seed, shown[position].get_text(), hit)


def test_instructions_are_never_called_time(emulated_run: Any) -> None:
    figure = front_figure(*emulated_run)
    axes = figure.axes[0]
    names = [axes.get_xlabel(), *(side.get_xlabel() for side in axes.child_axes)]
    assert axes.get_xlabel() == "FP32's instructions over the candidate's (×), more is fewer: emulated, not time"
    assert "Millions of instructions per inference (emulated), not time" in names
    written = [text.get_text() for text in figure.texts]
    assert "instructions (emulated), not time" in written
    for text in (*names, *written, *texts(figure)):
        assert " ms" not in text
        assert "atency" not in text
        assert "peed" not in text
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.texts]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_another_metric_on_the_target_stands_at_its_point(board_run: Any) -> None:
    (said,) = [text for text in texts(front_figure(*board_run)) if "on the target" in text]
    assert said.endswith(", on the target 0.9702")
    assert "#1 " in said


@pytest.mark.parametrize("keep", [0, 1, 2, 3])
def test_runs_that_hardly_began_have_a_picture(make_run: Callable[..., Any], keep: int) -> None:
    points, facts = make_run(confirm=False)
    assert front_png(points[:keep], facts).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["costs $5 and $6", "模型 🚀", "a" * 300, "<b>&"])
def test_any_name_can_be_drawn(make_run: Callable[..., Any], name: str) -> None:
    points, facts = make_run()
    drawn = front_png(points, replace(facts, workload_name=name, metric_name=name, device=name, target_name=name))
    with Image.open(io.BytesIO(drawn)) as image:
        assert image.size == (1600, 1000)


def test_metrics_that_are_no_fraction_keep_their_unit(make_run: Callable[..., Any]) -> None:
    points, facts = make_run()
    figure = front_figure(points, replace(facts, metric_is_fraction=False))
    sides = [axis.get_ylabel() for axis in figure.axes[0].child_axes]
    assert "Drop from FP32 (same unit)" in sides


@pytest.mark.parametrize(("low", "high"), [(0.3, 2.0), (0.012, 0.9), (900.0, 1100.0)])
def test_costs_on_the_axis_are_round_and_inside(low: float, high: float) -> None:
    chosen = nice_costs(low, high)
    assert len(chosen) >= 1
    assert all(low <= value <= high for value in chosen)
    assert list(chosen) == sorted(set(chosen))
    assert all(float(f"{value:.1e}") == value for value in chosen)
