"""The points of the picture: what was searched, the front with its intervals, and what has a name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from search.account.selection import Selection, as_searched
from search.point import TrialPoint
from search.report.figure.style import EIGHT_BIT, FAINT, FP32, FRONT, INK, KNEE, RECOVERED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray


def draw_points(axes: Axes, selection: Selection, fp32_metric: float) -> None:
    """Draw all points of a run at FP32's metric minus their own paired drop."""
    _draw_searched(axes, selection, fp32_metric)
    _draw_front(axes, selection, fp32_metric)
    _draw_marked(axes, selection, fp32_metric)


def _draw_searched(axes: Axes, selection: Selection, fp32_metric: float) -> None:
    where = [as_searched(point) for point in selection.searched]
    axes.plot(
        [gain for gain, _ in where], [fp32_metric - drop for _, drop in where],
        "o", color=FAINT, alpha=0.4, markersize=4, markeredgewidth=0, zorder=2, label="searched",
    )  # fmt: skip


def _draw_front(axes: Axes, selection: Selection, fp32_metric: float) -> None:
    confirmed = selection.confirmed
    line = [(point.gain, fp32_metric - point.metric_drop) for point in selection.front]
    if selection.fp32 is None:
        line = [(1.0, fp32_metric), *line]
    axes.step([x for x, _ in line], [y for _, y in line], where="pre", color=FRONT, linewidth=1.2, alpha=0.55,
              linestyle="-" if confirmed else "--", zorder=3)  # fmt: skip
    _draw_before(axes, selection, fp32_metric)
    shown, recovered = _apart(point for point in selection.front if point is not selection.fp32)
    name = "confirmed front" if confirmed else "front so far, not yet confirmed"
    _draw_with_intervals(axes, shown, fp32_metric, label=f"{name}, 95% intervals", filled=confirmed)
    behind, recovered_behind = _apart(selection.dominated)
    if behind:
        label = "confirmed, no longer on the front"
        _draw_with_intervals(axes, behind, fp32_metric, label=label, filled=False, faint=True)
    if recovered:
        _draw_with_intervals(axes, recovered, fp32_metric, label="recovered", filled=confirmed, recovered=True)
    if recovered_behind:
        label = "recovered, not on the front"
        _draw_with_intervals(axes, recovered_behind, fp32_metric, label=label, filled=False, faint=True, recovered=True)


def _apart(points: Iterable[TrialPoint]) -> tuple[list[TrialPoint], list[TrialPoint]]:
    """Points as the search had them, and those whose weights were recovered."""
    every = list(points)
    return [point for point in every if not point.recovered_from], [point for point in every if point.recovered_from]


def _draw_before(axes: Axes, selection: Selection, fp32_metric: float) -> None:
    """Draw what the front was before recovery."""
    if selection.before:
        line = [(point.gain, fp32_metric - point.metric_drop) for point in selection.before]
        axes.step([x for x, _ in line], [y for _, y in line], where="pre", color=FRONT, linewidth=1.0, alpha=0.6,
                  linestyle=":", zorder=3, label="front before recovery")  # fmt: skip


def _draw_with_intervals(
    axes: Axes,
    points: Sequence[TrialPoint],
    fp32_metric: float,
    *,
    label: str,
    filled: bool,
    faint: bool = False,
    recovered: bool = False,
) -> None:
    color, shape = (RECOVERED, "^") if recovered else (FRONT, "o")
    gains = np.array([point.gain for point in points])
    drops = np.array([point.metric_drop for point in points])
    across = [(p.gain - 1 / p.cost_ratio_high, 1 / p.cost_ratio_low - p.gain) for p in points]
    along = [(p.metric_drop_high - p.metric_drop, p.metric_drop - p.metric_drop_low) for p in points]
    axes.errorbar(
        gains, fp32_metric - drops, xerr=_bars(across), yerr=_bars(along), fmt=shape, color=color,
        markersize=5 if faint else 7, markerfacecolor=color if filled else "white", markeredgecolor=color,
        markeredgewidth=1.2, elinewidth=1.1, capsize=2.5, alpha=0.5 if faint else 1.0, zorder=4 if faint else 5,
        label=label,
    )  # fmt: skip


def _bars(pairs: list[tuple[float, float]]) -> NDArray[np.float64]:
    """Lay out lengths below and above as matplotlib wants them; an interval beside its value has length 0 there."""
    return np.maximum(np.array(pairs, dtype=np.float64).reshape(-1, 2).T, 0.0)


def _draw_marked(axes: Axes, selection: Selection, fp32_metric: float) -> None:
    """Mark FP32, all 8-bit and the knee."""
    baseline = _fp32_position(selection, fp32_metric)
    axes.axhline(baseline[1], color=INK, linewidth=0.8, linestyle=(0, (2, 3)), alpha=0.5, zorder=1)
    axes.plot(*_one(baseline), "D", color=FP32, markersize=8, zorder=7, label="FP32")
    if selection.all_8_bit is not None:
        position = (selection.all_8_bit.gain, fp32_metric - selection.all_8_bit.metric_drop)
        axes.plot(*_one(position), "s", color=EIGHT_BIT, markersize=7.5, zorder=6, label="all 8-bit")
    if selection.knee is not None:
        position = (selection.knee.gain, fp32_metric - selection.knee.metric_drop)
        axes.plot(*_one(position), "o", markersize=14, markerfacecolor="none", markeredgecolor=KNEE,
                  markeredgewidth=2, zorder=6, label="knee: the best compromise")  # fmt: skip


def _one(position: tuple[float, float]) -> tuple[list[float], list[float]]:
    return [position[0]], [position[1]]


def _fp32_position(selection: Selection, fp32_metric: float) -> tuple[float, float]:
    point = selection.fp32
    return (1.0, fp32_metric) if point is None else (point.gain, fp32_metric - point.metric_drop)
