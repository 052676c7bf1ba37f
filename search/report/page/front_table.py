"""The front as a table that can be sorted, with a button at each point that shows its layers."""

from __future__ import annotations

from collections.abc import Sequence

from search.account.selection import Selection
from search.facts import ReportFacts
from search.notation import DIGEST_SHOWN, drop_text, interval_text, metric_text, size_text, speedup_text
from search.point import TrialPoint
from search.report.cost_words import words_of
from search.report.page.embedding import safe
from search.report.page.points import shown_points
from search.report.recovery_words import recovery_text
from search.report.target_words import said_of_target

_TEXT_CELL = ' class="text"'
Run = tuple[Selection, ReportFacts]


def front_table(runs: Sequence[Run]) -> str:
    """Write the inside of the table: the fronts of the runs, one after the other, slow to fast.

    Args:
        runs: of each run the roles of its points and its circumstances; all of one kind of cost. With several, the
            first column names the target.
    """
    has_search = any(selection.confirmed for selection, _ in runs)
    has_target = any(shows_target(*run) for run in runs)
    heads = _heads(runs, has_search=has_search, has_target=has_target)
    head = "".join(
        f'<th scope="col"{_TEXT_CELL if is_text else ""}><button type="button">{safe(name)}'
        '<span aria-hidden="true"></span></button></th>'
        for name, is_text in heads
    )
    rows = [
        _row(point, run, runs, has_search=has_search, has_target=has_target)
        for run, (selection, _) in enumerate(runs)
        for point in selection.front
    ]
    body = "\n".join(rows)
    return f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>"


def shows_target(selection: Selection, facts: ReportFacts) -> bool:
    """Whether the target has a say of its own about accuracy: not where it is the host."""
    return not facts.target_is_host and any(point.target_samples is not None for point in selection.front)


def _heads(runs: Sequence[Run], *, has_search: bool, has_target: bool) -> list[tuple[str, bool]]:
    """The names of the columns, and whether they hold text."""
    facts = runs[0][1]
    words = words_of(facts)
    drop = "Drop (points)" if facts.metric_is_fraction else "Drop"
    cost, gain = f"{words.cost.capitalize()} ({words.unit})", words.gain[0].upper() + words.gain[1:]
    numbers = [cost, f"{gain} [95%]", facts.metric_name, f"{drop} [95%]", "Size"]
    numbers += [f"{gain} in search", f"{drop} in search"] if has_search else []
    numbers += ["On the target"] if has_target else []
    texts = [*(["Target"] if len(runs) > 1 else []), "Point", "Digest"]
    after = [f"{words.cost.capitalize()} grade", "Policy"]
    return [*((name, True) for name in texts), *((name, False) for name in numbers), *((name, True) for name in after)]


def _row(point: TrialPoint, run: int, runs: Sequence[Run], *, has_search: bool, has_target: bool) -> str:
    selection, facts = runs[run]
    position = [other.key for other in shown_points(selection)].index(point.key)
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
    cells += _search_cells(point, facts) if has_search else []
    cells += [_target_cell(point)] if has_target else []
    policy = "; ".join(part for part in (point.policy_summary, recovery_text(point), point.reason) if part)
    cells += [_cell(point.grade, point.grade), _cell(policy, policy)]
    target = _cell(facts.target_name, facts.target_name) if len(runs) > 1 else ""
    return (
        f'<tr data-run="{run}" data-position="{position}">{target}<th scope="row" data-value="{point.number}">'
        f"{_name(point, selection)}</th>{''.join(cells)}</tr>"
    )


def _name(point: TrialPoint, selection: Selection) -> str:
    marks = [point.label] if point.label else []
    marks += ["knee"] if point is selection.knee else []
    mark = f' <span class="mark">{safe(", ".join(marks))}</span>' if marks else ""
    return f'<button type="button" class="point">{point.name}</button>{mark}<span class="breaks"></span>'


def _search_cells(point: TrialPoint, facts: ReportFacts) -> list[str]:
    ratio, drop = point.search_cost_ratio, point.search_metric_drop
    return [
        _cell("–" if ratio is None else speedup_text(1 / ratio), 1 / (ratio or 1)),
        _cell("–" if drop is None else _drop(drop, facts), drop or 0.0),
    ]


def _target_cell(point: TrialPoint) -> str:
    if point.target_samples is None:
        return _cell("–", 0.0)
    if not point.target_differs:
        return _cell(metric_text(point.target_metric), point.target_metric)
    return f'<td class="differs" data-value="{point.target_metric}">{safe(said_of_target(point))}</td>'


def _cell(text: str, value: float | str) -> str:
    kind = _TEXT_CELL if isinstance(value, str) else ""
    return f'<td{kind} data-value="{safe(str(value))}">{safe(text)}</td>'


def _drop(value: float, facts: ReportFacts) -> str:
    return drop_text(value, is_fraction=facts.metric_is_fraction)
