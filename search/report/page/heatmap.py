"""The layers of the front at a glance: one row per layer, one column per front point."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

from search.account.selection import Selection
from search.notation import shortened, speedup_text
from search.point import TrialPoint

FP32_BITS = 32
_NAME_SHOWN = 36
# What a number format's bits leave open, by its name.
_HOW = {"int8-dynamic": "dynamic", "int8-weights": "weights only", "int4-weights": "weights only"}


def heat_map(selection: Selection) -> str:
    """Write the heat map as the inside of an HTML table: colour for bits, text for rank and sparsity.

    A table rather than a picture: screen readers, the keyboard and printers know what to do with it.

    Args:
        selection: the roles of the points; its front is shown from slow to fast, without FP32.

    Returns:
        HTML with caption, head and body; '' where no front point says anything about its layers. A layer that a
        point does not name counts as FP32.
    """
    points = [point for point in selection.front if point is not selection.fp32 and point.layers]
    if not points:
        return ""
    names = list(dict.fromkeys(name for point in points for name in point.layers))
    head = "".join(
        f'<th scope="col">{point.name}<br><small>{speedup_text(point.gain)}</small></th>' for point in points
    )
    rows = "\n".join(_row(name, points) for name in names)
    return (
        f"<caption>{_legend(points)}</caption>\n"
        f'<thead><tr><th scope="col">Layer</th>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody>'
    )


def _row(name: str, points: list[TrialPoint]) -> str:
    cells = "".join(_cell(point.layers.get(name, {})) for point in points)
    shown, full = html.escape(shortened(name, _NAME_SHOWN)), html.escape(name)
    return f'<tr><th scope="row" title="{full}">{shown}</th>{cells}</tr>'


def _cell(layer: Mapping[str, Any]) -> str:
    bits, rank, sparsity = _bits(layer), layer.get("rank"), float(layer.get("sparsity") or 0.0)
    how = _HOW.get(str(layer.get("format", "")), "")
    shown = [how[:1]] if how else []
    shown += ([f"r{rank:g}"] if rank is not None else []) + ([f"s{100 * sparsity:.3g}%"] if sparsity else [])
    said = [f"{_bits_name(bits)} {how}".strip()]
    said += [f"rank {rank:g}"] if rank is not None else []
    said += [f"{100 * sparsity:.3g}% sparse"] if sparsity else []
    return f'<td class="bits-{bits}" title="{", ".join(said)}">{_spoken(bits)}{" ".join(shown)}</td>'


def _spoken(bits: int) -> str:
    return f'<span class="spoken">{_bits_name(bits)} </span>'


def _bits(layer: Mapping[str, Any]) -> int:
    bits = layer.get("bits")
    return FP32_BITS if bits is None else int(bits)


def _bits_name(bits: int) -> str:
    return "FP32" if bits == FP32_BITS else f"{bits}-bit"


def _legend(points: list[TrialPoint]) -> str:
    layers = [layer for point in points for layer in point.layers.values()]
    bits = sorted({_bits(layer) for layer in layers} | {FP32_BITS}, reverse=True)
    parts = [f'<span class="key bits-{value}"></span>{_bits_name(value)}' for value in bits]
    hows = {_HOW[name] for layer in layers if (name := str(layer.get("format", ""))) in _HOW}
    if "dynamic" in hows:
        parts.append("<b>d</b> dynamic: ranges of activations taken at every inference")
    if "weights only" in hows:
        parts.append("<b>w</b> weights only: activations stay in float")
    if any(layer.get("rank") is not None for layer in layers):
        parts.append("<b>r0.5</b> low rank: half of the rank at which two factors cost as much as the layer")
    if any(layer.get("sparsity") for layer in layers):
        parts.append("<b>s50%</b> sparsity: half of the layer's output channels (or weights) are removed")
    return " ".join(f"<span>{part}</span>" for part in parts)
