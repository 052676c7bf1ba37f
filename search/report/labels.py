"""Where to put direct labels so that they cover neither points nor each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Box = tuple[float, float, float, float]  # left, bottom, right, top

# Tried in this order: beside the point first, then farther away. Units: the gap.
_DIRECTIONS = ((1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1), (1, 0), (-1, 0))
_PARTS = (0.2, 0.4, 0.6, 0.8)
_DISTANCES = (1.0, 2.2, 3.6, 5.5, 8.0)


@dataclass(frozen=True, kw_only=True)
class Label:
    """A text to place.

    `x`, `y`: its point; `width`, `height`: the text's size, all in pixels, y upwards. An `essential` label is placed
    in any case, the others only where there is room near by.
    """

    x: float
    y: float
    width: float
    height: float
    essential: bool = True


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """Where labels may go, in pixels.

    `bounds`: the plot's box; `taken`: what labels must not cover; `crowd`: what they avoid where they can.
    """

    bounds: Box
    taken: Sequence[Box] = field(default_factory=tuple)
    crowd: Sequence[Box] = field(default_factory=tuple)


def place(labels: Sequence[Label], canvas: Canvas, *, gap: float) -> list[tuple[float, float] | None]:
    """Find a free place for each label, the first ones first.

    Args:
        labels: what to place, in order of importance.
        canvas: the room there is.
        gap: pixels between a point and its label.

    Returns:
        The center of each label in pixels, None for one that is not essential and finds no room. An essential label
        that finds no room takes the place with the least overlap.
    """
    taken = list(canvas.taken)
    bounds, crowd = _rows([canvas.bounds]), _rows(canvas.crowd)
    centers: list[tuple[float, float] | None] = []
    for label in labels:
        distances = _DISTANCES if label.essential else _DISTANCES[:2]
        places = [_center(label, way, gap * far) for far in distances for way in _DIRECTIONS]
        boxes = _rows([_box(label, center) for center in places])
        outside = label.width * label.height - _costs(boxes, bounds)
        hard = _costs(boxes, _rows(taken)) + 10 * np.where(outside > 1e-6, outside, 0.0)
        near = np.repeat(distances, len(_DIRECTIONS)) * label.height
        best = int(np.argmin(100 * hard + 0.3 * _costs(boxes, crowd) + near))
        if hard[best] > 0 and not label.essential:
            centers.append(None)
            continue
        centers.append(places[best])
        taken += [_box(label, places[best]), *_leader(label, places[best])]
    return centers


def _center(label: Label, way: tuple[int, int], gap: float) -> tuple[float, float]:
    return (
        label.x + way[0] * (gap + label.width / 2),
        label.y + way[1] * (gap + label.height / 2),
    )


def _leader(label: Label, center: tuple[float, float]) -> list[Box]:
    """Give small boxes along the line from a point to its label: other labels must not cover it."""
    steps = [(label.x + part * (center[0] - label.x), label.y + part * (center[1] - label.y)) for part in _PARTS]
    return [(x - 3, y - 3, x + 3, y + 3) for x, y in steps]


def _box(label: Label, center: tuple[float, float]) -> Box:
    half_width, half_height = label.width / 2, label.height / 2
    return (center[0] - half_width, center[1] - half_height, center[0] + half_width, center[1] + half_height)


def _costs(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum the square pixels of each box that lie on any of the others.

    Args:
        boxes: (n, 4).
        others: (m, 4).

    Returns:
        (n,) areas.
    """
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    areas: NDArray[np.float64] = np.prod(np.maximum(high - low, 0.0), axis=2).sum(axis=1)
    return areas


def _rows(boxes: Sequence[Box]) -> NDArray[np.float64]:
    return np.array(boxes, dtype=np.float64).reshape(-1, 4)
