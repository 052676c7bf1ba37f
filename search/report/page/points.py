"""The points that a page can show, as columns: figures to judge budgets by, words to show, and policies.

A run of 2,000 trials on 60 layers has 120,000 choices; each is written as one or two characters of a per-run list of
the different settings, one string per layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from search.account.selection import Selection, as_searched
from search.choosing.budgets import BYTES_PER_MB, promised_drop
from search.facts import ReportFacts
from search.notation import (
    drop_text,
    drop_unit,
    interval_text,
    metric_text,
    shortened,
    size_text,
    speedup_text,
)
from search.point import FP32_LABEL, TrialPoint
from search.report.commands import POINT_DIGITS
from search.report.cost_words import words_of
from search.report.recovery_words import recovery_text
from search.report.target_words import said_of_target

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def shown_points(selection: Selection) -> list[TrialPoint]:
    """Every point that is drawn: FP32 and all that can be ranked, by number, what was recovered behind what it was."""
    found = {point.key: point for point in (*selection.searched, *selection.front)}
    if selection.fp32 is not None:
        found[selection.fp32.key] = selection.fp32
    return [found[key] for key in sorted(found)]


def run_columns(selection: Selection, facts: ReportFacts, run: Path | None) -> dict[str, Any]:
    """Lay the points of one run out as columns, in the order of `shown_points`.

    Args:
        selection: the roles of the points.
        facts: the circumstances of the run.
        run: its folder, as commands name it; None where there is none to name.

    Returns:
        JSON-ready columns. `layers`, `settings`, `codes` and `width` are the policies: the setting of layer `i` at
        point `j` is `settings[n]`, n being the `width` characters at `j * width` of `codes[i]` as digits of base 64.
    """
    points = shown_points(selection)
    positions = {point.key: position for position, point in enumerate(points)}
    words = words_of(facts)
    scale = 100.0 if facts.metric_is_fraction else 1.0
    return {
        "name": f"{facts.workload_name} on {facts.target_name}",
        "target": facts.target_name,
        "folder": None if run is None else str(run),
        "number": [point.number for point in points],
        "digest": [point.digest[:POINT_DIGITS] for point in points],
        "title": [_title(point, selection) for point in points],
        "confirmed": [int(point.confirmed) for point in points],
        "cost": [_rounded(point.cost / words.axis_unit) for point in points],
        "drop": [_rounded(scale * promised_drop(point)) for point in points],
        "size": [None if point.model_bytes is None else point.model_bytes / BYTES_PER_MB for point in points],
        "lines": [point_lines(point, facts) for point in points],
        "front": [positions[point.key] for point in selection.front],
        **encode_policies([point.layers for point in points]),
    }


def encode_policies(policies: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Write policies column by column; see `run_columns`. A layer that a policy does not name is in FP32."""
    layers = list(dict.fromkeys(name for policy in policies for name in policy))
    numbers: dict[tuple[str, str, str], int] = {}
    rows = [
        [numbers.setdefault(_setting(policy.get(name, {})), len(numbers)) for policy in policies] for name in layers
    ]
    width = 1
    while len(ALPHABET) ** width < len(numbers):
        width += 1
    digits = [_digits(number, width) for number in range(len(numbers))]
    return {
        "layers": layers,
        "settings": [list(setting) for setting in numbers],
        "codes": ["".join([digits[number] for number in row]) for row in rows],
        "width": width,
    }


def _digits(number: int, width: int) -> str:
    text = ""
    for _ in range(width):
        number, digit = divmod(number, len(ALPHABET))
        text = ALPHABET[digit] + text
    return text


def _setting(layer: Mapping[str, Any]) -> tuple[str, str, str]:
    """A layer's number format, sparsity and rank as a reader sees them; '' for what it does not have."""
    bits = layer.get("bits")
    named = layer.get("format") or ("FP32" if bits in (None, 32) else f"{bits}-bit")
    sparsity, rank = layer.get("sparsity") or 0.0, layer.get("rank")
    return str(named), f"{100 * sparsity:.3g}%" if sparsity else "", "" if rank is None else f"{rank:g}"


def _title(point: TrialPoint, selection: Selection) -> str:
    marks = [point.label] if point.label else []
    marks += ["knee"] if point is selection.knee else []
    return f"{point.name} ({', '.join(marks)})" if marks else point.name


def point_lines(point: TrialPoint, facts: ReportFacts) -> list[str]:
    """Write what there is to say of a point: gain and cost, metric, drop, size and grade, policy, and what was seen."""
    words = words_of(facts)
    gains = interval_text(speedup_text(1 / point.cost_ratio_high), speedup_text(1 / point.cost_ratio_low))
    unit = drop_unit(is_fraction=facts.metric_is_fraction)
    drops = [
        drop_text(value, is_fraction=facts.metric_is_fraction)
        for value in (point.metric_drop, point.metric_drop_low, point.metric_drop_high)
    ]
    lines = [
        f"{words.gained_text(point.gain)} {gains}, {words.of(point)}",
        f"{shortened(facts.metric_name, 40)} {metric_text(facts.metric_of(point))}",
        f"drop {drops[0]} {interval_text(drops[1], drops[2])} {unit}".rstrip(),
        f"{size_text(point.model_bytes)}, {point.grade}",
        point.policy_summary,
        recovery_text(point),
    ]
    if point.confirmed and point.label != FP32_LABEL:
        gain, drop = as_searched(point)
        seen = drop_text(drop, is_fraction=facts.metric_is_fraction)
        lines.append(f"the search had seen {speedup_text(gain)}, drop {seen} {unit}".rstrip())
    if not facts.target_is_host:
        lines.append(said_of_target(point))
    return [line for line in lines if line]


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
