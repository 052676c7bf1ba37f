"""The axes of the picture, with a second scale each: costs above, drops to the right."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from search.facts import ReportFacts
from search.notation import shortened
from search.report.cost_words import words_of
from search.report.figure.style import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

_ROUND = (10, 20, 50, 40, 30, 60, 80, 15, 25, 70, 12, 90, 35, 45, 14, 16)  # tenths of a power of ten, roundest first


def dress(axes: Axes, facts: ReportFacts, fp32_metric: float) -> None:
    """Give the axes their titles, their second scales and a quiet look."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    metric, words = shortened(facts.metric_name, 40), words_of(facts)
    axes.set_xlabel(words.gain_axis, fontsize=10.5, color=INK)
    axes.set_ylabel(f"{metric}, more is better", fontsize=10.5, color=INK, parse_math=False)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=10, steps=[1, 2, 2.5, 5, 10]))
    # One function both ways: cost = FP32's cost / gain.
    fp32_cost = facts.fp32_cost / words.axis_unit
    reciprocal = _Reciprocal(fp32_cost)
    top = axes.secondary_xaxis("top", functions=(reciprocal, reciprocal))
    top.set_xlabel(words.cost_axis, fontsize=9.5, color=INK, labelpad=6)
    low, high = axes.get_xlim()
    top.set_ticks(list(nice_costs(fp32_cost / high, fp32_cost / max(low, 1e-9))))
    top.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    scale = 100.0 if facts.metric_is_fraction else 1.0

    def drop_of(metric: ArrayLike) -> NDArray[np.float64]:
        return (fp32_metric - np.asarray(metric, dtype=np.float64)) * scale

    def metric_of(drop: ArrayLike) -> NDArray[np.float64]:
        return fp32_metric - np.asarray(drop, dtype=np.float64) / scale

    right = axes.secondary_yaxis("right", functions=(drop_of, metric_of))
    unit = "percentage points" if facts.metric_is_fraction else "same unit"
    right.set_ylabel(f"Drop from FP32 ({unit})", fontsize=9.5, color=INK, labelpad=8)
    for scales in (axes, top, right):
        scales.tick_params(labelsize=9, colors=INK, length=3)
    axes.grid(visible=True, color="#E6E6E6", linewidth=0.7)
    axes.set_axisbelow(True)
    for holder in (axes, top, right):
        for spine in holder.spines.values():
            spine.set_color("#C8C8C8")


class _Reciprocal:
    """Cost to gain and back, safe at 0."""

    def __init__(self, fp32_cost: float) -> None:
        self._fp32_cost = fp32_cost

    def __call__(self, values: ArrayLike) -> NDArray[np.float64]:
        return self._fp32_cost / np.maximum(np.asarray(values, dtype=np.float64), 1e-9)


def nice_costs(lowest: float, highest: float) -> tuple[float, ...]:
    """Choose round costs for an axis that is even in gain, none nearer to its neighbour than an eleventh.

    Args:
        lowest: the lowest cost shown, above 0.
        highest: the highest.

    Returns:
        Costs, rising.
    """
    powers = range(math.floor(math.log10(lowest)), math.ceil(math.log10(highest)) + 1)
    apart = (1 / lowest - 1 / highest) / 11
    chosen: list[float] = []
    for mantissa in _ROUND:
        for power in powers:
            value = float(f"{mantissa}e{power - 1}")
            near = any(abs(1 / value - 1 / other) < apart for other in chosen)
            if lowest <= value <= highest and not near:
                chosen.append(value)
    return tuple(sorted(chosen))
