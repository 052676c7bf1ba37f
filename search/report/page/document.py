"""The page of one run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

from search.account.account import NO_ACCOUNT, SearchAccount
from search.account.selection import Selection, outside_note, select, view_of
from search.facts import ReportFacts
from search.point import TrialPoint
from search.report.cost_words import words_of
from search.report.page.account_section import account_section
from search.report.page.cards import cards
from search.report.page.controls import budget_controls, controls_html
from search.report.page.embedding import asset, embedded_json, packed_plotly, page_script, safe, script_hash
from search.report.page.explained import explained
from search.report.page.front_table import front_table, shows_target
from search.report.page.heatmap import heat_map
from search.report.page.palette import palette_css
from search.report.page.plot import plot_data
from search.report.page.points import run_columns, shown_points
from search.report.page.run_facts import run_facts
from search.report.recovery_words import recovery_note
from search.report.target_words import summary_of


def page_text(
    points: Sequence[TrialPoint],
    facts: ReportFacts,
    account: SearchAccount = NO_ACCOUNT,
    *,
    run: Path | None = None,
) -> str:
    """Write the page: plot with budgets, the chosen point's layers, the front, the search's account, the circumstances.

    Everything is inside the page, plotly.js too (compressed, 2 MB); its content security policy forbids any request and
    any script but its own two.

    Args:
        points: all points of the run.
        facts: the circumstances of the run.
        account: how the search went.
        run: the run's folder, as the export commands name it; without one there are none.

    Returns:
        HTML. Every string that came from a user or a device is escaped.
    """
    selection = select(points)
    view = view_of(selection)
    words, target = words_of(facts), shows_target(selection, facts)
    note = _stopped_note(outside_note(selection, view, facts.fp32_metric), facts)
    return assemble(
        controls=budget_controls([(selection, facts)]),
        data={
            "plot": plot_data(selection, view, facts),
            "runs": [run_columns(selection, facts, run)],
            "knee": _first_shown(selection),
        },
        facts=facts,
        title=safe(f"{facts.workload_name} on {facts.target_name}"),
        lead=_lead(selection, facts),
        cards=cards(selection, view, facts),
        plot_title=f"{words.subject} against {safe(facts.metric_name)}",
        plot_help="Up and to the right is better.",
        plot_label=safe(f"{words.gain_axis}, against {facts.metric_name}"),
        note=safe(note),
        front_name="Confirmed front" if selection.confirmed else "Front so far (not yet confirmed)",
        table=front_table([(selection, facts)]),
        target_note=safe(summary_of(selection.front) if target else ""),
        sections="\n\n".join(part for part in (_layers(selection), account_section(account, facts)) if part),
        explained=explained(facts, shows_target=target, shows_recovered=bool(selection.before)),
        facts_title="The run",
        circumstances=run_facts(points, facts),
    )


def assemble(
    *, controls: Sequence[dict[str, Any]], data: dict[str, Any], facts: ReportFacts, circumstances: str, **parts: str
) -> str:
    """Put a page together.

    Args:
        controls: the budgets that it offers.
        data: what its script reads besides these.
        facts: of a run of the kind that it shows.
        circumstances: HTML of what is said of the runs at its end.
        parts: HTML by the names that the templates give it.
    """
    packed, plotly_hash = packed_plotly()
    script, kind_note = page_script(), words_of(facts).kind_note
    chooser = Template(asset("chooser.html")).substitute(
        parts, controls=controls_html(controls), kind_note=safe(kind_note), kind_hidden="" if kind_note else " hidden"
    )
    kind = {"best": "the fewest instructions" if facts.is_emulated else "the fastest", "emulated": facts.is_emulated}
    return Template(asset("page_template.html")).substitute(
        parts,
        facts=circumstances,
        chooser=chooser,
        script_hashes=f"{script_hash(script)} {plotly_hash}",
        style=palette_css() + asset("page.css") + asset("chooser.css"),
        page_json=embedded_json({**data, **kind, "budgets": list(controls)}),
        plotly_packed=packed,
        page_js=script,
    )


def _first_shown(selection: Selection) -> int | None:
    """Which of the shown points has its layers shown before anyone chooses: the knee, else the fastest."""
    positions = {point.key: position for position, point in enumerate(shown_points(selection))}
    if selection.knee is not None:
        return positions[selection.knee.key]
    return positions[selection.front[-1].key] if selection.front else None


def _stopped_note(note: str, facts: ReportFacts) -> str:
    if not facts.trials_stopped:
        return note
    stopped = "1 trial, stopped early" if facts.trials_stopped == 1 else f"{facts.trials_stopped} trials, stopped early"
    return f"{note} Not drawn either: {stopped}." if note else f"Not shown: {stopped}."


def _lead(selection: Selection, facts: ReportFacts) -> str:
    found = sum(point is not selection.fp32 for point in selection.front)
    state = "" if selection.confirmed else "These are the search's own values: nothing is confirmed yet."
    further = " ".join(part for part in (state, recovery_note(selection, facts)) if part)
    return safe(
        f"{found} compressed {'version' if found == 1 else 'versions'} of {facts.workload_name} that "
        f"{'is' if found == 1 else 'are'} worth choosing from, "
        f"{'counted' if facts.is_emulated else 'measured'} on {facts.device}. {further}".rstrip()
    )


def _layers(selection: Selection) -> str:
    table = heat_map(selection)
    if not table:
        return ""
    return f"""<section aria-labelledby="layers-title" id="layers">
<h2 id="layers-title">What the front does to each layer</h2>
<p>One row per layer, one column per point of the front, from dear to cheap.</p>
<div class="scroll" role="region" aria-labelledby="layers-title" tabindex="0">
<table id="heat-map">
{table}
</table>
</div>
</section>"""
