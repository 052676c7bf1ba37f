"""The page of several runs: one network on several devices, their fronts on one another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from search.account.selection import Selection, select, view_of
from search.errors import SearchError
from search.facts import ReportFacts
from search.notation import metric_text
from search.point import TrialPoint
from search.report.cost_words import words_of
from search.report.page.cards import card, point_card
from search.report.page.controls import budget_controls
from search.report.page.document import assemble
from search.report.page.embedding import safe
from search.report.page.explained import explained
from search.report.page.front_table import front_table, shows_target
from search.report.page.palette import RUN_SYMBOLS
from search.report.page.plot import overlay_data
from search.report.page.points import run_columns
from search.report.page.run_facts import run_facts
from search.report.target_words import summary_of


@dataclass(frozen=True, kw_only=True)
class PageRun:
    """One of the runs of a page.

    Attributes:
        points: All its points.
        facts: Its circumstances.
        folder: Its folder, as commands name it.
    """

    points: Sequence[TrialPoint]
    facts: ReportFacts
    folder: Path


def overlay_text(runs: Sequence[PageRun]) -> str:
    """Write the page of several runs.

    Returns:
        HTML; see `page_text`.

    Raises:
        SearchError: There are too many to tell apart, or they cannot be compared: other metrics, or time beside
            instructions.
    """
    require_comparable([run.facts for run in runs])
    targets = ", ".join(dict.fromkeys(run.facts.target_name for run in runs))
    runs = _told_apart(runs)
    selections = [select(run.points) for run in runs]
    pairs = [(selection, run.facts) for selection, run in zip(selections, runs, strict=True)]
    facts, words = runs[0].facts, words_of(runs[0].facts)
    workloads = dict.fromkeys(run.facts.workload_name for run in runs)
    target_says = any(shows_target(*pair) for pair in pairs)
    return assemble(
        controls=budget_controls(pairs),
        data={
            "plot": overlay_data([(selection, view_of(selection), facts) for selection, facts in pairs]),
            "runs": [
                run_columns(selection, run.facts, run.folder) for selection, run in zip(selections, runs, strict=True)
            ],
            "knee": None,
        },
        facts=facts,
        title=safe(f"{', '.join(workloads)} on {targets}"),
        lead=safe(f"{len(runs)} runs on one another: what each target makes of the same question."),
        cards="\n".join(
            part for selection, run in zip(selections, runs, strict=True) for part in _cards(selection, run)
        ),
        plot_title=f"{words.cost.capitalize()} against {safe(facts.metric_name)}",
        plot_help="Up and to the left is better. Each run has a colour and a shape: hollow for its FP32, full for its "
        "front.",
        plot_label=safe(f"{words.cost_axis}, against {facts.metric_name}"),
        note="",
        front_name="The fronts",
        table=front_table(pairs),
        target_note=safe(" ".join(summary_of(selection.front) for selection, _ in pairs if shows_target(selection, _))),
        sections="",
        explained=explained(facts, shows_target=target_says),
        facts_title="The runs",
        circumstances="\n".join(
            f"<h3>{safe(run.facts.target_name)}</h3>\n{run_facts(run.points, run.facts)}" for run in runs
        ),
    )


def require_comparable(runs: Sequence[ReportFacts]) -> None:
    """Refuse runs whose figures do not belong on one pair of axes.

    Raises:
        SearchError: See `overlay_text`.
    """
    if len(runs) > len(RUN_SYMBOLS):
        raise SearchError(f"at most {len(RUN_SYMBOLS)} runs can be told apart in one plot, got {len(runs)}")
    if len({facts.is_emulated for facts in runs}) > 1:
        counted = next(facts.target_name for facts in runs if facts.is_emulated)
        raise SearchError(
            f"the run on {counted!r} counted instructions, which are not time; give runs of one kind of cost"
        )
    metrics = list(dict.fromkeys(facts.metric_name for facts in runs))
    if len(metrics) > 1:
        raise SearchError(f"the runs have different metrics, got {', '.join(map(repr, metrics))}; give runs of one")
    if len({facts.metric_is_fraction for facts in runs}) > 1:
        raise SearchError(
            f"the runs' FP32 metrics are of different scales for {metrics[0]!r}; give runs of one workload"
        )


def _told_apart(runs: Sequence[PageRun]) -> list[PageRun]:
    """The runs with names of their own: the target's, and of one target the folder's beside it."""
    counts = Counter(run.facts.target_name for run in runs)
    return [
        replace(run, facts=replace(run.facts, target_name=f"{run.facts.target_name}, {run.folder.name}"))
        if counts[run.facts.target_name] > 1
        else run
        for run in runs
    ]


def _cards(selection: Selection, run: PageRun) -> list[str]:
    facts = run.facts
    cost, metric = words_of(facts).text(facts.fp32_cost), f"{facts.metric_name} {metric_text(facts.fp32_metric)}"
    shown = [card(f"{facts.target_name}: FP32", cost, metric)]
    if selection.knee is not None and selection.knee is not selection.fp32:
        shown.append(point_card(f"{facts.target_name}: knee", selection.knee, facts))
    return shown
