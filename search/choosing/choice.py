"""Choosing one point of a run by budgets, or saying what stands in the way."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from search import pareto
from search.choosing.budgets import Budget, promised_drop
from search.point import TrialPoint

MOST_ACCURATE = "the most accurate"
FASTEST = "the fastest"
CHEAPEST = "the one with the fewest instructions"
KNEE = "the knee, the best compromise"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The point to ship.

    Attributes:
        point: It.
        rule: What makes it the best of those that keep all budgets, in words.
        keeping: How many points keep all budgets.
        uncertain: Budgets that the point keeps, but not with all of its 95% interval.
    """

    point: TrialPoint
    rule: str
    keeping: int
    uncertain: tuple[Budget, ...]


@dataclass(frozen=True, kw_only=True)
class Miss:
    """A budget and the point that misses it least; `excess`, above 0, is by how much, in the budget's unit."""

    budget: Budget
    point: TrialPoint
    excess: float


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """No point keeps all budgets.

    Attributes:
        impossible: Budgets that no point keeps at all, with the point that misses each least.
        conflicts: Where every budget is kept by some point, but not all by one: budgets that would have to give way
            alone, each with the point that keeps all others and misses it least.
        nearest: The point that breaks the fewest budgets, with all its misses: of equals, the one whose largest miss
            is smallest beside what the points differ by.
    """

    impossible: tuple[Miss, ...]
    conflicts: tuple[Miss, ...]
    nearest: tuple[Miss, ...]


def choose(points: Sequence[TrialPoint], budgets: Sequence[Budget], *, knee: bool = False) -> Choice | Refusal:
    """Choose among points by budgets.

    A limit on the drop says what may be lost: the fastest within it wins. Without one, limits say how fast or small it
    must be: the most accurate wins. `knee` asks for the best compromise among those that keep the limits instead. Of
    equals the faster, more accurate, smaller one wins, in this order.

    Args:
        points: All points of the run; only confirmed, rankable ones are looked at.
        budgets: What must be kept, at least one unless `knee`.
        knee: Choose the knee of those that keep the budgets.

    Raises:
        ValueError: Nothing was asked, or there are no confirmed points.
    """
    if not budgets and not knee:
        raise ValueError("a choice needs at least one budget, or knee=True; got neither")
    eligible = [point for point in points if point.confirmed and point.rankable]
    if not eligible:
        raise ValueError("a choice needs at least one confirmed point, got none; confirm the front first")
    keeping = [point for point in eligible if all(budget.is_kept_by(point) for budget in budgets)]
    if not keeping:
        return _refuse(eligible, budgets)
    best, rule = _best(keeping, budgets, knee=knee)
    uncertain = tuple(budget for budget in budgets if not budget.is_certain_for(best))
    return Choice(point=best, rule=rule, keeping=len(keeping), uncertain=uncertain)


def _best(keeping: Sequence[TrialPoint], budgets: Sequence[Budget], *, knee: bool) -> tuple[TrialPoint, str]:
    if knee:
        return keeping[pareto.knee([(point.cost_ratio, -promised_drop(point)) for point in keeping])], KNEE
    if any(budget.name == "max_drop" for budget in budgets):
        rule = CHEAPEST if keeping[0].is_emulated else FASTEST
        return min(keeping, key=lambda point: (point.cost_ratio, promised_drop(point), _bytes(point))), rule
    return min(keeping, key=lambda point: (promised_drop(point), point.cost_ratio, _bytes(point))), MOST_ACCURATE


def _bytes(point: TrialPoint) -> float:
    return math.inf if point.model_bytes is None else point.model_bytes


def _refuse(points: Sequence[TrialPoint], budgets: Sequence[Budget]) -> Refusal:
    impossible = tuple(_least(budget, points) for budget in budgets if not any(map(budget.is_kept_by, points)))
    conflicts = () if impossible else tuple(_conflicts(points, budgets))
    return Refusal(impossible=impossible, conflicts=conflicts, nearest=_nearest(points, budgets))


def _least(budget: Budget, points: Sequence[TrialPoint]) -> Miss:
    point = min(points, key=budget.excess)
    return Miss(budget=budget, point=point, excess=budget.excess(point))


def _conflicts(points: Sequence[TrialPoint], budgets: Sequence[Budget]) -> list[Miss]:
    misses = []
    for budget in budgets:
        others = [other for other in budgets if other is not budget]
        keeping = [point for point in points if all(other.is_kept_by(point) for other in others)]
        misses += [_least(budget, keeping)] if keeping else []
    return misses


def _nearest(points: Sequence[TrialPoint], budgets: Sequence[Budget]) -> tuple[Miss, ...]:
    spans = {}
    for budget in budgets:
        values = [value for value in map(budget.quantity.value, points) if math.isfinite(value)]
        spans[budget.name] = (max(values) - min(values) if values else 0.0) or 1.0

    def badness(point: TrialPoint) -> tuple[int, float]:
        missed = [budget.excess(point) / spans[budget.name] for budget in budgets if not budget.is_kept_by(point)]
        return len(missed), max(missed)

    point = min(points, key=badness)
    return tuple(
        Miss(budget=budget, point=point, excess=budget.excess(point))
        for budget in budgets
        if not budget.is_kept_by(point)
    )
