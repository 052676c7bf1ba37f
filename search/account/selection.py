"""Which points a report shows as what, and which part of the plane it looks at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from search import pareto
from search.notation import metric_text
from search.point import ALL_8_BIT_LABEL, FP32_LABEL, TrialPoint

# A front point that loses more than this many times what the one before it loses would squash all before it; what loses
# no more than this share of FP32's metric squashes nothing, and is what a reader looks for.
_LOSS_JUMP, _LOSS_SHARE = 8.0, 0.05

# Nor is a point of use that lost more than this share of FP32's metric, however gently the front comes there; it is
# shown where there are fewer points than this without it.
_RUIN_SHARE, _ENOUGH = 1 / 3, 3


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The roles of a run's points.

    `front` holds the non-dominated points from slow to fast: of the confirmed ones once there are any, of the searched
    ones before that. `dominated` holds confirmed points that the confirmation put behind others.
    Where candidates were recovered, `before` is the front of the others, slow to fast: what it was before; else it is
    empty. `searched` holds all rankable points but FP32. `excluded` counts complete points that are too unreliable to
    rank.
    """

    confirmed: bool
    front: tuple[TrialPoint, ...]
    dominated: tuple[TrialPoint, ...]
    before: tuple[TrialPoint, ...] = ()
    searched: tuple[TrialPoint, ...]
    fp32: TrialPoint | None
    all_8_bit: TrialPoint | None
    knee: TrialPoint | None
    excluded: int


@dataclass(frozen=True, kw_only=True)
class View:
    """The part of the plane (gain, metric drop in the metric's unit) that a plot shows at first."""

    gain_low: float
    gain_high: float
    drop_low: float
    drop_high: float

    def holds(self, gain: float, drop: float) -> bool:
        """Whether a position is inside."""
        return self.gain_low <= gain <= self.gain_high and self.drop_low <= drop <= self.drop_high


def select(points: Sequence[TrialPoint]) -> Selection:
    """Sort a run's points into their roles.

    Args:
        points: all points of the run; those that were confirmed carry their confirmed figures.

    Returns:
        The roles. The front is decided on (cost ratio, metric drop), so that the search part and the confirmation
        part of the data need not agree on FP32's metric.
    """
    rankable = [point for point in points if point.rankable]
    confirmed = any(point.confirmed for point in rankable)
    fp32 = _labelled(rankable, FP32_LABEL)
    eligible = [point for point in rankable if point.confirmed] if confirmed else rankable
    pairs = _pairs(eligible)
    front = tuple(eligible[position] for position in reversed(pareto.front(pairs)))
    trials = [point for point in eligible if point.is_trial]
    before = [trials[position] for position in reversed(pareto.front(_pairs(trials)))]
    on_front = {point.key for point in front}
    return Selection(
        confirmed=confirmed,
        front=front,
        dominated=tuple(p for p in eligible if confirmed and p is not fp32 and p.key not in on_front),
        before=tuple(before) if len(trials) < len(eligible) else (),
        searched=tuple(point for point in rankable if point is not fp32),
        fp32=fp32,
        all_8_bit=_labelled(rankable, ALL_8_BIT_LABEL),
        knee=eligible[pareto.knee(pairs)] if len(front) > 2 else None,
        excluded=sum(point.state == "complete" and not point.rankable for point in points),
    )


def _pairs(points: Sequence[TrialPoint]) -> list[pareto.Pair]:
    return [(point.cost_ratio, -point.metric_drop) for point in points]


def as_searched(point: TrialPoint) -> tuple[float, float]:
    """Give (gain, metric drop) as the search saw them, also for a confirmed point."""
    if point.search_cost_ratio is None or point.search_metric_drop is None:
        return point.gain, point.metric_drop
    return 1.0 / point.search_cost_ratio, point.search_metric_drop


def view_of(selection: Selection) -> View:
    """Choose what a plot shows at first, so that a few broken networks do not squash the front.

    Args:
        selection: the roles of the points.

    Returns:
        A view that holds FP32 and the front with its intervals, up to the first front point that loses 8 times more
        than the one before it and more than a twentieth of FP32's metric, or, after three points, a third of it; other
        points widen the view a little at most.
    """
    kept = comparable_front(selection.front)
    marked = [*kept, *(point for point in (selection.fp32,) if point)]
    drop_high = max([point.metric_drop for point in marked] + [0.0])
    bars_high = max([point.metric_drop_high for point in marked] + [0.0])
    drop_low = min([point.metric_drop_low for point in marked] + [0.0])
    span = max(bars_high - drop_low, 1e-6)
    near = [as_searched(p) for p in selection.searched if as_searched(p)[1] <= drop_high + 0.6 * span]
    gains = [1.0, *(1 / p.cost_ratio_high for p in marked), *(1 / p.cost_ratio_low for p in marked)]
    least, most = 0.8 * min(gains), 1.25 * max(gains)
    gains += [min(max(gain, least), most) for gain, _ in near]
    width = max(max(gains) - min(gains), 0.1)
    drop_high = max([bars_high, *(drop for _, drop in near)])
    drop_low = min([drop_low, *(drop for _, drop in near)])
    height = max(drop_high - drop_low, 1e-6)
    return View(
        gain_low=min(gains) - 0.04 * width,
        gain_high=max(gains) + 0.06 * width,
        drop_low=drop_low - 0.10 * height,
        drop_high=drop_high + 0.08 * height,
    )


def outside_note(selection: Selection, view: View, fp32_metric: float) -> str:
    """Say how many points lie outside the view, so that nothing is hidden silently; '' where none does."""
    outside = [place for place in map(as_searched, selection.searched) if not view.holds(*place)]
    front = [point for point in selection.front if not view.holds(point.gain, point.metric_drop)]
    parts = []
    if outside:
        worst = metric_text(fp32_metric - max(drop for _, drop in outside))
        parts.append(f"{len(outside)} searched {_points(outside)} outside the plot (metric down to {worst})")
    if front:
        names = ", ".join(point.name for point in front[:6])
        parts.append(f"{len(front)} front {_points(front)} outside it ({names})")
    if selection.excluded:
        parts.append(f"{selection.excluded} left out: latency unreliable")
    return "Not shown: " + "; ".join(parts) + "." if parts else ""


def _points(some: Sequence[object]) -> str:
    return "point" if len(some) == 1 else "points"


def comparable_front(front: Sequence[TrialPoint]) -> list[TrialPoint]:
    """Keep the front's points, which lose more and more, up to the first that loses out of all proportion.

    What is left out is of no use to anybody; beside it nobody could tell apart what is.
    """
    kept: list[TrialPoint] = []
    before = 0.0
    for point in front:
        whole = abs(point.metric + point.metric_drop)
        if before > 0 and point.metric_drop > max(_LOSS_JUMP * before, _LOSS_SHARE * whole):
            break
        if len(kept) >= _ENOUGH and point.metric_drop > _RUIN_SHARE * whole:
            break
        kept.append(point)
        if point.metric_drop > 0:
            before = max(point.metric_drop, point.metric_drop_high)
    return kept


def _labelled(points: Sequence[TrialPoint], label: str) -> TrialPoint | None:
    """Find the point with a label, the confirmed one first."""
    found = sorted((point for point in points if point.label == label), key=lambda point: not point.confirmed)
    return found[0] if found else None
