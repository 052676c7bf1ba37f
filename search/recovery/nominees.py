"""Which candidates are worth training, and in what order.

Training wins back what is lost, so a candidate is worth as much of it as it is cheap and has something to win. Nobody
knows beforehand how much comes back; the order only assumes that each gets back the same share of its drop, and takes
next what would then add most to the front. So first comes what is strongly compressed and not quite broken, then what
lies between, and neighbours of what was taken come last.
"""

import math
from collections.abc import Sequence

from search import pareto
from search.point import FP32_LABEL, TrialPoint

WON_BACK = 0.8
"""Share of its drop that a candidate is assumed to win back, for the order only."""
NEAR = 1.1
"""A point may cost so many times what a front point that is at least as accurate costs: measured again, or trained,
they may change places."""

_BEYOND_THE_WORST = 1.1


def nominate(points: Sequence[TrialPoint]) -> list[TrialPoint]:
    """The points to recover, those first that promise most.

    All of the front but FP32, and in the cheaper half of its range what lies close behind it, as far as that would add
    anything to the front.

    Args:
        points: Of the study, with the figures that the search saw; recovered ones are not looked at.
    """
    complete = [point for point in points if point.rankable and not point.recovered_from]
    pairs = [(point.cost_ratio, -point.metric_drop) for point in complete]
    front = [complete[position] for position in pareto.front(pairs)]
    trainable = [point for point in complete if point.label != FP32_LABEL and point.metric_drop_high > 0]
    on_front = [point for point in trainable if any(point is member for member in front)]
    taken = {point.key for point in on_front}
    near = [point for point in trainable if point.key not in taken and _is_near(point, front)]
    ordered = _by_promise(front, [*on_front, *near])
    taken = {point.key for point in ordered}
    return [*ordered, *(point for point in on_front if point.key not in taken)]


def _is_near(point: TrialPoint, front: Sequence[TrialPoint]) -> bool:
    cheapest, dearest = front[0].cost_ratio, front[-1].cost_ratio
    rivals = [member.cost_ratio for member in front if member.metric_drop <= point.metric_drop]
    return point.cost_ratio <= math.sqrt(cheapest * dearest) and point.cost_ratio <= NEAR * min(rivals, default=0.0)


def _by_promise(front: Sequence[TrialPoint], wanted: Sequence[TrialPoint]) -> list[TrialPoint]:
    """Greedily by what each would add; those that would add nothing are left out.

    What is added is the hypervolume over the logarithm of cost and the drop: twice as fast is worth the same anywhere.
    """
    if not wanted:
        return []
    hoped = {point.key: _hoped(point) for point in wanted}
    held = [(math.log(member.cost_ratio), -member.metric_drop) for member in front]
    dearest = max(cost for cost, _ in [*held, *hoped.values()])
    worst = min(gain for _, gain in hoped.values())
    reference = (dearest, _BEYOND_THE_WORST * worst)
    left, ordered = list(wanted), []
    volume = pareto.hypervolume(held, reference)
    while left:
        volumes = [pareto.hypervolume([*held, hoped[point.key]], reference) for point in left]
        best = max(range(len(left)), key=lambda position: (volumes[position], -left[position].number))
        if volumes[best] <= volume * (1 + 1e-12):
            break
        volume = volumes[best]
        point = left.pop(best)
        ordered.append(point)
        held.append(hoped[point.key])
    return ordered


def _hoped(point: TrialPoint) -> pareto.Pair:
    """Where a point would stand: at its cost, with what is left of its drop, if it has one."""
    left = (1.0 - WON_BACK) * point.metric_drop if point.metric_drop > 0 else point.metric_drop
    return math.log(point.cost_ratio), -left
