"""Small charts as SVG in the page: drawn once, in the page's colours, with words for who cannot see them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from search.report.page.embedding import safe

_WIDTH, _HEIGHT = 420.0, 230.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 12.0, 10.0, 40.0
_MOST_VERTICES = 600
Place = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis: its title and its ends; `high` must be above `low`."""

    title: str
    low: float
    high: float

    def share(self, value: float) -> float:
        """Where a value lies between the ends, 0 to 1 inside."""
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Three to six round values inside."""
        step = 10.0 ** math.floor(math.log10((self.high - self.low) / 3))
        step = max(
            factor * step for factor in (1, 2, 5) if (self.high - self.low) / (factor * step) >= 2.5 or factor == 1
        )
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def step_chart(x: Axis, y: Axis, places: Sequence[Place], *, said: str) -> str:
    """Draw a quantity that holds its value until the next place.

    Args:
        x: the axis to the right.
        y: the axis upwards.
        places: by increasing x.
        said: what the chart shows, in words.
    """
    corners: list[Place] = []
    for place in _thinned(places):
        if corners:
            corners.append((place[0], corners[-1][1]))
        corners.append(place)
    path = " ".join(f"{_across(x, a):.1f},{_down(y, b):.1f}" for a, b in corners)
    return _chart(x, y, f'<polyline class="curve" points="{path}"/>', said=said)


def scatter_chart(x: Axis, y: Axis, places: Sequence[Place], *, diagonal: bool, said: str) -> str:
    """Draw one dot per place, and with `diagonal` the line where both are the same; both axes then share their ends."""
    line = ""
    if diagonal:
        low, high = max(x.low, y.low), min(x.high, y.high)
        line = (
            f'<line class="diagonal" x1="{_across(x, low):.1f}" y1="{_down(y, low):.1f}" '
            f'x2="{_across(x, high):.1f}" y2="{_down(y, high):.1f}"/>'
        )
    dots = "".join(f'<circle class="dot" cx="{_across(x, a):.1f}" cy="{_down(y, b):.1f}" r="3"/>' for a, b in places)
    return _chart(x, y, line + dots, said=said)


def _thinned(places: Sequence[Place]) -> list[Place]:
    """Leave out places between which nothing changed, and then all that a screen could not show apart."""
    kept = [
        place for index, place in enumerate(places) if index in (0, len(places) - 1) or place[1] != places[index - 1][1]
    ]
    every = max(1, math.ceil(len(kept) / _MOST_VERTICES))
    return [*kept[:-1:every], kept[-1]] if kept else []


def _across(axis: Axis, value: float) -> float:
    return _LEFT + axis.share(value) * (_WIDTH - _LEFT - _RIGHT)


def _down(axis: Axis, value: float) -> float:
    return _HEIGHT - _BOTTOM - axis.share(value) * (_HEIGHT - _TOP - _BOTTOM)


def _chart(x: Axis, y: Axis, inside: str, *, said: str) -> str:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    grid = "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{_down(y, tick):.1f}" y2="{_down(y, tick):.1f}"/>'
        f'<text class="tick" x="{_LEFT - 6}" y="{_down(y, tick) + 4:.1f}" text-anchor="end">{tick:.4g}</text>'
        for tick in y.ticks()
    )
    grid += "".join(
        f'<text class="tick" x="{_across(x, tick):.1f}" y="{bottom + 16}" text-anchor="middle">{tick:.4g}</text>'
        for tick in x.ticks()
    )
    middle = (_TOP + bottom) / 2
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-label="{safe(said)}">{grid}'
        f'<line class="axis" x1="{_LEFT}" x2="{right}" y1="{bottom}" y2="{bottom}"/>{inside}'
        f'<text class="title" x="{(_LEFT + right) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">{safe(x.title)}</text>'
        f'<text class="title" transform="translate(12 {middle}) rotate(-90)" text-anchor="middle">'
        f"{safe(y.title)}</text>"
        "</svg>"
    )
