"""The front as a page: pareto.html, one file that opens without a network."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections import Counter
from collections.abc import Sequence
from importlib.resources import files
from string import Template

from search.point import TrialPoint
from search.report.facts import ReportFacts
from search.report.heatmap import heat_map
from search.report.notation import (
    DIGEST_SHOWN,
    drop_text,
    duration_text,
    interval_text,
    latency_text,
    metric_text,
    size_text,
    speedup_text,
)
from search.report.plot import plot_data
from search.report.selection import Selection, View, outside_note, select, view_of

_TEXT_CELL = ' class="text"'


def page_text(points: Sequence[TrialPoint], facts: ReportFacts) -> str:
    """Write the page: plot, heat map of the front's layers, sortable table, facts, and how to read it.

    Everything is inside the page, plotly.js too (4.8 MB); its content security policy forbids any request and any
    script but its own two.

    Args:
        points: all points of the run.
        facts: the circumstances of the run.

    Returns:
        HTML. Every string that came from a user or a device is escaped.
    """
    from plotly.offline import get_plotlyjs

    selection = select(points)
    view = view_of(selection)
    layers = heat_map(selection)
    plotly_js, page_js = get_plotlyjs(), _beside("page.js")
    plot = plot_data(selection, view, facts, fp32_metric=facts.fp32_metric)
    return Template(_beside("page_template.html")).substitute(
        script_hashes=" ".join(_hash(script) for script in (plotly_js, page_js)),
        title=_safe(f"{facts.workload_name} on {facts.target_name}"),
        style=_beside("page.css"),
        lead=_lead(selection, facts),
        cards=_cards(selection, view, facts),
        note=_safe(outside_note(selection, view, facts.fp32_metric)),
        front_name="Confirmed front" if selection.confirmed else "Front so far (not yet confirmed)",
        table=_table(selection, facts),
        heat_map=layers,
        layers_hidden="" if layers else " hidden",
        facts=_facts(points, facts),
        failures=_failures(points),
        unit=_unit(facts),
        metric=_safe(facts.metric_name),
        plot_json=embedded_json(plot),
        plotly_js=plotly_js,
        page_js=page_js,
    )


def embedded_json(value: object) -> str:
    """Write JSON that cannot end the script element it stands in, whatever strings it holds."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _beside(name: str) -> str:
    return (files("search.report") / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _safe(text: str) -> str:
    return html.escape(text)


def _unit(facts: ReportFacts) -> str:
    return "percentage points" if facts.metric_is_fraction else "the metric's unit"


def _lead(selection: Selection, facts: ReportFacts) -> str:
    found = sum(point is not selection.fp32 for point in selection.front)
    state = "" if selection.confirmed else " These are the search's own values: nothing is confirmed yet."
    return _safe(
        f"{found} compressed {'version' if found == 1 else 'versions'} of {facts.workload_name} that "
        f"{'is' if found == 1 else 'are'} worth choosing from, measured on {facts.device}.{state}"
    )


def _cards(selection: Selection, view: View, facts: ReportFacts) -> str:
    cards = [
        _card(
            "FP32", f"{latency_text(facts.fp32_latency_ms)} ms", f"{facts.metric_name} {metric_text(facts.fp32_metric)}"
        )
    ]
    if selection.knee is not None and selection.knee is not selection.fp32:
        cards.append(_point_card("Best compromise (knee)", selection.knee, facts))
    useful = [point for point in selection.front if view.holds(point.speedup, point.metric_drop)]
    if useful and useful[-1] is not selection.fp32 and useful[-1] is not selection.knee:
        # A broken network may be the fastest of all: the plot leaves it out, and so does this.
        name = "Fastest on the front" if useful[-1] is selection.front[-1] else "Fastest in the plot"
        cards.append(_point_card(name, useful[-1], facts))
    return "\n".join(cards)


def _point_card(name: str, point: TrialPoint, facts: ReportFacts) -> str:
    drop = f"{_drop(point.metric_drop, facts)} {'points' if facts.metric_is_fraction else ''}".strip()
    return _card(
        f"{name}: #{point.number}",
        f"{speedup_text(point.speedup)} as fast",
        f"{latency_text(point.latency_ms)} ms, drop {drop}, {size_text(point.model_bytes)}",
    )


def _card(name: str, figure: str, below: str) -> str:
    return f'<div class="card"><h3>{_safe(name)}</h3><p class="figure">{_safe(figure)}</p><p>{_safe(below)}</p></div>'


def _drop(value: float, facts: ReportFacts) -> str:
    return drop_text(value, is_fraction=facts.metric_is_fraction)


def _table(selection: Selection, facts: ReportFacts) -> str:
    drop = "Drop (points)" if facts.metric_is_fraction else "Drop"
    heads = ["Point", "Digest", "Latency (ms)", "Speedup [95%]", facts.metric_name, f"{drop} [95%]", "Size"]
    heads += ["Speedup in search", f"{drop} in search"] if selection.confirmed else []
    heads += ["Latency grade", "Policy"]
    texts = {0, 1, len(heads) - 2, len(heads) - 1}
    head = "".join(
        f'<th scope="col"{_TEXT_CELL if column in texts else ""}><button type="button">{_safe(name)}'
        '<span aria-hidden="true"></span></button></th>'
        for column, name in enumerate(heads)
    )
    rows = "\n".join(_row(point, selection, facts) for point in selection.front)
    return f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>"


def _row(point: TrialPoint, selection: Selection, facts: ReportFacts) -> str:
    speedups = speedup_text(1 / point.latency_ratio_high), speedup_text(1 / point.latency_ratio_low)
    drops = _drop(point.metric_drop_low, facts), _drop(point.metric_drop_high, facts)
    metric = facts.metric_of(point)
    cells = [
        _cell(point.digest[:DIGEST_SHOWN], point.digest),
        _cell(latency_text(point.latency_ms), point.latency_ms),
        _cell(f"{speedup_text(point.speedup)} {interval_text(*speedups)}", point.speedup),
        _cell(metric_text(metric), metric),
        _cell(f"{_drop(point.metric_drop, facts)} {interval_text(*drops)}", point.metric_drop),
        _cell(size_text(point.model_bytes), point.model_bytes or 0),
    ]
    if selection.confirmed:
        search_ratio, search_drop = point.search_latency_ratio, point.search_metric_drop
        cells += [
            _cell("–" if search_ratio is None else speedup_text(1 / search_ratio), 1 / (search_ratio or 1)),
            _cell("–" if search_drop is None else _drop(search_drop, facts), search_drop or 0.0),
        ]
    marks = [point.label] if point.label else []
    marks += ["knee"] if point is selection.knee else []
    name = f'#{point.number} <span class="mark">{_safe(", ".join(marks))}</span>' if marks else f"#{point.number}"
    cells += [_cell(point.grade, point.grade), _cell(point.policy_summary, point.policy_summary)]
    return f'<tr><th scope="row" data-value="{point.number}">{name}</th>{"".join(cells)}</tr>'


def _cell(text: str, value: float | str) -> str:
    kind = _TEXT_CELL if isinstance(value, str) else ""
    return f'<td{kind} data-value="{_safe(str(value))}">{_safe(text)}</td>'


def _facts(points: Sequence[TrialPoint], facts: ReportFacts) -> str:
    grades = Counter(point.grade for point in points if point.state == "complete")
    shown = ", ".join(f"{count} {grade or 'ungraded'}" for grade, count in grades.most_common()) or "none"
    rows = {
        "Workload": facts.workload_name,
        "Metric": facts.metric_name,
        "Target": facts.target_name,
        "Device": facts.device,
        "Runtime": facts.runtime,
        "FP32 latency": f"{latency_text(facts.fp32_latency_ms)} ms",
        "FP32 in the search": f"{metric_text(facts.fp32_metric_search)} on {facts.samples_search} samples",
    }
    if facts.fp32_metric_confirmation is not None:
        samples = facts.samples_confirmation
        on = "" if samples is None else f" on {samples} other samples"
        rows["FP32 in the confirmation"] = f"{metric_text(facts.fp32_metric_confirmation)}{on}"
    rows |= {
        "Trials": f"{facts.trials_finished} finished, {facts.trials_failed} failed",
        "Latency grades": shown,
        "Started": facts.started_at.strftime("%Y-%m-%d %H:%M %Z"),
        "Took": duration_text(facts.wall_seconds),
        "paretune": facts.paretune_version,
    }
    return "\n".join(f"<div><dt>{_safe(name)}</dt><dd>{_safe(value)}</dd></div>" for name, value in rows.items())


def _failures(points: Sequence[TrialPoint]) -> str:
    reasons = Counter(point.reason or "no reason given" for point in points if point.state == "failed")
    if not reasons:
        return ""
    rows = "".join(f"<li>{count} × {_safe(reason)}</li>" for reason, count in reasons.most_common(50))
    return f"<details><summary>Why {reasons.total()} failed</summary><ul>{rows}</ul></details>"
