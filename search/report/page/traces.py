"""The points of a run as traces for plotly.js.

Neither colours nor words are here: a trace names its role in `meta`, which the page paints from its style sheet, and in
`customdata` the run and position of each point, under which the page has its words (see `search.report.page.points`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from search.account.selection import Selection, as_searched
from search.point import TrialPoint
from search.report.page.points import shown_points

_BEHIND = ("dominated", "recovered-behind")
_TRIANGLE = "triangle-up"


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How the points of one run are drawn.

    Attributes:
        selection: The roles of its points.
        fp32_metric: FP32's metric on the part of the data that the front's metric was taken on.
        run: Its place among the runs of the page.
        across: A point's place on the horizontal axis, from its cost ratio.
    """

    selection: Selection
    fp32_metric: float
    run: int = 0
    across: Callable[[float], float] = lambda ratio: 1.0 / ratio

    def place(self, point: TrialPoint) -> tuple[float, float]:
        """Where a point stands, by its confirmed figures if it has some."""
        return self.across(point.cost_ratio), self.fp32_metric - point.metric_drop

    def front_trace(self, name: str, role: str, points: Sequence[TrialPoint], **marker: Any) -> dict[str, Any]:
        """Points with their 95% intervals."""
        ends = [sorted((self.across(p.cost_ratio_low), self.across(p.cost_ratio_high))) for p in points]
        places = [self.place(point) for point in points]
        return {
            "x": [x for x, _ in places], "y": [y for _, y in places],
            "error_x": _bars([(x - low, high - x) for (x, _), (low, high) in zip(places, ends, strict=True)]),
            "error_y": _bars([(p.metric_drop_high - p.metric_drop, p.metric_drop - p.metric_drop_low) for p in points]),
            "mode": "markers", "name": name, "marker": {"size": 8 if role in _BEHIND else 11, **marker},
            **self._known(points, role),
        }  # fmt: skip

    def before_trace(self) -> dict[str, Any]:
        """The steps between the points of what the front was before recovery."""
        places = [self.place(point) for point in self.selection.before]
        return {
            "x": [x for x, _ in places], "y": [y for _, y in places], "mode": "lines", "hoverinfo": "skip",
            "line": {"shape": "vh", "dash": "dot", "width": 1.5},
            "name": "front before recovery", "meta": {"role": "before"},
        }  # fmt: skip

    def line_trace(self, role: str, *, shape: str) -> dict[str, Any]:
        """The steps between the points of the front, which begin at FP32."""
        places = [self.place(point) for point in self.selection.front]
        if self.selection.fp32 is None:
            places = [(self.across(1.0), self.fp32_metric), *places]
        return {
            "x": [x for x, _ in places], "y": [y for _, y in places], "mode": "lines", "hoverinfo": "skip",
            "line": {"shape": shape, "dash": "solid" if self.selection.confirmed else "dash", "width": 1.5},
            "showlegend": False, "meta": {"role": role},
        }  # fmt: skip

    def searched_trace(self) -> dict[str, Any]:
        """Every point that can be ranked, as the search saw it."""
        where = [as_searched(point) for point in self.selection.searched]
        return {
            "x": [round(self.across(1.0 / gain), 5) for gain, _ in where],
            "y": [round(self.fp32_metric - drop, 7) for _, drop in where],
            "mode": "markers", "name": "searched", "marker": {"size": 6},
            **self._known(self.selection.searched, "searched"),
        }  # fmt: skip

    def move_trace(self) -> dict[str, Any]:
        """A line from each confirmed point to what the search had seen; hidden until its legend is clicked."""
        x: list[float | None] = []
        y: list[float | None] = []
        for point in (*self.selection.front, *self.selection.dominated):
            if point.confirmed:
                gain, drop = as_searched(point)
                x += [self.across(1.0 / gain), self.place(point)[0], None]
                y += [self.fp32_metric - drop, self.place(point)[1], None]
        return {
            "x": x, "y": y, "mode": "lines", "name": "from search value to confirmed value", "visible": "legendonly",
            "hoverinfo": "skip", "line": {"width": 1.2, "dash": "dot"}, "meta": {"role": "move"},
        }  # fmt: skip

    def mark_trace(self, point: TrialPoint | None, name: str, role: str, **marker: Any) -> dict[str, Any]:
        """One point that has a name of its own; None stands for an FP32 that was not drawn otherwise."""
        x, y = (self.across(1.0), self.fp32_metric) if point is None else self.place(point)
        known = {"meta": {"role": role}, "hoverinfo": "skip"} if point is None else self._known([point], role)
        return {"x": [x], "y": [y], "mode": "markers", "name": name, "marker": marker, **known}

    def _known(self, points: Sequence[TrialPoint], role: str) -> dict[str, Any]:
        positions = {point.key: position for position, point in enumerate(shown_points(self.selection))}
        return {
            "customdata": [[self.run, positions[point.key]] for point in points],
            "hovertemplate": "%{hovertext}<extra></extra>", "meta": {"role": role},
        }  # fmt: skip


def single_run_traces(drawing: Drawing) -> list[dict[str, Any]]:
    """Draw a run: all that was searched faintly, its front with intervals, FP32, all 8-bit and the knee."""
    selection = drawing.selection
    name = "confirmed front" if selection.confirmed else "front so far, not yet confirmed"
    shown = [point for point in selection.front if not point.recovered_from and point is not selection.fp32]
    recovered = [point for point in selection.front if point.recovered_from]
    behind = [point for point in selection.dominated if not point.recovered_from]
    recovered_behind = [point for point in selection.dominated if point.recovered_from]
    traces = [
        drawing.searched_trace(),
        *([drawing.move_trace()] if selection.confirmed else []),
        drawing.line_trace("line", shape="vh"),
        drawing.before_trace(),
        drawing.front_trace("confirmed, no longer on the front", "dominated", behind),
        drawing.front_trace("recovered, not on the front", "recovered-behind", recovered_behind, symbol=_TRIANGLE),
        drawing.front_trace(f"{name}, 95% intervals", "front" if selection.confirmed else "draft", shown),
        drawing.front_trace(
            "recovered", "recovered" if selection.confirmed else "recovered-draft", recovered, symbol=_TRIANGLE
        ),
        drawing.mark_trace(selection.fp32, "FP32", "fp32", symbol="diamond", size=14),
    ]
    if selection.all_8_bit is not None and selection.all_8_bit is not selection.fp32:
        traces.append(drawing.mark_trace(selection.all_8_bit, "all 8-bit", "eight", symbol="square", size=11))
    if selection.knee is not None:
        ring = drawing.mark_trace(
            selection.knee, "knee: the best compromise", "knee", symbol="circle-open", size=22, line={"width": 3}
        )
        traces.append({**ring, "hoverinfo": "skip", "hovertemplate": None})
    return [trace for trace in traces if trace["x"]]


def _bars(pairs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    return {
        "type": "data", "symmetric": False, "thickness": 1.4, "width": 4,
        "arrayminus": [max(below, 0.0) for below, _ in pairs], "array": [max(above, 0.0) for _, above in pairs],
    }  # fmt: skip
