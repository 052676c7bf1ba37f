"""Which candidates are trained, and in what order."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from search import pareto
from search.point import FP32_LABEL, TrialPoint
from search.recovery.nominees import nominate

from .points import point

FP32 = point(0, 1.0, 0.0, label=FP32_LABEL, metric_drop_low=0.0, metric_drop_high=0.0)


def names(points: list[TrialPoint]) -> list[str]:
    return [each.name for each in points]


figures = st.lists(st.tuples(st.integers(1, 100), st.integers(0, 90)), min_size=1, max_size=30)


@given(figures)
def test_all_of_the_front_is_nominated_once_and_of_the_second_what_is_cheap(pairs: list[tuple[int, int]]) -> None:
    points = [FP32, *(point(number, a / 100, b / 100) for number, (a, b) in enumerate(pairs, start=1))]
    ranks = pareto.ranks([(each.cost_ratio, -each.metric_drop) for each in points])
    front = [each for each, rank in zip(points, ranks, strict=True) if rank == 0]
    nominated = nominate(points)
    assert len({each.number for each in nominated}) == len(nominated)
    assert {each.number for each in front} - {0} <= {each.number for each in nominated}
    costs = [each.cost_ratio for each in front]
    for each in nominated:
        rank = ranks[each.number]
        assert rank == 0 or (rank == 1 and each.cost_ratio <= math.sqrt(min(costs) * max(costs)))
    assert FP32 not in nominated


def test_first_comes_what_is_strongly_compressed_and_not_quite_broken() -> None:
    broken, strong, middling, light = (
        point(1, 0.03, 0.88),
        point(2, 0.05, 0.2),
        point(3, 0.1, 0.02),
        point(4, 0.3, 0.002),
    )
    assert names(nominate([FP32, light, middling, strong, broken])) == ["#2", "#3", "#4", "#1"]


def test_what_lies_elsewhere_comes_before_the_neighbour_of_what_was_taken() -> None:
    strong, neighbour, elsewhere = point(1, 0.05, 0.2), point(2, 0.052, 0.19), point(3, 0.2, 0.01)
    assert names(nominate([FP32, strong, neighbour, elsewhere]))[-1] in ("#1", "#2")


def test_a_gap_in_the_cost_is_filled_from_behind_the_front() -> None:
    """Pruned badly, it answers worse than what is cheaper; trained, it has more to answer with."""
    cheap, dear, between = point(1, 0.04, 0.3), point(2, 0.3, 0.01), point(3, 0.1, 0.5)
    assert names(nominate([FP32, cheap, dear, between])) == ["#3", "#1", "#2"], "and is likelier to learn again"


def test_no_gap_no_training_for_what_is_behind() -> None:
    assert "#3" not in names(nominate([FP32, point(1, 0.04, 0.3), point(2, 0.3, 0.01), point(3, 0.9, 0.2)])), "dear"
    beside = [FP32, point(1, 0.04, 0.3), point(2, 0.3, 0.01), point(3, 0.0401, 0.4)]
    assert names(nominate(beside)).index("#3") == 2, "close beside another, it adds next to nothing"


def test_neither_fp32_nor_what_lost_nothing_nor_what_was_recovered_is_nominated() -> None:
    better = point(1, 0.3, -0.01, metric_drop_low=-0.02, metric_drop_high=-0.001)
    recovered = point(2, 0.05, 0.01, recovered_from="d", recovery="distillation")
    assert nominate([FP32, better, recovered]) == []
    assert nominate([]) == []


def trained(before: TrialPoint, drop: float) -> TrialPoint:
    return point(before.number, before.cost_ratio, drop, recovered_from=before.digest, recovery="distillation")


def test_what_was_trained_is_done_and_its_place_is_known() -> None:
    strong, middling, light = point(1, 0.05, 0.2), point(2, 0.1, 0.02), point(3, 0.3, 0.002)
    points = [FP32, strong, middling, light]
    assert names(nominate(points)) == ["#1", "#2", "#3"]
    assert names(nominate(points, {strong.key: trained(strong, 0.02)})) == ["#2", "#3"]
    # It is better than the others are held to become, and cheaper: they add nothing, and may still win.
    assert names(nominate(points, {strong.key: trained(strong, -0.01)})) == ["#2", "#3"]


def test_where_the_cheapest_wins_back_little_what_is_hardly_dearer_waits() -> None:
    cheap, cheaper, dear = point(1, 0.05, 0.3), point(2, 0.01, 0.6), point(3, 0.4, 0.1)
    points = [FP32, cheap, cheaper, dear]
    assert names(nominate(points)) == ["#1", "#3", "#2"]
    assert names(nominate(points, {cheap.key: trained(cheap, 0.48)})) == ["#3", "#2"]
    assert names(nominate(points, {cheap.key: trained(cheap, 0.02)})) == ["#2", "#3"]


def test_what_learned_again_may_learn_more_beside_what_has_had_no_training() -> None:
    strong, light = point(1, 0.05, 0.6), point(2, 0.3, 0.002)
    points, became = [FP32, strong, light], {strong.key: trained(strong, 0.03)}
    assert names(nominate(points, became)) == ["#2"]
    assert names(nominate(points, became, again={strong.key}, share_of_another=0.3)) == ["#1", "#2"]
    assert names(nominate(points, became, again={strong.key}, share_of_another=0.01)) == ["#2", "#1"]
    assert names(nominate(points, {strong.key: trained(strong, 0.0)}, again={strong.key}, share_of_another=0.3)) == [
        "#2"
    ]
