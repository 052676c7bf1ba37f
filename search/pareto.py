"""Dominance, fronts, hypervolume and knee for pairs of a cost and a gain.

A pair is `(cost, gain)`: less cost is better, more gain is better. In a search the cost is the latency ratio and
the gain is the metric. All functions are exact, take the pairs in any order and answer with positions in them.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

Pair = tuple[float, float]


def front(pairs: Sequence[Pair]) -> list[int]:
    """Find the pairs that no other pair dominates.

    Args:
        pairs: (cost, gain) each, finite.

    Returns:
        Positions in `pairs` by increasing cost, and so by increasing gain. Of identical pairs, the first.

    Raises:
        ValueError: a figure is not finite.
    """
    members: list[int] = []
    best_gain = -math.inf
    for position in _best_first(pairs):
        if pairs[position][1] > best_gain:
            best_gain = pairs[position][1]
            members.append(position)
    return members


def ranks(pairs: Sequence[Pair]) -> list[int]:
    """Sort the pairs into successive fronts: 0 is the front, 1 the front of what remains without it, and so on.

    Identical pairs share a rank. This is the non-dominated sorting of Deb et al. 2002 (NSGA-II), for two figures
    in O(n log n): in order of cost, a pair belongs to the first front whose best gain so far is below its own.

    Args:
        pairs: (cost, gain) each, finite.

    Returns:
        One rank per pair, in the order of `pairs`.

    Raises:
        ValueError: a figure is not finite.
    """
    rank_of = [0] * len(pairs)
    lost_gains: list[float] = []  # minus the best gain of each front so far: rises from front to front
    previous: int | None = None
    for position in _best_first(pairs):
        if previous is not None and pairs[previous] == pairs[position]:
            rank_of[position] = rank_of[previous]
            continue
        lost_gain = -pairs[position][1]
        rank = bisect_right(lost_gains, lost_gain)
        lost_gains[rank : rank + 1] = [lost_gain]
        rank_of[position] = rank
        previous = position
    return rank_of


def hypervolume(pairs: Sequence[Pair], reference: Pair) -> float:
    """Measure the area between the front of `pairs` and a reference that is worse than all that counts.

    The indicator of Zitzler and Thiele 1998, exact for two figures. Pairs that are not better than the reference
    in both figures add nothing.

    Args:
        pairs: (cost, gain) each, finite.
        reference: (cost, gain), the corner that the area is measured to.

    Returns:
        The area in units of cost times gain, at least 0.

    Raises:
        ValueError: a figure is not finite.
    """
    _require_finite([reference, *pairs])
    counted = [pair for pair in pairs if pair[0] < reference[0] and pair[1] > reference[1]]
    area, floor = 0.0, reference[1]
    for position in front(counted):
        cost, gain = counted[position]
        area += (reference[0] - cost) * (gain - floor)
        floor = gain
    return area


def knee(pairs: Sequence[Pair]) -> int:
    """Find the member of the front from which both ways cost most: a good default choice.

    Both figures are scaled to [0, 1] over the front; the knee lies farthest from the chord between the front's two
    ends, on the better side of it (Das 1999, "On characterizing the knee of the Pareto curve"). Where nothing lies
    on the better side (one pair, two pairs, a front that bends inwards), and on ties, the highest gain wins: a loss
    needs a reason.

    Args:
        pairs: (cost, gain) each, finite, at least one; those off the front are ignored.

    Returns:
        The position of the knee in `pairs`.

    Raises:
        ValueError: there are no pairs, or a figure is not finite.
    """
    members = front(pairs)
    if not members:
        raise ValueError("a knee needs at least one (cost, gain) pair, got none; confirm a point first")
    cheapest, richest = pairs[members[0]], pairs[members[-1]]
    cost_span, gain_span = richest[0] - cheapest[0], richest[1] - cheapest[1]
    if cost_span <= 0 or gain_span <= 0:
        return members[-1]

    def advantage(position: int) -> float:
        cost, gain = pairs[position]
        return (gain - cheapest[1]) / gain_span - (cost - cheapest[0]) / cost_span

    best = max(members, key=lambda position: (advantage(position), pairs[position][1]))
    # Rounding alone must not beat the ends, which lie on the chord.
    return best if advantage(best) > 1e-12 else members[-1]


def _best_first(pairs: Sequence[Pair]) -> list[int]:
    """Order positions so that no pair comes before one that dominates it."""
    _require_finite(pairs)
    return sorted(range(len(pairs)), key=lambda position: (pairs[position][0], -pairs[position][1]))


def _require_finite(pairs: Sequence[Pair]) -> None:
    for position, (cost, gain) in enumerate(pairs):
        if not (math.isfinite(cost) and math.isfinite(gain)):
            raise ValueError(
                f"cost and gain must be finite, got ({cost}, {gain}) at position {position}; leave failed trials out"
            )
