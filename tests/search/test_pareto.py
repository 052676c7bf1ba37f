"""Laws of dominance, fronts, hypervolume and knee."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search import pareto

# Few distinct values, so that ties and identical pairs are frequent.
coarse = st.integers(0, 6).map(float)
fine = st.floats(-1e3, 1e3, allow_nan=False)
pairs_of = st.lists(st.tuples(coarse, coarse) | st.tuples(fine, fine), max_size=30)


def dominates(one: pareto.Pair, other: pareto.Pair) -> bool:
    """At least as good in both figures, and better in one."""
    return one[0] <= other[0] and one[1] >= other[1] and one != other


def brute_force_ranks(pairs: list[pareto.Pair]) -> list[int]:
    rank_of, left, rank = [0] * len(pairs), set(range(len(pairs))), 0
    while left:
        best = {i for i in left if not any(dominates(pairs[j], pairs[i]) for j in left)}
        for i in best:
            rank_of[i] = rank
        left, rank = left - best, rank + 1
    return rank_of


def grid_hypervolume(pairs: list[pareto.Pair], reference: pareto.Pair) -> float:
    """Count the unit cells of an integer grid that some pair dominates."""
    low = int(min((cost for cost, _ in pairs), default=0))
    high = int(max((gain for _, gain in pairs), default=0))
    return float(
        sum(
            any(cost <= x and gain >= y + 1 for cost, gain in pairs)
            for x in range(low, int(reference[0]))
            for y in range(int(reference[1]), high)
        )
    )


@given(pairs_of)
def test_members_do_not_dominate_each_other_and_dominate_all_others(pairs: list[pareto.Pair]) -> None:
    members = pareto.front(pairs)
    chosen = [pairs[i] for i in members]
    assert not any(dominates(one, other) for one in chosen for other in chosen)
    for i in set(range(len(pairs))) - set(members):
        assert any(dominates(pairs[j], pairs[i]) or (pairs[j] == pairs[i] and j < i) for j in members), (
            "every other pair is dominated, or repeats an earlier member"
        )


@given(pairs_of)
def test_front_rises_in_cost_and_gain(pairs: list[pareto.Pair]) -> None:
    chosen = [pairs[i] for i in pareto.front(pairs)]
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in itertools.pairwise(chosen))


@given(pairs_of)
def test_ranks_equal_peeling_by_brute_force(pairs: list[pareto.Pair]) -> None:
    assert pareto.ranks(pairs) == brute_force_ranks(pairs)


@given(pairs_of)
def test_rank_0_is_the_front_with_repeats(pairs: list[pareto.Pair]) -> None:
    members = {pairs[i] for i in pareto.front(pairs)}
    assert {pair for pair, rank in zip(pairs, pareto.ranks(pairs), strict=True) if rank == 0} == members


@given(st.lists(st.tuples(coarse, coarse), max_size=12), st.tuples(coarse, coarse))
def test_hypervolume_equals_counted_cells(pairs: list[pareto.Pair], reference: pareto.Pair) -> None:
    assert pareto.hypervolume(pairs, reference) == grid_hypervolume(pairs, reference)


@given(pairs_of, st.tuples(fine, fine), st.tuples(fine, fine))
def test_hypervolume_never_falls_when_a_pair_is_added(
    pairs: list[pareto.Pair], added: pareto.Pair, reference: pareto.Pair
) -> None:
    before = pareto.hypervolume(pairs, reference)
    assert pareto.hypervolume([*pairs, added], reference) >= before * (1 - 1e-9)


@given(pairs_of, st.tuples(fine, fine), st.randoms(use_true_random=False))
def test_hypervolume_ignores_the_order(
    pairs: list[pareto.Pair], reference: pareto.Pair, shuffler: random.Random
) -> None:
    shuffled = list(pairs)
    shuffler.shuffle(shuffled)
    assert pareto.hypervolume(shuffled, reference) == pareto.hypervolume(pairs, reference)


@given(pairs_of.filter(bool))
def test_knee_is_on_the_front(pairs: list[pareto.Pair]) -> None:
    assert pareto.knee(pairs) in pareto.front(pairs)


@given(st.lists(st.tuples(coarse, coarse), min_size=1, max_size=20), st.sampled_from([0.5, 4.0, 64.0]))
def test_knee_does_not_depend_on_units(pairs: list[pareto.Pair], scale: float) -> None:
    scaled = [(cost * scale, gain * 8.0) for cost, gain in pairs]
    assert pareto.knee(scaled) == pareto.knee(pairs)


def test_knee_bulges_farthest_from_the_chord() -> None:
    assert pareto.knee([(1.0, 1.0), (0.5, 0.99), (0.3, 0.97), (0.2, 0.5)]) == 2


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([(0.4, 0.9)], 0),
        ([(0.4, 0.9), (1.0, 1.0)], 1),
        ([(1.0, 1.0), (0.4, 0.9)], 0),
        ([(0.0, 0.0), (0.6, 0.2), (1.0, 1.0)], 2),
        ([(0.4, 0.9), (0.4, 0.9)], 0),
    ],
)
def test_knee_without_a_bulge_is_the_highest_gain(pairs: list[pareto.Pair], expected: int) -> None:
    assert pareto.knee(pairs) == expected


def test_knee_of_nothing_says_so() -> None:
    with pytest.raises(ValueError, match=r"needs at least one .* got none"):
        pareto.knee([])


def test_front_keeps_the_first_of_identical_pairs() -> None:
    assert pareto.front([(2.0, 1.0), (1.0, 1.0), (1.0, 1.0)]) == [1]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_figures_must_be_finite(bad: float) -> None:
    for function in (pareto.front, pareto.ranks, pareto.knee):
        with pytest.raises(ValueError, match=r"finite, got .* at position 1"):
            function([(1.0, 1.0), (bad, 1.0)])
    with pytest.raises(ValueError, match="finite"):
        pareto.hypervolume([(1.0, 1.0)], (bad, 0.0))
