"""The picture as a whole."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

from search.account.selection import Selection, View, outside_note, select, view_of
from search.facts import ReportFacts
from search.notation import shortened
from search.point import TrialPoint
from search.report.cost_words import words_of
from search.report.figure.axes import dress
from search.report.figure.captions import write_captions
from search.report.figure.marks import draw_points
from search.report.figure.style import DPI, HEIGHT_PX, KNEE, WIDTH_PX

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DEVICE_SHOWN = 48
_DIRECT = ("FP32", "all 8-bit")  # labelled where they stand


def front_png(points: Sequence[TrialPoint], facts: ReportFacts) -> bytes:
    """Give the picture of `front_figure` as the bytes of a PNG of 1600 by 1000 pixels."""
    import warnings

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A workload's name may hold characters that the font lacks: boxes are drawn, no reason to complain.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = front_figure(points, facts)
        figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def front_figure(points: Sequence[TrialPoint], facts: ReportFacts) -> Figure:
    """Draw what was gained against the metric: everything searched faintly, the front with its 95% intervals.

    Every point stands at FP32's metric minus its own paired drop, so that values of the search part and of the
    confirmation part share one scale.

    Args:
        points: all points of the run.
        facts: the circumstances of the run.

    Returns:
        A figure that belongs to no pyplot state. What it shows is labelled: see the artists' `get_label()`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    selection = select(points)
    view = view_of(selection)
    figure = Figure(figsize=(WIDTH_PX / DPI, HEIGHT_PX / DPI), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    bottom = 0.18 if selection.before else 0.15  # what recovery adds takes a second line of the legend
    axes = figure.add_axes((0.085, bottom, 0.835, 0.805 - bottom))
    fp32_metric = facts.fp32_metric
    axes.set_xlim(view.gain_low, view.gain_high)
    axes.set_ylim(fp32_metric - view.drop_high, fp32_metric - view.drop_low)
    draw_points(axes, selection, fp32_metric)
    dress(axes, facts, fp32_metric)
    _write_around(figure, selection, view, facts)
    _write_legend(axes)
    write_captions(axes, selection, view, facts)
    return figure


def _write_around(figure: Figure, selection: Selection, view: View, facts: ReportFacts) -> None:
    """Write the title, what is compared with what, and what the plot does not show."""
    title = f"{shortened(facts.workload_name, 40)} on {shortened(facts.target_name, 30)}"
    figure.text(0.085, 0.95, title, fontsize=15, weight="bold", color="black", parse_math=False)
    words = words_of(facts)
    if words.kind_note:
        figure.text(0.92, 0.95, words.kind_note, fontsize=12, ha="right", color=KNEE, weight="bold")
    stopped = f", {facts.trials_stopped} stopped" if facts.trials_stopped else ""
    below = (
        f"FP32: {words.text(facts.fp32_cost)} on {shortened(facts.device, _DEVICE_SHOWN - len(stopped))}  ·  "
        f"{facts.trials_finished} trials{stopped}, {facts.trials_failed} failed  ·  up and to the right is better"
    )
    figure.text(0.085, 0.912, below, fontsize=10, color="#555555", parse_math=False)
    note = outside_note(selection, view, facts.fp32_metric)
    if note:
        figure.text(0.085, 0.022, note, fontsize=8.5, color="#555555", parse_math=False)


def _write_legend(axes: Axes) -> None:
    """Explain what carries no label of its own."""
    handles, names = axes.get_legend_handles_labels()
    shown = [(handle, name) for handle, name in zip(handles, names, strict=True) if name not in _DIRECT]
    axes.legend(
        [handle for handle, _ in shown], [name for _, name in shown], loc="upper left",
        bbox_to_anchor=(-0.01, -0.105), ncols=4, frameon=False, fontsize=8.5, handletextpad=0.4, columnspacing=1.4,
    )  # fmt: skip
