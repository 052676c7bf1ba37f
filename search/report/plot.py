"""The interactive plot of the page, as data for plotly.js.

Colours are not here: each trace names its role in `meta`, and the page paints roles from its style sheet, once for
light and once for dark.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

from search.point import TrialPoint
from search.report.captions import Caption, canvas_of, captions_of
from search.report.cost_words import words_of
from search.report.facts import ReportFacts
from search.report.labels import Label, place
from search.report.notation import (
    drop_text,
    drop_unit,
    interval_text,
    metric_text,
    shortened,
    size_text,
    speedup_text,
)
from search.report.selection import Selection, View, as_searched
from search.report.target_words import said_of_target

# What labels are placed for; the plot itself follows the window.
_NOMINAL_WIDTH_PX, _NOMINAL_HEIGHT_PX = 700.0, 380.0


def plot_data(selection: Selection, view: View, facts: ReportFacts, *, fp32_metric: float) -> dict[str, Any]:
    """Describe the plot: the gain over FP32 against the metric, with 95% intervals both ways.

    Args:
        selection: the roles of the points.
        view: what to show at first.
        facts: the circumstances of the run.
        fp32_metric: FP32's metric on the part of the data that the front's metric was taken on.

    Returns:
        JSON-ready `data`, `layout` and `fp32_cost`, in the unit of the top axis. Every user's string in it is escaped
        for plotly's markup.
    """
    import plotly.graph_objects as go

    figure = go.Figure(layout=_layout(view, facts, fp32_metric))
    for trace in _traces(selection, facts, fp32_metric):
        figure.add_trace(go.Scatter(**trace))
    figure.update_layout(annotations=_annotations(selection, view, facts, fp32_metric))
    described: dict[str, Any] = figure.to_plotly_json()
    described["layout"].pop("template", None)
    described["fp32_cost"] = facts.fp32_cost / words_of(facts).axis_unit  # the page computes the top axis from it
    return described


def _traces(selection: Selection, facts: ReportFacts, fp32_metric: float) -> list[dict[str, Any]]:
    confirmed = selection.confirmed
    line = [(p.gain, fp32_metric - p.metric_drop) for p in selection.front]
    if selection.fp32 is None:
        line = [(1.0, fp32_metric), *line]
    shown = [p for p in selection.front if p is not selection.fp32]
    name = "confirmed front" if confirmed else "front so far, not yet confirmed"
    traces = [
        _searched(selection, facts, fp32_metric),
        {
            "x": [x for x, _ in line], "y": [y for _, y in line], "mode": "lines", "hoverinfo": "skip",
            "line": {"shape": "vh", "dash": "solid" if confirmed else "dash", "width": 1.5},
            "showlegend": False, "meta": {"role": "line"},
        },
        _with_intervals(selection.dominated, "confirmed, no longer on the front", "dominated", facts, fp32_metric),
        _with_intervals(shown, f"{name}, 95% intervals", "front" if confirmed else "draft", facts, fp32_metric),
        *_marks(selection, facts, fp32_metric),
    ]  # fmt: skip
    if confirmed:
        traces.insert(1, _moves(selection, fp32_metric))
    # Nothing to see: plotly.js draws an axis only where a trace uses it.
    top = {"x": [1.0], "y": [None], "xaxis": "x2", "showlegend": False, "meta": {"role": "line"}}
    return [trace for trace in [*traces, top] if trace["x"]]


def _searched(selection: Selection, facts: ReportFacts, fp32_metric: float) -> dict[str, Any]:
    where = [as_searched(point) for point in selection.searched]
    return {
        "x": [round(gain, 5) for gain, _ in where], "y": [round(fp32_metric - drop, 7) for _, drop in where],
        "mode": "markers", "name": "searched", "marker": {"size": 6},
        "hovertext": [_searched_hover(point, facts) for point in selection.searched],
        "hovertemplate": "%{hovertext}<extra></extra>", "meta": {"role": "searched"},
    }  # fmt: skip


def _moves(selection: Selection, fp32_metric: float) -> dict[str, Any]:
    """Draw a line from each confirmed point to what the search had seen; hidden until its legend is clicked."""
    x: list[float | None] = []
    y: list[float | None] = []
    for point in (*selection.front, *selection.dominated):
        if point.confirmed:
            gain, drop = as_searched(point)
            x += [gain, point.gain, None]
            y += [fp32_metric - drop, fp32_metric - point.metric_drop, None]
    return {
        "x": x, "y": y, "mode": "lines", "name": "from search value to confirmed value", "visible": "legendonly",
        "hoverinfo": "skip", "line": {"width": 1.2, "dash": "dot"}, "meta": {"role": "move"},
    }  # fmt: skip


def _with_intervals(
    points: Sequence[TrialPoint], name: str, role: str, facts: ReportFacts, fp32_metric: float
) -> dict[str, Any]:
    return {
        "x": [p.gain for p in points], "y": [fp32_metric - p.metric_drop for p in points],
        "error_x": _bars([(p.gain - 1 / p.cost_ratio_high, 1 / p.cost_ratio_low - p.gain) for p in points]),
        "error_y": _bars([(p.metric_drop_high - p.metric_drop, p.metric_drop - p.metric_drop_low) for p in points]),
        "mode": "markers", "name": name, "marker": {"size": 8 if role == "dominated" else 11},
        "hovertext": [_hover(point, facts) for point in points],
        "hovertemplate": "%{hovertext}<extra></extra>", "meta": {"role": role},
    }  # fmt: skip


def _bars(pairs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    return {
        "type": "data", "symmetric": False, "thickness": 1.4, "width": 4,
        "arrayminus": [max(below, 0.0) for below, _ in pairs], "array": [max(above, 0.0) for _, above in pairs],
    }  # fmt: skip


def _marks(selection: Selection, facts: ReportFacts, fp32_metric: float) -> list[dict[str, Any]]:
    """Mark FP32, all 8-bit and the knee."""
    fp32, all_8_bit, knee = selection.fp32, selection.all_8_bit, selection.knee
    hover = f"<b>FP32</b><br>{words_of(facts).text(facts.fp32_cost)}, {metric_text(fp32_metric)}"
    where = (1.0, fp32_metric) if fp32 is None else (fp32.gain, fp32_metric - fp32.metric_drop)
    marks = [_mark(where, "FP32", "diamond", 14, "fp32", hover)]
    if all_8_bit is not None and all_8_bit is not fp32:
        where = (all_8_bit.gain, fp32_metric - all_8_bit.metric_drop)
        marks.append(_mark(where, "all 8-bit", "square", 11, "eight", _hover(all_8_bit, facts)))
    if knee is not None:
        where = (knee.gain, fp32_metric - knee.metric_drop)
        mark = _mark(where, "knee: the best compromise", "circle-open", 22, "knee", "")
        mark["marker"]["line"] = {"width": 3}
        marks.append({**mark, "hoverinfo": "skip", "hovertemplate": None})
    return marks


def _mark(where: tuple[float, float], name: str, symbol: str, size: int, role: str, hover: str) -> dict[str, Any]:
    return {
        "x": [where[0]], "y": [where[1]], "mode": "markers", "name": name, "hovertext": [hover],
        "marker": {"symbol": symbol, "size": size}, "hovertemplate": "%{hovertext}<extra></extra>",
        "meta": {"role": role},
    }  # fmt: skip


def _hover(point: TrialPoint, facts: ReportFacts) -> str:
    """Write what hovering over a point with intervals shows."""
    drops = [_drop(value, facts) for value in (point.metric_drop, point.metric_drop_low, point.metric_drop_high)]
    ratio = interval_text(speedup_text(1 / point.cost_ratio_high), speedup_text(1 / point.cost_ratio_low))
    words = words_of(facts)
    lines = [
        f"<b>#{point.number}{f' {_safe(point.label)}' if point.label else ''}</b>",
        f"{words.gained_text(point.gain)} {ratio}, {words.of(point)}",
        f"{_safe(shortened(facts.metric_name, 40))} {metric_text(facts.metric_of(point))}",
        f"drop {drops[0]} {interval_text(drops[1], drops[2])} {_unit(facts)}",
        f"{size_text(point.model_bytes)}, {_safe(point.grade)}",
        _safe(point.policy_summary),
    ]
    if not facts.target_is_host:
        lines += [_safe(text) for text in (said_of_target(point),) if text]
    return "<br>".join(lines)


def _searched_hover(point: TrialPoint, facts: ReportFacts) -> str:
    gain, drop = as_searched(point)
    return (
        f"#{point.number} as searched<br>{words_of(facts).gained_text(gain)}, drop {_drop(drop, facts)} {_unit(facts)}"
        f"<br>{_safe(point.policy_summary)}"
    )


def _drop(value: float, facts: ReportFacts) -> str:
    return drop_text(value, is_fraction=facts.metric_is_fraction)


def _unit(facts: ReportFacts) -> str:
    return drop_unit(is_fraction=facts.metric_is_fraction)


def _safe(text: str) -> str:
    """Escape text for plotly's labels, which know a little HTML."""
    return html.escape(text, quote=False)


def _layout(view: View, facts: ReportFacts, fp32_metric: float) -> dict[str, Any]:
    metric = _safe(shortened(facts.metric_name, 40))
    return {
        "template": "none",
        "autosize": True,
        "margin": {"l": 70, "r": 20, "t": 50, "b": 60},
        "hovermode": "closest",
        "hoverlabel": {"align": "left"},
        "legend": {"orientation": "h", "x": 0, "y": -0.16, "yanchor": "top", "itemsizing": "trace"},
        "xaxis": {
            "title": {"text": words_of(facts).gain_axis}, "ticksuffix": "×", "zeroline": False,
            "range": [view.gain_low, view.gain_high], "automargin": True,
        },
        "xaxis2": {
            "title": {"text": words_of(facts).cost_axis},
            "overlaying": "x",
            "side": "top",
            "tickmode": "array",
            "ticks": "outside",
            "showgrid": False,
            "zeroline": False,
            "fixedrange": True,
        },
        "yaxis": {
            "title": {"text": f"{metric}, more is better", "standoff": 14}, "zeroline": False, "automargin": True,
            "range": [fp32_metric - view.drop_high, fp32_metric - view.drop_low],
        },
        "shapes": [{
            "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": fp32_metric, "y1": fp32_metric,
            "line": {"dash": "dot", "width": 1}, "layer": "below",
        }],
    }  # fmt: skip


def _annotations(selection: Selection, view: View, facts: ReportFacts, fp32_metric: float) -> list[dict[str, Any]]:
    """Write the captions beside their points."""

    def to_pixel(gain: float, drop: float) -> tuple[float, float]:
        across = (gain - view.gain_low) / (view.gain_high - view.gain_low)
        along = (view.drop_high - drop) / (view.drop_high - view.drop_low)
        return across * _NOMINAL_WIDTH_PX, along * _NOMINAL_HEIGHT_PX

    captions = [one for one in captions_of(selection, facts) if view.holds(one.gain, one.drop)]
    labels = []
    for caption in captions:
        x, y = to_pixel(caption.gain, caption.drop)
        width = 7.4 * len(caption.text) + 8
        labels.append(Label(x=x, y=y, width=width, height=19.0, essential=caption.essential))
    centers = place(labels, canvas_of(selection, to_pixel, (0, 0, _NOMINAL_WIDTH_PX, _NOMINAL_HEIGHT_PX)), gap=9.0)
    return [
        _annotation(caption, center[0] - label.x, center[1] - label.y, fp32_metric)
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
