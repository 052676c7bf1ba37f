"""The run in short: FP32, the knee and the fastest point, as cards."""

from __future__ import annotations

from search.account.selection import Selection, View
from search.facts import ReportFacts
from search.notation import drop_text, metric_text, size_text
from search.point import TrialPoint
from search.report.cost_words import words_of
from search.report.page.embedding import safe


def cards(selection: Selection, view: View, facts: ReportFacts) -> str:
    """Write the cards of one run."""
    made = [
        card("FP32", words_of(facts).text(facts.fp32_cost), f"{facts.metric_name} {metric_text(facts.fp32_metric)}")
    ]
    if selection.knee is not None and selection.knee is not selection.fp32:
        made.append(point_card("Best compromise (knee)", selection.knee, facts))
    useful = [point for point in selection.front if view.holds(point.gain, point.metric_drop)]
    if useful and useful[-1] is not selection.fp32 and useful[-1] is not selection.knee:
        # A broken network may be the fastest of all: the plot leaves it out, and so does this.
        best = "Fewest instructions" if facts.is_emulated else "Fastest"
        name = f"{best} on the front" if useful[-1] is selection.front[-1] else f"{best} in the plot"
        made.append(point_card(name, useful[-1], facts))
    return "\n".join(made)


def point_card(name: str, point: TrialPoint, facts: ReportFacts) -> str:
    """Write the card of one point."""
    drop = drop_text(point.metric_drop, is_fraction=facts.metric_is_fraction)
    unit = "points" if facts.metric_is_fraction else ""
    return card(
        f"{name}: {point.name}",
        words_of(facts).gained_text(point.gain),
        f"{words_of(facts).of(point)}, drop {f'{drop} {unit}'.strip()}, {size_text(point.model_bytes)}",
    )


def card(name: str, figure: str, below: str) -> str:
    """Write one card."""
    return f'<div class="card"><h3>{safe(name)}</h3><p class="figure">{safe(figure)}</p><p>{safe(below)}</p></div>'
