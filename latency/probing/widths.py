"""Which channel multiple pays: whether a width between two multiples runs faster than the next multiple above it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwprofiles import ProbedLayer

MULTIPLES = (4, 8, 16, 32)
"""The channel multiples that a probe tells apart."""


def paying_multiple(rows: Sequence[ProbedLayer]) -> int | None:
    """The smallest multiple of channels beyond which finer widths save no time; None where that was not measured.

    A width that is an odd multiple of m is compared with the next multiple of 2m above it. It is worth having if it
    saves at least half of what its share of the channels promises, and wasted if it surely saves less than that. The
    multiple goes up from 4 as long as more widths are wasted than worth having. Widths in the fastest format decide,
    since that is where a search ends.
    """
    series = fastest_series(rows)
    if not series:
        return None
    multiple = MULTIPLES[0]
    for step in MULTIPLES[:-1]:
        votes = [vote for widths in series for vote in _votes(widths, step)]
        if not votes or sum(votes) >= 0:
            return multiple
        multiple = 2 * step
    return multiple


def fastest_series(rows: Iterable[ProbedLayer]) -> list[dict[int, ProbedLayer]]:
    """For each layer that was narrowed, its rows by width in the format that is fastest at full width."""
    by_layer: dict[object, dict[object, dict[int, ProbedLayer]]] = {}
    for row in rows:
        if row.width is not None and row.ratio is not None and row.grade != "unreliable":
            layer = row.operator, row.weight_shape, row.groups, row.macs
            by_layer.setdefault(layer, {}).setdefault((row.format, row.scheme), {})[row.width] = row
    return [min(formats.values(), key=_ratio_at_widest) for formats in by_layer.values()]


def _ratio_at_widest(widths: dict[int, ProbedLayer]) -> float:
    return widths[max(widths)].ratio or 1.0


def _votes(widths: dict[int, ProbedLayer], step: int) -> list[int]:
    """+1 for each odd multiple of ``step`` that is worth having, -1 for each that is wasted, 0 where it is open."""
    votes = []
    for width, row in widths.items():
        above = widths.get(-(-width // (2 * step)) * 2 * step)
        if width % step or not width % (2 * step) or above is None or above.width is None:
            continue
        promised = 1.0 - width / above.width
        surely, at_most = _saving(row.high, above.low), _saving(row.low, above.high)
        votes.append(1 if surely >= promised / 2 else -1 if at_most < promised / 2 else 0)
    return votes


def _saving(narrow: float | None, wide: float | None) -> float:
    return 1.0 - (narrow or 1.0) / (wide or 1.0)
