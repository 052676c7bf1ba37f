"""Choosing by budgets: what is chosen keeps them, what is said to miss least does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.account.selection import select
from search.choosing.budgets import Budget
from search.choosing.choice import FASTEST, KNEE, MOST_ACCURATE, Choice, Refusal, choose
from search.point import TrialPoint

FP32_MS = 2.0


def point(number: int, ratio: float, drop: float, megabytes: float, **others: Any) -> TrialPoint:
    figures = {
        "latency_ms": ratio * FP32_MS, "latency_ratio": ratio, "latency_ratio_low": ratio * 0.98,
        "latency_ratio_high": ratio * 1.02, "metric": 0.9 - drop, "metric_drop": drop,
        "metric_drop_low": drop - 0.005, "metric_drop_high": drop + 0.005,
    }  # fmt: skip
    given_figures = {"search_latency_ratio": ratio, "search_metric_drop": drop, "confirmed": True, **others}
    return TrialPoint(
        number=number, digest=f"{number:064x}", state="complete", grade="clean",
        model_bytes=round(megabytes * 1e6), **figures, **given_figures,
    )  # fmt: skip


RUN = (
    point(0, 1.0, 0.0, 4.0, label="FP32"),
    point(1, 0.6, 0.002, 2.0),
    point(2, 0.4, 0.01, 3.0),
    point(3, 0.2, 0.05, 1.0),
)
coarse = st.integers(1, 12)
runs = st.lists(st.tuples(coarse, st.integers(-3, 10), coarse), min_size=1, max_size=8).map(
    lambda rows: [point(i, ratio / 8, drop / 100, size / 4) for i, (ratio, drop, size) in enumerate(rows)]
)
limits = {
    "max_latency_ms": coarse.map(lambda value: value * FP32_MS / 8),
    "min_speedup": coarse.map(lambda value: 8 / value),
    "max_drop": st.integers(-3, 10).map(lambda value: value / 100),
    "max_size_mb": coarse.map(lambda value: value / 4),
}
budget_sets = st.fixed_dictionaries({}, optional=limits).map(
    lambda chosen: [Budget(name=name, limit=limit) for name, limit in chosen.items()]
)


def budgets(**chosen: float) -> list[Budget]:
    return [Budget(name=name, limit=limit) for name, limit in chosen.items()]


def chosen(answer: Choice | Refusal) -> Choice:
    assert isinstance(answer, Choice)
    return answer


def refused(answer: Choice | Refusal) -> Refusal:
    assert isinstance(answer, Refusal)
    return answer


@given(runs, budget_sets, st.booleans())
def test_a_chosen_point_keeps_every_budget_and_a_refusal_means_that_none_does(
    run: list[TrialPoint], asked: list[Budget], knee: bool
) -> None:
    if not asked and not knee:
        return
    answer = choose(run, asked, knee=knee)
    keeping = [one for one in run if all(budget.excess(one) <= 0 for budget in asked)]
    if isinstance(answer, Choice):
        assert answer.point in keeping
        assert answer.keeping == len(keeping)
    else:
        assert keeping == []


@given(runs, budget_sets)
def test_nothing_that_keeps_the_budgets_is_better_in_both_figures(run: list[TrialPoint], asked: list[Budget]) -> None:
    for knee in (False, True) if asked else (True,):
        answer = choose(run, asked, knee=knee)
        if isinstance(answer, Refusal):
            continue
        best = answer.point
        keeping = [one for one in run if all(budget.is_kept_by(one) for budget in asked)]
        assert not any(
            one.cost_ratio <= best.cost_ratio and one.metric_drop <= best.metric_drop
            and (one.cost_ratio, one.metric_drop) != (best.cost_ratio, best.metric_drop)
            for one in keeping
        )  # fmt: skip


@given(runs, budget_sets)
def test_what_is_said_to_miss_least_does(run: list[TrialPoint], asked: list[Budget]) -> None:
    answer = choose(run, asked) if asked else None
    if not isinstance(answer, Refusal):
        return
    for miss in answer.impossible:
        assert miss.excess == miss.budget.excess(miss.point) == min(map(miss.budget.excess, run)) > 0
    for miss in answer.conflicts:
        others = [budget for budget in asked if budget is not miss.budget]
        keeping = [one for one in run if all(budget.is_kept_by(one) for budget in others)]
        assert miss.point in keeping
        assert miss.excess == min(map(miss.budget.excess, keeping)) > 0
    fewest = min(sum(not budget.is_kept_by(one) for budget in asked) for one in run)
    assert len(answer.nearest) == fewest > 0
    assert len({miss.point.number for miss in answer.nearest}) == 1
    assert all(miss.excess == miss.budget.excess(miss.point) > 0 for miss in answer.nearest)


@given(runs, budget_sets)
def test_every_refusal_names_a_point(run: list[TrialPoint], asked: list[Budget]) -> None:
    answer = choose(run, asked) if asked else None
    if isinstance(answer, Refusal):
        kept_alone = all(any(budget.is_kept_by(one) for one in run) for budget in asked)
        assert bool(answer.impossible) is not kept_alone
        assert answer.nearest


@pytest.mark.parametrize(
    ("asked", "number", "rule"),
    [
        ({"max_latency_ms": 1.3}, 1, MOST_ACCURATE),
        ({"min_speedup": 2.0}, 2, MOST_ACCURATE),
        ({"max_size_mb": 3.5}, 1, MOST_ACCURATE),
        ({"max_size_mb": 1.5}, 3, MOST_ACCURATE),
        ({"max_drop": 0.02}, 2, FASTEST),
        ({"max_drop": 0.02, "max_latency_ms": 1.3}, 2, FASTEST),
        ({"max_drop": 0.02, "max_size_mb": 2.5}, 1, FASTEST),
        ({"max_latency_ms": 100.0}, 0, MOST_ACCURATE),
    ],
)
def test_the_obvious_one_wins(asked: dict[str, float], number: int, rule: str) -> None:
    answer = chosen(choose(RUN, budgets(**asked)))
    assert (answer.point.number, answer.rule) == (number, rule)


def test_the_knee_is_that_of_the_report_and_of_those_that_keep_the_budgets() -> None:
    answer = chosen(choose(RUN, [], knee=True))
    assert answer.rule == KNEE
    assert answer.point is select(RUN).knee
    assert chosen(choose(RUN, budgets(max_latency_ms=0.5), knee=True)).point.number == 3


def test_a_point_off_the_front_of_cost_and_metric_can_be_the_only_small_one() -> None:
    small = point(4, 0.7, 0.06, 0.2)
    assert small not in select([*RUN, small]).front
    assert chosen(choose([*RUN, small], budgets(max_size_mb=0.5))).point is small


def test_a_budget_that_none_keeps_is_named_with_the_nearest() -> None:
    refusal = refused(choose(RUN, budgets(max_latency_ms=0.3, max_drop=0.1)))
    (miss,) = refusal.impossible
    assert (miss.budget.name, miss.point.number, miss.excess) == ("max_latency_ms", 3, pytest.approx(0.1))
    assert refusal.conflicts == ()


def test_budgets_that_only_conflict_are_each_named_with_who_keeps_the_rest() -> None:
    refusal = refused(choose(RUN, budgets(max_latency_ms=0.5, max_drop=0.003)))
    assert refusal.impossible == ()
    by_name = {miss.budget.name: (miss.point.number, miss.excess) for miss in refusal.conflicts}
    assert by_name == {"max_latency_ms": (1, pytest.approx(0.7)), "max_drop": (3, pytest.approx(0.047))}


def test_unconfirmed_and_unreliable_points_are_never_chosen() -> None:
    unconfirmed = point(4, 0.1, -0.1, 0.1, confirmed=False, search_latency_ratio=None, search_metric_drop=None)
    unreliable = replace(point(5, 0.1, -0.1, 0.1), grade="unreliable")
    assert chosen(choose([*RUN, unconfirmed, unreliable], budgets(max_latency_ms=3.0))).point.number == 0
    with pytest.raises(ValueError, match="confirmed point, got none"):
        choose([unconfirmed, unreliable], budgets(max_latency_ms=3.0))


def test_a_limit_inside_the_interval_is_uncertain() -> None:
    answer = chosen(choose(RUN, budgets(max_latency_ms=0.803, max_size_mb=9.0, min_speedup=2.49, max_drop=0.012)))
    assert answer.point.number == 2
    assert [budget.name for budget in answer.uncertain] == ["max_latency_ms", "min_speedup", "max_drop"]
    assert chosen(choose(RUN, budgets(max_latency_ms=0.9))).uncertain == ()


def test_the_targets_own_drop_decides_where_it_differs() -> None:
    differing = replace(
        RUN[2], target_metric=0.8, target_metric_drop=0.1, target_metric_drop_low=0.09, target_metric_drop_high=0.11,
        target_samples=100, host_metric=0.89, target_differs=True,
    )  # fmt: skip
    run = [*RUN[:2], differing, RUN[3]]
    assert chosen(choose(run, budgets(max_drop=0.02))).point.number == 1


def test_nothing_asked_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one budget"):
        choose(RUN, [])
