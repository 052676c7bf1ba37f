"""Curves of hypervolume as a picture: one line per sampler, labelled where it ends, with its spread over the seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from benchmarks.samplers.race import alone

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Line = NDArray[np.float64]

# Okabe and Ito's colours, which people with any colour vision tell apart.
_COLOURS: Mapping[str, str] = {
    "frontier": "#D55E00",
    "tpe": "#0072B2",
    "gp": "#CC79A7",
    "nsga2": "#009E73",
    "random": "#595959",
}
_SHOWN: Mapping[str, str] = {"tpe": "TPE", "gp": "GP", "nsga2": "NSGA-II"}
_LESS_KNOWN = (":", "--")
"""Lines of our sampler where it begins with less."""

_LABEL_POINTS = 12.0
"""Labels stand so far apart at least."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Bundle:
    """One sampler's curves.

    Attributes:
        name: The sampler's.
        x: Trials or seconds.
        curves: A hypervolume for each x, one row per seed, as shares of what 1 stands for.
    """

    name: str
    x: Line
    curves: Line


def draw(
    bundles: Sequence[Bundle], path: Path, *, title: str, x_label: str, y_label: str, marks: Sequence[float]
) -> None:
    """Write the picture.

    Args:
        bundles: The samplers' curves.
        path: Where it goes.
        title: What was searched.
        x_label: What x is.
        y_label: What 1 stands for.
        marks: Numbers on the x axis, which is logarithmic.
    """
    from matplotlib.figure import Figure as Picture
    from matplotlib.ticker import FixedLocator, NullLocator

    picture = Picture(figsize=(8.4, 4.8), dpi=150, layout="constrained")
    axes = picture.subplots()
    less_known = iter(_LESS_KNOWN)
    for bundle in bundles:
        colour = _COLOURS[bundle.name.partition(",")[0]]
        is_ours = bundle.name == "frontier"
        is_less_known = "," in bundle.name and not alone(bundle.name)
        style = next(less_known, ":") if is_less_known else "-"
        axes.plot(
            bundle.x,
            np.median(bundle.curves, axis=0),
            color=colour,
            linewidth=2.4 if is_ours else 1.5,
            linestyle=style,
            zorder=3 if is_ours else 2,
        )
        if len(bundle.curves) > 1 and style == "-":
            low, high = bundle.curves.min(axis=0), bundle.curves.max(axis=0)
            axes.fill_between(bundle.x, low, high, color=colour, alpha=0.13, linewidth=0, zorder=1)
    last = max(bundle.x[-1] for bundle in bundles)
    for bundle in bundles:
        if bundle.x[-1] < last:  # it ended before the others: a thin line leads to its name
            end, colour = float(np.median(bundle.curves[:, -1])), _COLOURS[bundle.name.partition(",")[0]]
            axes.plot([bundle.x[-1]], [end], "o", color=colour, markersize=4, zorder=4)
            axes.plot([bundle.x[-1], last], [end, end], color=colour, linewidth=0.8, linestyle=(0, (1, 3)), zorder=2)
    axes.axhline(1.0, color="#888888", linewidth=0.8, zorder=0)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(marks)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlabel=x_label, ylabel=y_label, xlim=(min(bundle.x[0] for bundle in bundles), last))
    axes.set_ylim(*limits(bundles))
    axes.set_title(title, loc="left", fontsize="medium")
    axes.grid(axis="x", color="#dddddd", linewidth=0.7)
    axes.spines[["top", "right"]].set_visible(False)
    picture.canvas.draw()  # the layout says how far apart labels have to be
    label_ends(axes, bundles)
    picture.savefig(path)


def limits(bundles: Sequence[Bundle]) -> tuple[float, float]:
    """Where y begins and ends: from somewhat below what all have after a twentieth of their trials."""
    early = min(float(np.median(bundle.curves[:, len(bundle.x) // 20])) for bundle in bundles)
    most = max(1.0, *(float(bundle.curves.max()) for bundle in bundles))
    low = max(0.0, most - 1.6 * (most - early))
    return low, most + 0.04 * (most - low)


def label_ends(axes: "Axes", bundles: Sequence[Bundle]) -> None:
    """Name each line where it ends, in its colour; names that would touch move apart."""
    height = axes.get_window_extent().height * 72.0 / axes.figure.dpi
    low, high = axes.get_ylim()
    apart = _LABEL_POINTS * (high - low) / height
    ends = [float(np.median(bundle.curves[:, -1])) for bundle in bundles]
    for position, y in zip(np.argsort(ends), spread(sorted(ends), apart, high), strict=True):
        bundle = bundles[position]
        name, _, rest = bundle.name.partition(",")
        axes.annotate(
            _SHOWN.get(name, name) + (f",{rest}" if rest else ""),
            xy=(1.0, y),
            xycoords=("axes fraction", "data"),
            xytext=(5, 0),
            textcoords="offset points",
            color=_COLOURS[name],
            fontweight="bold" if bundle.name == "frontier" else "normal",
            fontsize="small",
            va="center",
            annotation_clip=False,
        )


def spread(ends: Sequence[float], apart: float, most: float) -> list[float]:
    """Places near `ends`, which ascend, that lie `apart` at least and none above `most`."""
    places = list(ends)
    for position in range(1, len(places)):
        places[position] = max(places[position], places[position - 1] + apart)
    limit = most
    for position in range(len(places) - 1, -1, -1):
        places[position] = min(places[position], limit)
        limit = places[position] - apart
    return places
