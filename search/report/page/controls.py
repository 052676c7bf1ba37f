"""The sliders with which a reader of the page says what can be afforded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from search.account.selection import Selection, comparable_front
from search.choosing.budgets import BYTES_PER_MB, QUANTITIES, promised_drop
from search.facts import ReportFacts
from search.point import TrialPoint
from search.report.cost_words import words_of
from search.report.page.embedding import safe

_STEPS = 200


def budget_controls(runs: Sequence[tuple[Selection, ReportFacts]]) -> list[dict[str, Any]]:
    """Describe the budgets that the page offers: cost, drop and size, whose columns its points have.

    Args:
        runs: of each run the roles of its points and its circumstances; all of one kind of cost.

    Returns:
        JSON-ready: of each budget its column, label and unit, the option of `paretune select` ('' where it has none)
        and how many of the option's units one of the page's is, and the ends and step of its slider, which hold FP32
        and what the fronts can offer. At its upper end there is no limit.
    """
    facts = runs[0][1]
    words, scale = words_of(facts), 100.0 if facts.metric_is_fraction else 1.0
    unit = "points" if facts.metric_is_fraction else ""
    offered = [point for selection, _ in runs for point in _offered(selection)]
    costs = [point.cost / words.axis_unit for point in offered]
    drops = [scale * promised_drop(point) for point in offered]
    sizes = [point.model_bytes / BYTES_PER_MB for point in offered if point.model_bytes is not None]
    return [
        _control("cost", f"{words.cost.capitalize()} at most", words.unit, costs)
        | {"option": "" if facts.is_emulated else QUANTITIES["max_latency_ms"].option, "scale": 1.0},
        _control("drop", "Drop at most", unit, drops) | {"option": QUANTITIES["max_drop"].option, "scale": 1.0 / scale},
        _control("size", "Size at most", "MB", sizes) | {"option": QUANTITIES["max_size_mb"].option, "scale": 1.0},
    ]


def controls_html(controls: Sequence[dict[str, Any]]) -> str:
    """Write the sliders, each with a field for its number."""
    return "\n".join(_row(control) for control in controls)


def _row(control: dict[str, Any]) -> str:
    name, label = control["column"], safe(control["label"])
    unit = safe(control["unit"])
    named = f"{label}, in {unit}" if unit else label
    return (
        f'<div class="budget" data-column="{name}">\n<label for="budget-{name}">{label}</label>\n'
        f'<input type="range" id="budget-{name}" min="{control["low"]}" max="{control["high"]}" '
        f'step="{control["step"]}" value="{control["high"]}" aria-valuetext="no limit">\n'
        f'<span><input type="number" step="any" placeholder="any" aria-label="{named}"> {unit}</span>\n</div>'
    )


def _control(column: str, label: str, unit: str, values: Sequence[float]) -> dict[str, Any]:
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    step = _nice((high - low) / _STEPS or 0.01)
    # The lowest and the highest offer can be set, and one step above the highest is no limit.
    lowest, highest = math.floor(low / step) * step, (math.ceil(high / step) + 1) * step
    ends = {"low": float(f"{lowest:.9g}"), "high": float(f"{highest:.9g}")}
    return {"column": column, "label": label, "unit": unit, "step": step, **ends}


def _nice(value: float) -> float:
    """The largest of 1, 2 and 5 times a power of ten that is not above `value`."""
    power = 10.0 ** math.floor(math.log10(value))
    return float(f"{max(factor for factor in (1, 2, 5) if factor * power <= value * (1 + 1e-9)) * power:.9g}")


def _offered(selection: Selection) -> list[TrialPoint]:
    return [*comparable_front(selection.front), *(point for point in (selection.fp32,) if point)]
