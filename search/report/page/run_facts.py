"""The circumstances of a run, and why trials of it failed or were stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from search.facts import ReportFacts
from search.notation import duration_text, metric_text
from search.point import TrialPoint
from search.report.cost_words import words_of
from search.report.page.embedding import description_list, safe

_ENDED = {"failed": "failed", "pruned": "were stopped early"}


def run_facts(points: Sequence[TrialPoint], facts: ReportFacts) -> str:
    """Write the circumstances of a run, and the reasons of trials that failed or were stopped."""
    grades = Counter(point.grade for point in points if point.state == "complete")
    shown = ", ".join(f"{count} {grade or 'ungraded'}" for grade, count in grades.most_common()) or "none"
    rows = [
        ("Workload", facts.workload_name),
        ("Metric", facts.metric_name),
        ("Target", facts.target_name),
        ("Device", facts.device),
        ("Runtime", facts.runtime),
        (f"FP32 {words_of(facts).cost}", words_of(facts).text(facts.fp32_cost)),
        ("FP32 in the search", f"{metric_text(facts.fp32_metric_search)} on {facts.samples_search} samples"),
    ]
    if facts.fp32_metric_confirmation is not None:
        samples = facts.samples_confirmation
        on = "" if samples is None else f" on {samples} other samples"
        rows.append(("FP32 in the confirmation", f"{metric_text(facts.fp32_metric_confirmation)}{on}"))
        if facts.target_is_host:
            rows.append(("Accuracy on the target", "the target is this machine and this runtime: taken once, on it"))
    rows += [
        ("Trials", facts.trials_text),
        (f"{words_of(facts).cost.capitalize()} grades", shown),
        ("Started", facts.started_at.strftime("%Y-%m-%d %H:%M %Z")),
        ("Took", duration_text(facts.wall_seconds)),
        ("paretune", facts.paretune_version),
    ]
    reasons = "\n".join(part for part in (_reasons(points, state) for state in _ENDED) if part)
    return f'<dl class="facts">\n{description_list(rows)}\n</dl>\n{reasons}'


def _reasons(points: Sequence[TrialPoint], state: str) -> str:
    reasons = Counter(point.reason or "no reason given" for point in points if point.state == state)
    if not reasons:
        return ""
    rows = "".join(f"<li>{count} × {safe(reason)}</li>" for reason, count in reasons.most_common(50))
    return f"<details><summary>Why {reasons.total()} {_ENDED[state]}</summary><ul>{rows}</ul></details>"
