"""Which candidates are worth training, and in what order.

Training wins back what is lost, so a candidate is worth as much of it as it is cheap and has something to win. Nobody
knows beforehand how much comes back, and whether anything does; the order assumes both until trainings have told them
for their costs (`search.recovery.won_back`), and takes next what is then expected to add most to the front. So first
comes what is strongly compressed and not quite broken, then what lies between, and neighbours of what was taken come
last; where the cheapest has won back little, what is hardly dearer waits.

What training leaves of a drop depends on how much of the network is left more than on how large the drop was. So a
point behind the front may come to lie between what its neighbours on the front become, and where these leave a gap in
the cost it is worth a training too. Policies that were tried for the recovery alone (`search.recovery.ladder`) fill
such gaps wherever they lie.

What has learned again may learn more in another round (`search.recovery.rounds`). It is worth what that is expected to
win of what is left, beside whatever has had no training yet.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

from search import pareto
from search.point import FP32_LABEL, TrialPoint
from search.recovery.ladder import TO_RECOVER
from search.recovery.won_back import USEFUL, WonBack

Key = tuple[int, str]
"""`TrialPoint.key`."""
_BEYOND_THE_BEST = 2.0
_BEHIND = 0.9
"""Of what lies behind the front less is expected: beside a neighbour on it, it is the second choice."""
_LEAST_GAIN = 1e-9


def nominate(
    points: Sequence[TrialPoint],
    became: Mapping[Key, TrialPoint] | None = None,
    *,
    again: Collection[Key] = (),
    share_of_another: float = 0.0,
) -> list[TrialPoint]:
    """The points to recover, those first that promise most.

    All of the front that has something to win back; and of the second front in the cheaper half of the first one's
    range, and of what was tried for this, whatever would add something to all that was taken before it.

    Args:
        points: Of the study, with the figures that the search saw; recovered ones are not looked at.
        became: What trainings have made of candidates so far, by `TrialPoint.key`; these are done.
        again: Those of them that are not, since another round may win more.
        share_of_another: What that wins back of what is left of a drop.
    """
    became = became or {}
    rankable = [point for point in points if point.rankable and point.is_trial]
    ranks = pareto.ranks([(point.cost_ratio, -point.metric_drop) for point in rankable])
    front, second = ([point for point, found in zip(rankable, ranks, strict=True) if found == rank] for rank in (0, 1))
    if not front:
        return []
    costs = [point.cost_ratio for point in front]
    middle = math.sqrt(min(costs) * max(costs))
    wanted = [point for point in front if _can_win(point) and point.key not in became]
    behind = [p for p in second if _can_win(p) and p.cost_ratio <= middle and p.key not in became]
    known = {point.key for point in (*front, *behind)} | set(became)
    behind += [point for point in rankable if point.label == TO_RECOVER and _can_win(point) and point.key not in known]
    more = {key: _rest(became[key], share_of_another) for key in again if became[key].metric_drop > 0}
    ordered = _by_promise(rankable, front, wanted, behind, became, more)
    taken = {point.key for point in ordered}
    return [*ordered, *(point for point in wanted if point.key not in taken)]


def _can_win(point: TrialPoint) -> bool:
    """Whether there is anything to train, and anything to win back."""
    return point.label != FP32_LABEL and point.metric_drop_high > 0


def _by_promise(
    rankable: Sequence[TrialPoint],
    front: Sequence[TrialPoint],
    wanted: Sequence[TrialPoint],
    behind: Sequence[TrialPoint],
    became: Mapping[Key, TrialPoint],
    more: Mapping[Key, pareto.Pair],
) -> list[TrialPoint]:
    """Greedily by what each is expected to add; those that would add nothing are left out.

    What is added is the hypervolume over the logarithm of cost and the drop: twice as fast is worth the same anywhere,
    and nothing is where hardly anything is left to answer with. So what nobody would use waits for what is of use.
    """
    if not (wanted or behind or more):
        return []
    trained = [point for point in rankable if point.key in became]
    trainings = [(point, became[point.key]) for point in trained]
    won = WonBack.seen_in(trainings, min(point.cost_ratio for point in (*front, *wanted, *behind)))
    held = [*(_place(member) for member in front), *(_place(point) for point in became.values())]
    hoped = {point.key: _hoped(point, won) for point in wanted}
    places = [*held, *hoped.values()]
    reached = sorted(places[position] for position in pareto.front(places))
    hoped |= {point.key: _between(point, reached) for point in behind}
    hoped |= more
    reference = (
        max(_place(member)[0] for member in front),
        -max(USEFUL * abs(front[0].metric + front[0].metric_drop), _BEYOND_THE_BEST * _least_loss(hoped.values())),
    )
    left, ordered = [*wanted, *behind, *(point for point in trained if point.key in more)], list[TrialPoint]()
    trust = dict.fromkeys((point.key for point in behind), _BEHIND)
    while left:
        volume = pareto.hypervolume(held, reference)
        gains = []
        for point in left:
            gain = pareto.hypervolume([*held, hoped[point.key]], reference) - volume
            chance = 1.0 if point.key in more else won.chance(point.cost_ratio)
            expected = chance * gain * trust.get(point.key, 1.0)
            gains.append(expected if gain > _LEAST_GAIN * volume else 0.0)
        best = max(range(len(left)), key=lambda position: (gains[position], -left[position].number))
        if gains[best] <= 0.0:
            break
        point = left.pop(best)
        ordered.append(point)
        held.append(hoped[point.key])
    return ordered


def _least_loss(places: Iterable[pareto.Pair]) -> float:
    """The smallest drop among places that have one; so some place is of use, whatever the metric's unit is."""
    return min((-gain for _, gain in places if gain < 0), default=0.0)


def _place(point: TrialPoint) -> pareto.Pair:
    """Where a point stands: cost, and what there is to gain."""
    return math.log(point.cost_ratio), -point.metric_drop


def _hoped(point: TrialPoint, won: WonBack) -> pareto.Pair:
    """Where a point of the front would stand if it learned again: at its cost, with what is left of a drop."""
    cost, gain = _place(point)
    return cost, gain * (1.0 - won.share(point.cost_ratio)) if gain < 0 else gain


def _rest(became: TrialPoint, share_of_another: float) -> pareto.Pair:
    """Where what came of a training would stand after another round."""
    cost, gain = _place(became)
    return cost, gain * (1.0 - share_of_another)


def _between(point: TrialPoint, hoped: Sequence[pareto.Pair]) -> pareto.Pair:
    """Where a point behind the front would stand: between what its neighbours in cost become.

    Args:
        point: It; some point of the front costs no more.
        hoped: Where the best of the others would stand or do, by cost.
    """
    cost = math.log(point.cost_ratio)
    below = [place for place in hoped if place[0] <= cost]
    above = [place for place in hoped if place[0] > cost]
    if not above:
        return cost, below[-1][1]
    (low, worse), (high, better) = below[-1], above[0]
    return cost, worse + (better - worse) * (cost - low) / (high - low)
