"""The front as a picture: pareto.png."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from search.point import TrialPoint
from search.report.captions import Caption, canvas_of, captions_of
from search.report.cost_words import words_of
from search.report.facts import ReportFacts
from search.report.labels import Label, place
from search.report.notation import shortened
from search.report.selection import Selection, View, as_searched, outside_note, select, view_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import ArrayLike, NDArray

WIDTH_PX, HEIGHT_PX = 1600, 1000
_DPI = 160
# Okabe and Ito 2008, "Color universal design": told apart with any colour vision.
_FRONT, _KNEE, _FP32, _8_BIT, _FAINT, _INK = "#0072B2", "#D55E00", "#000000", "#009E73", "#8C8C8C", "#333333"
_ROUND = (10, 20, 50, 40, 30, 60, 80, 15, 25, 70, 12, 90, 35, 45, 14, 16)  # tenths of a power of ten, roundest first
_CAPTION_COLORS = {"fp32": _FP32, "knee": _KNEE, "eight": _8_BIT, "front": _FRONT}
_DIRECT = ("FP32", "all 8-bit")  # labelled where they stand
_LABELLED_FRONT = 14  # with more points, their numbers would cover the plot


def front_png(points: Sequence[TrialPoint], facts: ReportFacts) -> bytes:
    """Give the picture of `front_figure` as the bytes of a PNG of 1600 by 1000 pixels."""
    import warnings

    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # A workload's name may hold characters that the font lacks: boxes are drawn, no reason to complain.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = front_figure(points, facts)
        figure.savefig(buffer, format="png", dpi=_DPI)
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
    figure = Figure(figsize=(WIDTH_PX / _DPI, HEIGHT_PX / _DPI), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.085, 0.15, 0.835, 0.655))
    fp32_metric = facts.fp32_metric
    axes.set_xlim(view.gain_low, view.gain_high)
    axes.set_ylim(fp32_metric - view.drop_high, fp32_metric - view.drop_low)
    _draw_searched(axes, selection, fp32_metric)
    _draw_front(axes, selection, fp32_metric)
    _draw_marked(axes, selection, fp32_metric)
    _dress(axes, facts, fp32_metric)
    _write_around(figure, selection, view, facts)
    _write_legend(axes)
    _write_captions(axes, selection, view, facts)
    return figure


def _draw_searched(axes: Axes, selection: Selection, fp32_metric: float) -> None:
    where = [as_searched(point) for point in selection.searched]
    axes.plot(
        [gain for gain, _ in where], [fp32_metric - drop for _, drop in where],
        "o", color=_FAINT, alpha=0.4, markersize=4, markeredgewidth=0, zorder=2, label="searched",
    )  # fmt: skip


def _draw_front(axes: Axes, selection: Selection, fp32_metric: float) -> None:
    confirmed = selection.confirmed
    line = [(point.gain, fp32_metric - point.metric_drop) for point in selection.front]
    if selection.fp32 is None:
        line = [(1.0, fp32_metric), *line]
    axes.step([x for x, _ in line], [y for _, y in line], where="pre", color=_FRONT, linewidth=1.2, alpha=0.55,
              linestyle="-" if confirmed else "--", zorder=3)  # fmt: skip
    shown = [point for point in selection.front if point is not selection.fp32]
    name = "confirmed front" if confirmed else "front so far, not yet confirmed"
    _draw_with_intervals(axes, shown, fp32_metric, label=f"{name}, 95% intervals", filled=confirmed)
    if selection.dominated:
        _draw_with_intervals(
            axes, selection.dominated, fp32_metric, label="confirmed, no longer on the front", filled=False, faint=True
        )


def _draw_with_intervals(
    axes: Axes, points: Sequence[TrialPoint], fp32_metric: float, *, label: str, filled: bool, faint: bool = False
) -> None:
    gains = np.array([point.gain for point in points])
    drops = np.array([point.metric_drop for point in points])
    across = [(p.gain - 1 / p.cost_ratio_high, 1 / p.cost_ratio_low - p.gain) for p in points]
    along = [(p.metric_drop_high - p.metric_drop, p.metric_drop - p.metric_drop_low) for p in points]
    axes.errorbar(
        gains, fp32_metric - drops, xerr=_bars(across), yerr=_bars(along), fmt="o", color=_FRONT,
        markersize=5 if faint else 7, markerfacecolor=_FRONT if filled else "white", markeredgecolor=_FRONT,
        markeredgewidth=1.2, elinewidth=1.1, capsize=2.5, alpha=0.5 if faint else 1.0, zorder=4 if faint else 5,
        label=label,
    )  # fmt: skip


def _bars(pairs: list[tuple[float, float]]) -> NDArray[np.float64]:
    """Lay out lengths below and above as matplotlib wants them; an interval beside its value has length 0 there."""
    return np.maximum(np.array(pairs, dtype=np.float64).reshape(-1, 2).T, 0.0)


def _draw_marked(axes: Axes, selection: Selection, fp32_metric: float) -> None:
    """Mark FP32, all 8-bit and the knee."""
    baseline = _fp32_position(selection, fp32_metric)
    axes.axhline(baseline[1], color=_INK, linewidth=0.8, linestyle=(0, (2, 3)), alpha=0.5, zorder=1)
    axes.plot(*_one(baseline), "D", color=_FP32, markersize=8, zorder=7, label="FP32")
    if selection.all_8_bit is not None:
        position = (selection.all_8_bit.gain, fp32_metric - selection.all_8_bit.metric_drop)
        axes.plot(*_one(position), "s", color=_8_BIT, markersize=7.5, zorder=6, label="all 8-bit")
    if selection.knee is not None:
        position = (selection.knee.gain, fp32_metric - selection.knee.metric_drop)
        axes.plot(*_one(position), "o", markersize=14, markerfacecolor="none", markeredgecolor=_KNEE,
                  markeredgewidth=2, zorder=6, label="knee: the best compromise")  # fmt: skip


def _one(position: tuple[float, float]) -> tuple[list[float], list[float]]:
    return [position[0]], [position[1]]


def _fp32_position(selection: Selection, fp32_metric: float) -> tuple[float, float]:
    point = selection.fp32
    return (1.0, fp32_metric) if point is None else (point.gain, fp32_metric - point.metric_drop)


def _dress(axes: Axes, facts: ReportFacts, fp32_metric: float) -> None:
    """Give the axes their titles, their second scales and a quiet look."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    metric, words = shortened(facts.metric_name, 40), words_of(facts)
    axes.set_xlabel(words.gain_axis, fontsize=10.5, color=_INK)
    axes.set_ylabel(f"{metric}, more is better", fontsize=10.5, color=_INK, parse_math=False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, steps=[1, 2, 2.5, 5, 10]))
    # One function both ways: cost = FP32's cost / gain.
    fp32_cost = facts.fp32_cost / words.axis_unit
    reciprocal = _Reciprocal(fp32_cost)
    top = axes.secondary_xaxis("top", functions=(reciprocal, reciprocal))
    top.set_xlabel(words.cost_axis, fontsize=9.5, color=_INK, labelpad=6)
    low, high = axes.get_xlim()
    top.set_ticks(list(nice_costs(fp32_cost / high, fp32_cost / max(low, 1e-9))))
    top.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    scale = 100.0 if facts.metric_is_fraction else 1.0

    def drop_of(metric: ArrayLike) -> NDArray[np.float64]:
        return (fp32_metric - np.asarray(metric, dtype=np.float64)) * scale

    def metric_of(drop: ArrayLike) -> NDArray[np.float64]:
        return fp32_metric - np.asarray(drop, dtype=np.float64) / scale

    right = axes.secondary_yaxis("right", functions=(drop_of, metric_of))
    unit = "percentage points" if facts.metric_is_fraction else "same unit"
    right.set_ylabel(f"Drop from FP32 ({unit})", fontsize=9.5, color=_INK, labelpad=8)
    for scales in (axes, top, right):
        scales.tick_params(labelsize=9, colors=_INK, length=3)
    axes.grid(visible=True, color="#E6E6E6", linewidth=0.7)
    axes.set_axisbelow(True)
    for holder in (axes, top, right):
        for spine in holder.spines.values():
            spine.set_color("#C8C8C8")


class _Reciprocal:
    """Cost to gain and back, safe at 0."""

    def __init__(self, fp32_cost: float) -> None:
        self._fp32_cost = fp32_cost

    def __call__(self, values: ArrayLike) -> NDArray[np.float64]:
        return self._fp32_cost / np.maximum(np.asarray(values, dtype=np.float64), 1e-9)


def nice_costs(lowest: float, highest: float) -> tuple[float, ...]:
    """Choose round costs for an axis that is even in gain, none nearer to its neighbour than an eleventh.

    Args:
        lowest: the lowest cost shown, above 0.
        highest: the highest.

    Returns:
        Costs, rising.
    """
    powers = range(math.floor(math.log10(lowest)), math.ceil(math.log10(highest)) + 1)
    apart = (1 / lowest - 1 / highest) / 11
    chosen: list[float] = []
    for mantissa in _ROUND:
        for power in powers:
            value = float(f"{mantissa}e{power - 1}")
            near = any(abs(1 / value - 1 / other) < apart for other in chosen)
            if lowest <= value <= highest and not near:
                chosen.append(value)
    return tuple(sorted(chosen))


def _write_around(figure: Figure, selection: Selection, view: View, facts: ReportFacts) -> None:
    """Write the title, what is compared with what, and what the plot does not show."""
    title = f"{shortened(facts.workload_name, 40)} on {shortened(facts.target_name, 30)}"
    figure.text(0.085, 0.95, title, fontsize=15, weight="bold", color="black", parse_math=False)
    words = words_of(facts)
    if words.kind_note:
        figure.text(0.92, 0.95, words.kind_note, fontsize=12, ha="right", color=_KNEE, weight="bold")
    below = (
        f"FP32: {words.text(facts.fp32_cost)} on {shortened(facts.device, 48)}  ·  "
        f"{facts.trials_finished} trials, {facts.trials_failed} failed  ·  up and to the right is better"
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


def _write_captions(axes: Axes, selection: Selection, view: View, facts: ReportFacts) -> None:
    """Write the captions beside their points, off each other."""

    def to_pixel(gain: float, drop: float) -> tuple[float, float]:
        x, y = axes.transData.transform((gain, facts.fp32_metric - drop))
        return float(x), float(y)

    captions = [one for one in captions_of(selection, facts) if view.holds(one.gain, one.drop)]
    if sum(not one.essential for one in captions) > _LABELLED_FRONT:
        captions = [one for one in captions if one.essential]
    labels = []
    for caption in captions:
        x, y = to_pixel(caption.gain, caption.drop)
        size_px = _font_size(caption) * _DPI / 72
        width = 0.6 * size_px * len(caption.text)
        labels.append(Label(x=x, y=y, width=width, height=1.3 * size_px, essential=caption.essential))
    box = axes.get_window_extent()
    canvas = canvas_of(selection, to_pixel, (box.x0 + 4, box.y0 + 4, box.x1 - 4, box.y1 - 4))
    for caption, label, center in zip(captions, labels, place(labels, canvas, gap=11.0), strict=True):
        if center is not None:
            _write_caption(axes, caption, label, center)


def _write_caption(axes: Axes, caption: Caption, label: Label, center: tuple[float, float]) -> None:
    from matplotlib.patheffects import withStroke

    color = _CAPTION_COLORS[caption.role]
    leader = {"arrowstyle": "-", "color": color, "linewidth": 0.7, "shrinkB": 4}
    anchor, where = axes.transData.inverted().transform([(label.x, label.y), center])
    axes.annotate(
        caption.text, (float(anchor[0]), float(anchor[1])), xytext=(float(where[0]), float(where[1])),
        fontsize=_font_size(caption), color=color, ha="center", va="center", zorder=8, parse_math=False,
        weight="bold" if caption.essential else "normal",
        path_effects=[withStroke(linewidth=2.5, foreground="white", alpha=0.85)],
        arrowprops=leader if abs(center[1] - label.y) > 40 else None,
    )  # fmt: skip


def _font_size(caption: Caption) -> float:
    return 9.5 if caption.essential else 8.0
