"""How a search went, in lines for the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from search.account.account import SearchAccount
from search.account.convergence import Convergence
from search.account.layer_worth import LayerWorth
from search.account.prediction_fit import PredictionFit
from search.facts import ReportFacts
from search.notation import MINUS, drop_text, drop_unit, duration_text, shortened
from search.report.cost_words import words_of

_LAYERS_SHOWN = 8
_NAME_SHOWN = 36
_MOST_OF_IT = 0.9
_LATEST = 20
CLOSE, NEAR = 0.05, 0.10
"""Predictions that are off by at most so much are counted."""


def account_lines(account: SearchAccount, facts: ReportFacts) -> list[str]:
    """Write what is known of the search, nothing of what is not."""
    lines = []
    if account.convergence is not None:
        lines.append(convergence_text(account.convergence, facts))
    if account.fit is not None:
        lines.append(fit_text(account.fit, facts))
    if account.worths:
        lines += ["", worth_heading(account.worths, facts), *_worth_rows(account.worths)]
    return lines


def convergence_text(convergence: Convergence, facts: ReportFacts) -> str:
    """Write the hypervolume with its reference point, and when most of it was there."""
    most = convergence.reaching(_MOST_OF_IT)
    return (
        f"hypervolume {convergence.hypervolume:.4g} {reference_text(convergence, facts)}; "
        f"{_MOST_OF_IT:.0%} of it after {most.trials} {'trial' if most.trials == 1 else 'trials'} and "
        f"{duration_text(most.seconds)}"
    )


def reference_text(convergence: Convergence, facts: ReportFacts) -> str:
    """Name the reference point: '(against FP32's latency and a drop of 2.31 points)'."""
    drop = drop_text(convergence.reference_drop, is_fraction=facts.metric_is_fraction)
    unit = drop_unit(is_fraction=facts.metric_is_fraction)
    return f"(against FP32's {words_of(facts).cost} and a drop of {f'{drop} {unit}'.rstrip()})"


def fit_text(fit: PredictionFit, facts: ReportFacts) -> str:
    """Write how far predictions were off."""
    count = len(fit.predictions)
    lately = f"; of the latest {_LATEST}: {percent_text(fit.latest(_LATEST).median_error)}"
    return (
        f"{words_of(facts).cost} foreseen of {count} {'trial' if count == 1 else 'trials'}: median error "
        f"{percent_text(fit.median_error)}, {fit.within(CLOSE):.0%} within {CLOSE:.0%}, "
        f"{fit.within(NEAR):.0%} within {NEAR:.0%}{lately if count >= 2 * _LATEST else ''}"
    )


def worth_heading(worths: tuple[LayerWorth, ...], facts: ReportFacts) -> str:
    """Say what the ranking ranks by."""
    saving = sum(worth.saved_share > 0 for worth in worths)
    return (
        f"layers to quantize for {'fewer instructions' if facts.is_emulated else 'speed'}: {saving} of {len(worths)} "
        f"save {words_of(facts).cost}, as the model of this run's trials has it (share of FP32's whole)"
    )


def percent_text(share: float) -> str:
    """Write a share with one decimal and the field's minus sign: '4.2%'."""
    return f"{100 * share:.1f}%".replace("-", MINUS)


def divergence_text(worth: LayerWorth) -> str:
    """Write what a format alone adds to the divergence; '–' where nobody looked."""
    return "–" if worth.divergence is None else f"{worth.divergence:.2g}"


def own_text(worth: LayerWorth) -> str:
    """Write what a layer takes of FP32's cost; '–' where that is not known."""
    return "–" if worth.own_share is None else percent_text(worth.own_share)


def worth_columns(worths: Sequence[LayerWorth]) -> list[tuple[str, Callable[[LayerWorth], str]]]:
    """What is shown beside layer, format and saving: headings, and what stands under them."""
    columns: list[tuple[str, Callable[[LayerWorth], str]]] = []
    if any(worth.own_share is not None for worth in worths):
        columns.append(("takes in FP32", own_text))
    columns.append(("on the front", lambda worth: f"{worth.chosen} of {worth.front_size}"))
    if any(worth.divergence is not None for worth in worths):
        columns.append(("divergence alone", divergence_text))
    return columns


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """Names to the left, figures to the right."""
    cells = zip(row, widths, strict=True)
    return [text.ljust(width) if at < 2 else text.rjust(width) for at, (text, width) in enumerate(cells)]


def _worth_rows(worths: tuple[LayerWorth, ...]) -> list[str]:
    shown = [worth for worth in worths if worth.saved_share > 0][:_LAYERS_SHOWN]
    columns = worth_columns(shown)
    head = ["layer", "format", "saves", *(name for name, _ in columns)]
    cells = [
        [shortened(worth.layer, _NAME_SHOWN), worth.format, percent_text(worth.saved_share)]
        + [write(worth) for _, write in columns]
        for worth in shown
    ]
    widths = [max(len(row[column]) for row in [head, *cells]) for column in range(len(head))]
    rows = ["  " + "  ".join(_aligned(row, widths)) for row in ([head, *cells] if cells else [])]
    useless = [shortened(worth.layer, _NAME_SHOWN) for worth in worths if worth.saved_share <= 0]
    if useless:
        more = f" and {len(useless) - _LAYERS_SHOWN} more" if len(useless) > _LAYERS_SHOWN else ""
        rows.append(f"  no format saves anything in: {', '.join(useless[:_LAYERS_SHOWN])}{more}")
    return rows
