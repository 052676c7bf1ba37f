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
from search.report.cost_words import words_of
from search.report.facts import ReportFacts
from search.report.heatmap import heat_map
from search.report.notation import (
    DIGEST_SHOWN,
    drop_text,
    duration_text,
    interval_text,
    metric_text,
    size_text,
    speedup_text,
)
from search.report.plot import plot_data
from search.report.selection import Selection, View, outside_note, select, view_of
from search.report.target_words import said_of_target, summary_of

_TEXT_CELL = ' class="text"'
_COST_EXPLAINED = {
    False: """<div><dt>Speedup</dt><dd>How many times as fast as FP32 the version is. Both were timed in turn in the
same processes on the device, so that a busy or warm machine slows both.</dd></div>
<div><dt>Latency grade</dt><dd><b>clean</b>: the machine was quiet. <b>contended</b>: other programs ran, and the
figure comes from processor time. <b>unreliable</b>: not used to rank anything.</dd></div>""",
    True: """<div><dt>Instructions</dt><dd>How many instructions one inference executes, in millions, counted in an
emulator that runs the target's own runtime. They are a cost to compare candidates by, and <b>not time</b>: how many a
processor executes at once, and how long its memory takes, is not in them. Search again on the device before you promise
a latency.</dd></div>
<div><dt>Instructions grade</dt><dd><b>emulated</b>: counted, not timed. The interval is the range over repeats.</dd>
</div>""",
}
_TARGET_EXPLAINED = """<div><dt>On the target</dt><dd>The metric as the target's own kernels give it, and this host's
metric of the same samples. 8-bit networks answer differently on other processors and engines. <b>Differs beyond the
interval</b>: more than the 95% interval of the paired difference explains; then the target's figure is the one that its
users will see.</dd></div>"""


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
        subject=words_of(facts).subject,
        gain_axis=_safe(words_of(facts).gain_axis),
        kind_note=_safe(words_of(facts).kind_note),
        kind_hidden="" if words_of(facts).kind_note else " hidden",
        cost=words_of(facts).cost,
        cost_explained=_COST_EXPLAINED[facts.is_emulated],
        target_note=_safe(_target_note(selection, facts)),
        target_explained=_TARGET_EXPLAINED if _shows_target(selection, facts) else "",
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
        f"{'is' if found == 1 else 'are'} worth choosing from, "
        f"{'counted' if facts.is_emulated else 'measured'} on {facts.device}.{state}"
    )


def _cards(selection: Selection, view: View, facts: ReportFacts) -> str:
    cards = [
        _card(
            "FP32",
            words_of(facts).text(facts.fp32_cost),
            f"{facts.metric_name} {metric_text(facts.fp32_metric)}",
        )
    ]
    if selection.knee is not None and selection.knee is not selection.fp32:
        cards.append(_point_card("Best compromise (knee)", selection.knee, facts))
    useful = [point for point in selection.front if view.holds(point.gain, point.metric_drop)]
    if useful and useful[-1] is not selection.fp32 and useful[-1] is not selection.knee:
        # A broken network may be the fastest of all: the plot leaves it out, and so does this.
        best = "Fewest instructions" if facts.is_emulated else "Fastest"
        name = f"{best} on the front" if useful[-1] is selection.front[-1] else f"{best} in the plot"
        cards.append(_point_card(name, useful[-1], facts))
    return "\n".join(cards)


def _point_card(name: str, point: TrialPoint, facts: ReportFacts) -> str:
    drop = f"{_drop(point.metric_drop, facts)} {'points' if facts.metric_is_fraction else ''}".strip()
    return _card(
        f"{name}: #{point.number}",
        words_of(facts).gained_text(point.gain),
        f"{words_of(facts).of(point)}, drop {drop}, {size_text(point.model_bytes)}",
    )


def _card(name: str, figure: str, below: str) -> str:
    return f'<div class="card"><h3>{_safe(name)}</h3><p class="figure">{_safe(figure)}</p><p>{_safe(below)}</p></div>'


def _drop(value: float, facts: ReportFacts) -> str:
    return drop_text(value, is_fraction=facts.metric_is_fraction)


def _table(selection: Selection, facts: ReportFacts) -> str:
    drop = "Drop (points)" if facts.metric_is_fraction else "Drop"
    words = words_of(facts)
    cost, gain = f"{words.cost.capitalize()} ({words.unit})", words.gain[0].upper() + words.gain[1:]
    heads = ["Point", "Digest", cost, f"{gain} [95%]", facts.metric_name, f"{drop} [95%]", "Size"]
    heads += [f"{gain} in search", f"{drop} in search"] if selection.confirmed else []
    heads += ["On the target"] if _shows_target(selection, facts) else []
    heads += [f"{words.cost.capitalize()} grade", "Policy"]
    texts = {0, 1, len(heads) - 2, len(heads) - 1}
    head = "".join(
        f'<th scope="col"{_TEXT_CELL if column in texts else ""}><button type="button">{_safe(name)}'
        '<span aria-hidden="true"></span></button></th>'
        for column, name in enumerate(heads)
    )
    rows = "\n".join(_row(point, selection, facts) for point in selection.front)
    return f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>"


def _row(point: TrialPoint, selection: Selection, facts: ReportFacts) -> str:
    gains = speedup_text(1 / point.cost_ratio_high), speedup_text(1 / point.cost_ratio_low)
    drops = _drop(point.metric_drop_low, facts), _drop(point.metric_drop_high, facts)
    metric = facts.metric_of(point)
    cells = [
        _cell(point.digest[:DIGEST_SHOWN], point.digest),
        _cell(words_of(facts).number(point.cost), point.cost),
        _cell(f"{speedup_text(point.gain)} {interval_text(*gains)}", point.gain),
        _cell(metric_text(metric), metric),
        _cell(f"{_drop(point.metric_drop, facts)} {interval_text(*drops)}", point.metric_drop),
        _cell(size_text(point.model_bytes), point.model_bytes or 0),
    ]
    if selection.confirmed:
        search_ratio, search_drop = point.search_cost_ratio, point.search_metric_drop
        cells += [
            _cell("–" if search_ratio is None else speedup_text(1 / search_ratio), 1 / (search_ratio or 1)),
            _cell("–" if search_drop is None else _drop(search_drop, facts), search_drop or 0.0),
        ]
    if _shows_target(selection, facts):
        cells.append(_target_cell(point))
    marks = [point.label] if point.label else []
    marks += ["knee"] if point is selection.knee else []
    name = f'#{point.number} <span class="mark">{_safe(", ".join(marks))}</span>' if marks else f"#{point.number}"
    policy = "; ".join(part for part in (point.policy_summary, point.reason) if part)
    cells += [_cell(point.grade, point.grade), _cell(policy, policy)]
    return f'<tr><th scope="row" data-value="{point.number}">{name}</th>{"".join(cells)}</tr>'


def _cell(text: str, value: float | str) -> str:
    kind = _TEXT_CELL if isinstance(value, str) else ""
    return f'<td{kind} data-value="{_safe(str(value))}">{_safe(text)}</td>'


def _shows_target(selection: Selection, facts: ReportFacts) -> bool:
    """Whether the target has a say of its own about accuracy: not where it is the host."""
    return not facts.target_is_host and any(point.target_samples is not None for point in selection.front)


def _target_cell(point: TrialPoint) -> str:
    if point.target_samples is None:
        return _cell("–", 0.0)
    if not point.target_differs:
        return _cell(metric_text(point.target_metric), point.target_metric)
    return f'<td class="differs" data-value="{point.target_metric}">{_safe(said_of_target(point))}</td>'


def _target_note(selection: Selection, facts: ReportFacts) -> str:
    return summary_of(selection.front) if _shows_target(selection, facts) else ""


def _facts(points: Sequence[TrialPoint], facts: ReportFacts) -> str:
    grades = Counter(point.grade for point in points if point.state == "complete")
    shown = ", ".join(f"{count} {grade or 'ungraded'}" for grade, count in grades.most_common()) or "none"
    rows = {
        "Workload": facts.workload_name,
        "Metric": facts.metric_name,
        "Target": facts.target_name,
        "Device": facts.device,
        "Runtime": facts.runtime,
        f"FP32 {words_of(facts).cost}": words_of(facts).text(facts.fp32_cost),
        "FP32 in the search": f"{metric_text(facts.fp32_metric_search)} on {facts.samples_search} samples",
    }
    if facts.fp32_metric_confirmation is not None:
        samples = facts.samples_confirmation
        on = "" if samples is None else f" on {samples} other samples"
        rows["FP32 in the confirmation"] = f"{metric_text(facts.fp32_metric_confirmation)}{on}"
    if facts.target_is_host and facts.fp32_metric_confirmation is not None:
        rows["Accuracy on the target"] = "the target is this machine and this runtime: taken once, on it"
    rows |= {
        "Trials": f"{facts.trials_finished} finished, {facts.trials_failed} failed",
        f"{words_of(facts).cost.capitalize()} grades": shown,
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
