"""What is written into a plot beside its points, and what must stay visible there."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from search.account.selection import Selection, View, as_searched
from search.facts import ReportFacts
from search.notation import metric_text
from search.point import TrialPoint
from search.report.cost_words import words_of
from search.report.labels import Box, Canvas

ToPixel = Callable[[float, float], tuple[float, float]]  # (gain, metric drop) to pixels, y upwards

_LABELLED_FRONT = 14
_MARKER_PX, _CAP_PX, _SEARCHED_PX, _LINE_PX = 9.0, 7.0, 4.0, 1.0


@dataclass(frozen=True, kw_only=True)
class Caption:
    """A text beside a point; its role ('fp32', 'knee', 'eight', 'front') decides how it looks."""

    text: str
    role: str
    gain: float
    drop: float

    @property
    def essential(self) -> bool:
        """Whether it is written even where there is little room."""
        return self.role != "front"


def captions_of(selection: Selection, facts: ReportFacts) -> list[Caption]:
    """Name FP32, the knee and all 8-bit, and number the other points of the front.

    Args:
        selection: the roles of the points.
        facts: the circumstances of the run.

    Returns:
        The captions, important ones first.
    """
    fp32, all_8_bit, knee = selection.fp32, selection.all_8_bit, selection.knee
    gain, drop = (1.0, 0.0) if fp32 is None else (fp32.gain, fp32.metric_drop)
    words = words_of(facts)
    text = f"FP32 {words.text(facts.fp32_cost)}"
    captions = [Caption(text=text, role="fp32", gain=gain, drop=drop)]
    marked = [(knee, "knee", "knee"), (all_8_bit, "all 8-bit", "eight")]
    if knee is not None and knee is all_8_bit:
        marked = [(knee, "knee, all 8-bit", "knee")]
    named = [fp32]
    for point, name, role in marked:
        if point is not None and point is not fp32:
            captions.append(_caption(point, f"{name} {point.name} {words.of(point)}{_on_target(point)}", role))
            named.append(point)
    rest = [point for point in selection.front if not any(point is other for other in named)]
    return captions + [_caption(point, f"{point.name}{_on_target(point)}", "front") for point in rest]


def written(captions: list[Caption], view: View) -> list[Caption]:
    """Keep the captions that the view holds; the numbers of a front that is crowded would cover the plot."""
    held = [caption for caption in captions if view.holds(caption.gain, caption.drop)]
    crowded = sum(not caption.essential for caption in held) > _LABELLED_FRONT
    return [caption for caption in held if caption.essential] if crowded else held


def canvas_of(selection: Selection, to_pixel: ToPixel, bounds: Box) -> Canvas:
    """Say what captions must not cover: FP32, the front with its error bars, the step line; at best not the rest.

    Args:
        selection: the roles of the points.
        to_pixel: where a (gain, metric drop) stands.
        bounds: the plot's box in pixels.

    Returns:
        The canvas to place labels on.
    """
    solid = [*selection.front, *selection.dominated, *(p for p in (selection.all_8_bit,) if p)]
    taken = [_around(to_pixel(1.0, 0.0) if selection.fp32 is None else _where(selection.fp32, to_pixel), _MARKER_PX)]
    taken += [box for point in solid for box in _point_boxes(point, to_pixel)]
    for (left, top), (right, bottom) in itertools.pairwise(_where(point, to_pixel) for point in selection.front):
        taken.append((left - _LINE_PX, bottom, left + _LINE_PX, top))
        taken.append((left, bottom - _LINE_PX, right, bottom + _LINE_PX))
    crowd = [_around(to_pixel(*as_searched(point)), _SEARCHED_PX) for point in selection.searched]
    return Canvas(bounds=bounds, taken=taken, crowd=crowd)


def _caption(point: TrialPoint, text: str, role: str) -> Caption:
    return Caption(text=text, role=role, gain=point.gain, drop=point.metric_drop)


def _on_target(point: TrialPoint) -> str:
    """The target's own metric, where it differs from what the plot shows."""
    return f", on the target {metric_text(point.target_metric)}" if point.target_differs else ""


def _where(point: TrialPoint, to_pixel: ToPixel) -> tuple[float, float]:
    return to_pixel(point.gain, point.metric_drop)


def _around(center: tuple[float, float], half: float) -> Box:
    return center[0] - half, center[1] - half, center[0] + half, center[1] + half


def _point_boxes(point: TrialPoint, to_pixel: ToPixel) -> list[Box]:
    """Give the boxes of a point's marker and of its two error bars."""
    x, y = _where(point, to_pixel)
    left, bottom = to_pixel(1 / point.cost_ratio_high, point.metric_drop_high)
    right, top = to_pixel(1 / point.cost_ratio_low, point.metric_drop_low)
    return [
        _around((x, y), _MARKER_PX),
        (left, y - _CAP_PX, right, y + _CAP_PX),
        (x - _CAP_PX, bottom, x + _CAP_PX, top),
    ]
