"""The interactive plot of the page, as data for plotly.js: of one run, and of several on one another."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

from search.account.selection import Selection, View
from search.facts import ReportFacts
from search.notation import shortened
from search.point import TrialPoint
from search.report.captions import Caption, canvas_of, captions_of, written
from search.report.cost_words import words_of
from search.report.labels import Label, place
from search.report.page.palette import RUN_SYMBOLS
from search.report.page.traces import Drawing, single_run_traces

# What labels are placed for; the plot itself follows the window.
_NOMINAL_WIDTH_PX, _NOMINAL_HEIGHT_PX = 700.0, 380.0
_LOG_FROM = 8.0
"""Costs that lie further apart than this many times are drawn on a logarithmic axis."""


def plot_data(selection: Selection, view: View, facts: ReportFacts) -> dict[str, Any]:
    """Describe the plot of one run: the gain over FP32 against the metric, with 95% intervals both ways.

    Args:
        selection: the roles of the points.
        view: what to show at first.
        facts: the circumstances of the run.

    Returns:
        JSON-ready `data`, `layout` and `fp32_cost`, in the unit of the top axis. Every user's string in it is escaped
        for plotly's markup.
    """
    fp32_metric = facts.fp32_metric
    # Nothing to see: plotly.js draws an axis only where a trace uses it.
    top = {"x": [1.0], "y": [None], "xaxis": "x2", "showlegend": False, "meta": {"role": "line"}}
    traces = single_run_traces(Drawing(selection=selection, fp32_metric=fp32_metric))
    layout = {
        **_layout(facts, [fp32_metric - view.drop_high, fp32_metric - view.drop_low]),
        "xaxis": {
            "title": {"text": words_of(facts).gain_axis}, "ticksuffix": "×", "zeroline": False,
            "range": [view.gain_low, view.gain_high],
        },
        "xaxis2": {
            "title": {"text": words_of(facts).cost_axis}, "overlaying": "x", "side": "top", "tickmode": "array",
            "ticks": "outside", "showgrid": False, "zeroline": False, "fixedrange": True,
        },
        "shapes": [{
            "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": fp32_metric, "y1": fp32_metric,
            "line": {"dash": "dot", "width": 1}, "layer": "below",
        }],
        "annotations": _annotations(selection, view, facts),
    }  # fmt: skip
    return {"data": [*traces, top], "layout": layout, "fp32_cost": facts.fp32_cost / words_of(facts).axis_unit}


def overlay_data(runs: Sequence[tuple[Selection, View, ReportFacts]]) -> dict[str, Any]:
    """Describe the plot of several runs on one another: the cost itself against the metric, fronts only.

    Args:
        runs: of each run the roles of its points, what to show of it, and its circumstances; all of one kind of cost.

    Returns:
        As `plot_data`; `fp32_cost` is None, since each run has its own.
    """
    traces = []
    for run, (selection, _, facts) in enumerate(runs):
        unit = facts.fp32_cost / words_of(facts).axis_unit
        drawing = Drawing(selection=selection, fp32_metric=facts.fp32_metric, run=run, across=_times(unit))
        role, name = f"run-{run}", f"{_safe(shortened(facts.target_name, 40))}"
        state = "" if selection.confirmed else ", not yet confirmed"
        traces += [
            drawing.line_trace(role, shape="hv"),
            drawing.front_trace(f"{name}{state}", role, _without_fp32(selection), symbol=RUN_SYMBOLS[run]),
            {
                **drawing.mark_trace(selection.fp32, "FP32", role, symbol=f"{RUN_SYMBOLS[run]}-open", size=13),
                "showlegend": False,
            },
        ]
    facts = runs[0][2]
    costs, metrics = _inside(runs)
    is_log = max(costs) > _LOG_FROM * min(costs)
    margin = 0.08 * max(max(metrics) - min(metrics), 1e-6)
    layout = {
        **_layout(facts, [min(metrics) - margin, max(metrics) + margin]),
        "xaxis": {
            "title": {"text": f"{words_of(facts).cost_axis}, less is better"}, "zeroline": False,
            **({"type": "log", "dtick": "D2"} if is_log else {"type": "linear", "rangemode": "tozero"}),
        },
        "shapes": [],
        "annotations": [],
    }  # fmt: skip
    return {"data": [trace for trace in traces if trace["x"]], "layout": layout, "fp32_cost": None}


def _without_fp32(selection: Selection) -> list[TrialPoint]:
    return [point for point in selection.front if point is not selection.fp32]


def _inside(runs: Sequence[tuple[Selection, View, ReportFacts]]) -> tuple[list[float], list[float]]:
    """Costs and metrics of FP32 and of the fronts with their intervals, as far as the views of the runs hold them."""
    places = [(facts.fp32_cost / words_of(facts).axis_unit, facts.fp32_metric) for _, _, facts in runs]
    places += [
        (point.cost / words_of(facts).axis_unit, facts.fp32_metric - drop)
        for selection, view, facts in runs
        for point in selection.front
        if point.metric_drop <= view.drop_high
        for drop in (point.metric_drop_low, point.metric_drop_high)
    ]
    return [cost for cost, _ in places], [metric for _, metric in places]


def _times(unit: float) -> Callable[[float], float]:
    return lambda ratio: ratio * unit


def _safe(text: str) -> str:
    """Escape text for plotly's labels, which know a little HTML."""
    return html.escape(text, quote=False)


def _layout(facts: ReportFacts, metrics: list[float]) -> dict[str, Any]:
    """What both plots share."""
    metric = _safe(shortened(facts.metric_name, 40))
    return {
        "template": "none",
        "autosize": True,
        "margin": {"l": 80, "r": 20, "t": 50, "b": 60},
        "hovermode": "closest",
        "hoverlabel": {"align": "left"},
        "legend": {"orientation": "h", "x": 0, "y": -0.16, "yanchor": "top", "itemsizing": "trace"},
        "yaxis": {
            "title": {"text": f"{metric}, more is better", "standoff": 14}, "zeroline": False,
            "range": metrics,
        },
    }  # fmt: skip


def _annotations(selection: Selection, view: View, facts: ReportFacts) -> list[dict[str, Any]]:
    """Write the captions beside their points."""

    def to_pixel(gain: float, drop: float) -> tuple[float, float]:
        across = (gain - view.gain_low) / (view.gain_high - view.gain_low)
        along = (view.drop_high - drop) / (view.drop_high - view.drop_low)
        return across * _NOMINAL_WIDTH_PX, along * _NOMINAL_HEIGHT_PX

    captions = written(captions_of(selection, facts), view)
    labels = []
    for caption in captions:
        x, y = to_pixel(caption.gain, caption.drop)
        width = 7.4 * len(caption.text) + 8
        labels.append(Label(x=x, y=y, width=width, height=19.0, essential=caption.essential))
    centers = place(labels, canvas_of(selection, to_pixel, (0, 0, _NOMINAL_WIDTH_PX, _NOMINAL_HEIGHT_PX)), gap=9.0)
    return [
        _annotation(caption, center[0] - label.x, center[1] - label.y, facts.fp32_metric)
        for caption, label, center in zip(captions, labels, centers, strict=True)
        if center is not None
    ]


def _annotation(caption: Caption, right_px: float, up_px: float, fp32_metric: float) -> dict[str, Any]:
    near = abs(up_px) < 30
    shift = {"xshift": right_px, "yshift": up_px} if near else {"ax": right_px, "ay": -up_px, "standoff": 8}
    return {
        "x": caption.gain,
        "y": fp32_metric - caption.drop,
        "text": f"<b>{caption.text}</b>" if caption.essential else caption.text,
        "name": caption.role,
        "showarrow": not near,
        "arrowhead": 0,
        "arrowwidth": 0.8,
        **shift,
    }
