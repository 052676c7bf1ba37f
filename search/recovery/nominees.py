"""Which candidates are worth training, and in what order.

Training wins back what is lost, so a candidate is worth as much of it as it is cheap and has something to win. Nobody
knows beforehand how much comes back; the order only assumes that each point of the front gets back the same share of
its drop, and takes next what would then add most to the front. So first comes what is strongly compressed and not quite
broken, then what lies between, and neighbours of what was taken come last.

What training leaves of a drop depends on how much of the network is left more than on how large the drop was. So a
point behind the front may come to lie between what its neighbours on the front become, and where these leave a gap in
the cost it is worth a training too. Policies that were tried for the recovery alone (`search.recovery.ladder`) fill
such gaps wherever they lie.
"""

import math
from collections.abc import Sequence

from search import pareto
from search.point import FP32_LABEL, TrialPoint
from search.recovery.ladder import TO_RECOVER

WON_BACK = 0.8
"""Share of its drop that a point of the front is assumed to win back, for the order only."""
_BEYOND_THE_WORST = 2.0


def nominate(points: Sequence[TrialPoint]) -> list[TrialPoint]:
    """The points to recover, those first that promise most.

    All of the front that has something to win back; and of the second front in the cheaper half of the first one's
    range, and of what was tried for this, whatever would add something to all that was taken before it.

    Args:
        points: Of the study, with the figures that the search saw; recovered ones are not looked at.
    """
    rankable = [point for point in points if point.rankable and point.is_trial]
    ranks = pareto.ranks([(point.cost_ratio, -point.metric_drop) for point in rankable])
    front, second = ([point for point, found in zip(rankable, ranks, strict=True) if found == rank] for rank in (0, 1))
    if not front:
        return []
    costs = [point.cost_ratio for point in front]
    middle = math.sqrt(min(costs) * max(costs))
    wanted = [point for point in front if _can_win(point)]
    behind = [point for point in second if _can_win(point) and point.cost_ratio <= middle]
    known = {point.key for point in (*front, *behind)}
    behind += [point for point in rankable if point.label == TO_RECOVER and _can_win(point) and point.key not in known]
    ordered = _by_promise(front, wanted, behind)
    taken = {point.key for point in ordered}
    return [*ordered, *(point for point in wanted if point.key not in taken)]


def _can_win(point: TrialPoint) -> bool:
    """Whether there is anything to train, and anything to win back."""
    return point.label != FP32_LABEL and point.metric_drop_high > 0


def _by_promise(
    front: Sequence[TrialPoint], wanted: Sequence[TrialPoint], behind: Sequence[TrialPoint]
) -> list[TrialPoint]:
    """Greedily by what each would add; those that would add nothing are left out.

    What is added is the hypervolume over the logarithm of cost and the drop: twice as fast is worth the same anywhere.
    """
    hoped = {point.key: _hoped(point) for point in front}
    hoped |= {point.key: _between(point, sorted(hoped[member.key] for member in front)) for point in behind}
    held = [(math.log(member.cost_ratio), -member.metric_drop) for member in front]
    reference = (max(cost for cost, _ in held), _BEYOND_THE_WORST * min(gain for _, gain in hoped.values()))
    left, ordered = [*wanted, *behind], []
    volume = pareto.hypervolume(held, reference)
    while left:
        volumes = [pareto.hypervolume([*held, hoped[point.key]], reference) for point in left]
        best = max(range(len(left)), key=lambda position: (volumes[position], -left[position].number))
        if volumes[best] <= volume * (1 + 1e-9):
            break
        volume = volumes[best]
        point = left.pop(best)
        ordered.append(point)
        held.append(hoped[point.key])
    return ordered


def _hoped(point: TrialPoint) -> pareto.Pair:
    """Where a point of the front would stand: at its cost, with what is left of its drop, if it has one."""
    left = (1.0 - WON_BACK) * point.metric_drop if point.metric_drop > 0 else point.metric_drop
    return math.log(point.cost_ratio), -left


def _between(point: TrialPoint, hoped: Sequence[pareto.Pair]) -> pareto.Pair:
    """Where a point behind the front would stand: between what its neighbours in cost become.

    Args:
        point: It; some point of the front costs no more.
        hoped: Where those of the front would stand, by cost.
    """
    cost = math.log(point.cost_ratio)
    below = [place for place in hoped if place[0] <= cost]
    above = [place for place in hoped if place[0] > cost]
    if not above:
        return cost, below[-1][1]
    (low, worse), (high, better) = below[-1], above[0]
    return cost, worse + (better - worse) * (cost - low) / (high - low)
