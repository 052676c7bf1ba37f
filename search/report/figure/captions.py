"""The captions of the picture, beside their points and off each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from search.account.selection import Selection, View
from search.facts import ReportFacts
from search.report.captions import Caption, canvas_of, captions_of, written
from search.report.figure.style import DPI, EIGHT_BIT, FP32, FRONT, KNEE
from search.report.labels import Label, place

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CAPTION_COLORS = {"fp32": FP32, "knee": KNEE, "eight": EIGHT_BIT, "front": FRONT}


def write_captions(axes: Axes, selection: Selection, view: View, facts: ReportFacts) -> None:
    """Write the captions beside their points, off each other."""

    def to_pixel(gain: float, drop: float) -> tuple[float, float]:
        x, y = axes.transData.transform((gain, facts.fp32_metric - drop))
        return float(x), float(y)

    captions = written(captions_of(selection, facts), view)
    labels = []
    for caption in captions:
        x, y = to_pixel(caption.gain, caption.drop)
        size_px = _font_size(caption) * DPI / 72
        width = 0.6 * size_px * len(caption.text)
        labels.append(Label(x=x, y=y, width=width, height=1.3 * size_px, essential=caption.essential))
    box = axes.get_window_extent()
    canvas = canvas_of(selection, to_pixel, (box.x0 + 4, box.y0 + 4, box.x1 - 4, box.y1 - 4))
    for caption, label, center in zip(captions, labels, place(labels, canvas, gap=11.0), strict=True):
        if center is not None:
            _write_caption(axes, caption, label, center)


def _write_caption(axes: Axes, caption: Caption, label: Label, center: tuple[float, float]) -> None:
    from matplotlib.patheffects import withStroke

    color = _CAPTION_COLORS[caption.role]
    leader = {"arrowstyle": "-", "color": color, "linewidth": 0.7, "shrinkB": 4}
    anchor, where = axes.transData.inverted().transform([(label.x, label.y), center])
    axes.annotate(
        caption.text, (float(anchor[0]), float(anchor[1])), xytext=(float(where[0]), float(where[1])),
        fontsize=_font_size(caption), color=color, ha="center", va="center", zorder=8, parse_math=False,
        weight="bold" if caption.essential else "normal",
        path_effects=[withStroke(linewidth=2.5, foreground="white", alpha=0.85)],
        arrowprops=leader if abs(center[1] - label.y) > 40 else None,
    )  # fmt: skip


def _font_size(caption: Caption) -> float:
    return 9.5 if caption.essential else 8.0
