"""A choice, or why there is none, in words and as a document."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from search.choosing.budgets import Budget, promised_drop
from search.choosing.choice import Choice, Miss, Refusal
from search.cost import without_missing
from search.facts import ReportFacts
from search.notation import (
    DIGEST_SHOWN,
    drop_text,
    drop_unit,
    interval_text,
    metric_text,
    size_text,
    speedup_text,
)
from search.point import COLUMNS, TrialPoint
from search.report.commands import export_command
from search.report.cost_words import words_of
from search.report.recovery_words import recovery_text
from search.report.target_words import warning_of

FORMAT_VERSION = 1
"""Of the document that `--json` prints."""


def choice_lines(choice: Choice, budgets: Sequence[Budget], facts: ReportFacts, run: Path) -> list[str]:
    """Write the chosen point with its confirmed figures, why it was chosen, and how to export it."""
    point = choice.point
    kept = " and ".join(f"{budget.quantity.option} {budget.limit:g}" for budget in budgets)
    count = f"{choice.keeping} confirmed {'point' if choice.keeping == 1 else 'points'}"
    among = f"of {count} that {'keeps' if choice.keeping == 1 else 'keep'} {kept}" if budgets else f"of {count}"
    words = words_of(facts)
    gains = interval_text(speedup_text(1 / point.cost_ratio_high), speedup_text(1 / point.cost_ratio_low))
    lines = [
        f"{point.name} {point.digest[:DIGEST_SHOWN]}{f' ({point.label})' if point.label else ''}: "
        f"{choice.rule} {among}",
        f"  {words.gain:<12} {speedup_text(point.gain)} {gains}",
        f"  {words.cost:<12} {words.of(point)} {_cost_interval(point, facts)}, grade {point.grade}",
        f"  {facts.metric_name:<12} {metric_text(facts.metric_of(point))} (FP32 {metric_text(facts.fp32_metric)})",
        f"  {'drop':<12} {_drop(point.metric_drop, facts)} {_drop_interval(point, facts)}",
        f"  {'size':<12} {size_text(point.model_bytes)}",
        f"  {'policy':<12} {point.policy_summary}",
    ]
    lines += [f"  {'recovery':<12} {said}" for said in (recovery_text(point),) if said]
    lines += [f"  {'warning':<12} {said}" for said in (warning_of(point),) if said]
    lines += [
        f"  {'uncertain':<12} {budget.quantity.option} {budget.limit:g} lies inside the 95% interval: measured again, "
        "the point may break it"
        for budget in choice.uncertain
    ]
    return [*lines, "", f"export it:  {shlex.join(export_command(run, point))}"]


def refusal_lines(refusal: Refusal, facts: ReportFacts) -> list[str]:
    """Write which budgets stand in the way, and by how much the nearest points miss them."""
    if refusal.impossible:
        lines = [
            f"no confirmed point keeps {_limit(miss.budget, facts)}; nearest {_missed(miss, facts)}"
            for miss in refusal.impossible
        ]
    else:
        lines = ["each budget is kept by some confirmed point, but no point keeps all of them"]
        lines += [f"all but {_limit(miss.budget, facts)}: nearest {_missed(miss, facts)}" for miss in refusal.conflicts]
    if len(refusal.nearest) > 1:
        point = refusal.nearest[0].point
        missed = " and ".join(f"{miss.budget.quantity.option} by {_amount(miss, facts)}" for miss in refusal.nearest)
        lines.append(f"nearest to all of them: {_named(point, facts)}, misses {missed}")
    return lines


def document_of(
    answer: Choice | Refusal, budgets: Sequence[Budget], facts: ReportFacts, run: Path, *, knee: bool
) -> dict[str, Any]:
    """Lay an answer out for scripts: every figure in its own unit, misses in their budget's."""
    document: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "run": str(run),
        "budgets": {budget.name: budget.limit for budget in budgets},
        "knee": knee,
        "metric": facts.metric_name,
    }
    if isinstance(answer, Choice):
        figures = without_missing({name: getattr(answer.point, name) for name in COLUMNS})
        return {
            **document,
            "chosen": {**figures, "layers": {name: dict(layer) for name, layer in answer.point.layers.items()}},
            "rule": answer.rule,
            "keeping": answer.keeping,
            "uncertain": [budget.name for budget in answer.uncertain],
            "export_command": export_command(run, answer.point),
        }
    parts = {"impossible": answer.impossible, "conflicts": answer.conflicts, "nearest": answer.nearest}
    return {**document, "chosen": None, **{name: [_miss(miss) for miss in misses] for name, misses in parts.items()}}


def _miss(miss: Miss) -> dict[str, Any]:
    return {
        "budget": miss.budget.name,
        "limit": miss.budget.limit,
        "number": miss.point.number,
        "digest": miss.point.digest,
        "value": miss.budget.quantity.value(miss.point),
        "excess": miss.excess,
    }


def _limit(budget: Budget, facts: ReportFacts) -> str:
    unit = budget.quantity.unit
    shown = f" ({_drop(budget.limit, facts)})" if budget.name == "max_drop" and facts.metric_is_fraction else ""
    return f"{budget.quantity.option} {budget.limit:g}{f' {unit}' if unit not in ('', '×') else ''}{shown}"


def _missed(miss: Miss, facts: ReportFacts) -> str:
    return f"{_named(miss.point, facts)}, misses it by {_amount(miss, facts)}"


def _amount(miss: Miss, facts: ReportFacts) -> str:
    if miss.budget.name == "max_drop":
        return _drop(miss.excess, facts)
    unit = miss.budget.quantity.unit
    return f"{miss.excess:.3g}{unit if unit == '×' else f' {unit}'}"


def _named(point: TrialPoint, facts: ReportFacts) -> str:
    words = words_of(facts)
    return (
        f"{point.name} ({words.of(point)}, {words.gained_text(point.gain)}, "
        f"drop {_drop(promised_drop(point), facts)}, {size_text(point.model_bytes)})"
    )


def _drop(value: float, facts: ReportFacts) -> str:
    unit = drop_unit(is_fraction=facts.metric_is_fraction)
    return f"{drop_text(value, is_fraction=facts.metric_is_fraction)} {unit}".rstrip()


def _drop_interval(point: TrialPoint, facts: ReportFacts) -> str:
    ends = (
        drop_text(end, is_fraction=facts.metric_is_fraction) for end in (point.metric_drop_low, point.metric_drop_high)
    )
    return interval_text(*ends)


def _cost_interval(point: TrialPoint, facts: ReportFacts) -> str:
    words = words_of(facts)
    ends = (point.cost * end / point.cost_ratio for end in (point.cost_ratio_low, point.cost_ratio_high))
    return interval_text(*(words.number(end) for end in ends))
