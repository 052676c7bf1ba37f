"""How the search went, as a section of the page: what was found when, what was foreseen, which layers matter."""

from __future__ import annotations

from collections.abc import Sequence

from search.account.account import SearchAccount
from search.account.convergence import Convergence
from search.account.layer_worth import LayerWorth
from search.account.prediction_fit import PredictionFit
from search.facts import ReportFacts
from search.notation import shortened
from search.report.account_words import convergence_text, fit_text, percent_text, worth_columns, worth_heading
from search.report.cost_words import words_of
from search.report.page.charts import Axis, scatter_chart, step_chart
from search.report.page.embedding import safe

_MOST_LAYERS = 40
_UNITS = ((3600.0, "hours"), (60.0, "minutes"), (1.0, "seconds"))


def account_section(account: SearchAccount, facts: ReportFacts) -> str:
    """Write the section; '' where the run says nothing of its search."""
    parts = []
    if account.worths:
        parts.append(_worths(account.worths, facts))
    if account.convergence is not None:
        parts.append(_convergence(account.convergence, facts))
    if account.fit is not None:
        parts.append(_fit(account.fit, facts))
    if not parts:
        return ""
    body = "\n".join(parts)
    return (
        f'<section aria-labelledby="account-title" id="account">\n<h2 id="account-title">How the search went</h2>\n'
        f"{body}\n</section>"
    )


def _convergence(convergence: Convergence, facts: ReportFacts) -> str:
    steps = convergence.steps
    heights = Axis(title="hypervolume", low=0.0, high=1.05 * convergence.hypervolume)
    seconds_per, unit = next((s, name) for s, name in _UNITS if steps[-1].seconds >= 2 * s or s == 1.0)
    trials = step_chart(
        Axis(title="trials", low=0.0, high=float(max(steps[-1].trials, 2))),
        heights,
        [(float(step.trials), step.hypervolume) for step in steps],
        said=f"Hypervolume over {steps[-1].trials} trials",
    )
    times = step_chart(
        Axis(title=f"{unit} of searching", low=0.0, high=max(steps[-1].seconds / seconds_per, 1e-3)),
        heights,
        [(step.seconds / seconds_per, step.hypervolume) for step in steps],
        said=f"Hypervolume over {steps[-1].seconds / seconds_per:.3g} {unit}",
    )
    text = convergence_text(convergence, facts)
    return (
        f"<h3>What was found when</h3>\n<p>{safe(text[0].upper() + text[1:])}. The hypervolume is the area of cost "
        f"ratio and drop that the search's own front has won from that point; pauses between sessions do not count."
        "</p>\n"
        f'<div class="charts">{trials}{times}</div>'
    )


def _fit(fit: PredictionFit, facts: ReportFacts) -> str:
    places = [(prediction.predicted, prediction.measured) for prediction in fit.predictions]
    ends = [value for place in places for value in place]
    margin = 0.05 * max(max(ends) - min(ends), 0.01)
    low, high = max(0.0, min(ends) - margin), max(ends) + margin
    text = fit_text(fit, facts)
    chart = scatter_chart(
        Axis(title="foreseen, share of FP32", low=low, high=high),
        Axis(title="taken", low=low, high=high),
        places,
        diagonal=True,
        said=f"{words_of(facts).cost.capitalize()} foreseen against {words_of(facts).cost} taken, as shares of FP32's",
    )
    return (
        f"<h3>What was foreseen</h3>\n<p>{safe(text[0].upper() + text[1:])}. Each was foreseen before it was taken."
        "</p>\n"
        f'<div class="charts">{chart}</div>'
    )


def _worths(worths: tuple[LayerWorth, ...], facts: ReportFacts) -> str:
    shown = worths[:_MOST_LAYERS]
    columns = worth_columns(shown)
    most = max([worth.saved_share for worth in shown] + [1e-9])
    rows = "\n".join(_worth_row(worth, most, [write(worth) for _, write in columns]) for worth in shown)
    heads = "".join(f'<th scope="col" class="number">{name.capitalize()}</th>' for name, _ in columns)
    heading = worth_heading(worths, facts)
    more = f" The first {len(shown)} of {len(worths)} layers." if len(shown) < len(worths) else ""
    return (
        f"<h3>Which layers to quantize</h3>\n<p>{safe(heading[0].upper() + heading[1:])}: what the best number format "
        f"of each saves while the other layers stay as the front has them.{more}</p>\n"
        '<div class="scroll" role="region" aria-label="Which layers to quantize" tabindex="0">\n'
        '<table id="worths"><thead><tr><th scope="col">Layer</th><th scope="col">Format</th>'
        f'<th scope="col">Saves</th>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody></table>\n</div>'
    )


def _worth_row(worth: LayerWorth, most: float, beside: Sequence[str]) -> str:
    width = max(0.0, worth.saved_share) / most
    cells = "".join(f'<td class="number">{text}</td>' for text in beside)
    return (
        f'<tr><th scope="row" title="{safe(worth.layer)}">{safe(shortened(worth.layer, 36))}</th>'
        f"<td>{safe(worth.format)}</td>"
        f'<td class="bar"><span style="--share: {width:.3f}"></span>{percent_text(worth.saved_share)}</td>{cells}</tr>'
    )
