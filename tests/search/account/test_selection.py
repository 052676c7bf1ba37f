"""Who is on the front, and which part of the plane is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from search.account.selection import as_searched, comparable_front, select, view_of
from search.point import TrialPoint


def test_confirmed_points_alone_make_the_confirmed_front(make_run: Callable[..., Any]) -> None:
    points, _ = make_run()
    selection = select(points)
    assert selection.confirmed
    assert all(point.confirmed for point in selection.front)
    assert all(point.confirmed for point in selection.dominated)
    assert selection.front[0] is selection.fp32


def test_fp32_without_a_confirmation_is_shown_but_not_on_the_confirmed_front(make_run: Callable[..., Any]) -> None:
    searched_fp32 = make_run(confirm=False)[0][0]
    selection = select([searched_fp32, *make_run()[0][1:]])
    assert selection.confirmed
    assert selection.fp32 is searched_fp32
    assert searched_fp32 not in selection.front


def test_front_runs_from_slow_to_fast_and_loses_on_the_way(make_run: Callable[..., Any]) -> None:
    front = select(make_run()[0]).front
    assert [p.speedup for p in front] == sorted(p.speedup for p in front)
    assert [p.metric_drop for p in front] == sorted(p.metric_drop for p in front)


def test_unreliable_latencies_never_rank(make_run: Callable[..., Any]) -> None:
    points, _ = make_run(confirm=False)
    fastest = select(points).front[-1]
    selection = select([replace(p, grade="unreliable") if p is fastest else p for p in points])
    assert fastest.number not in {p.number for p in (*selection.front, *selection.searched)}
    assert selection.excluded == 1


def test_view_holds_the_confirmed_front_with_its_intervals(make_run: Callable[..., Any]) -> None:
    for seed in range(6):
        selection = select(make_run(seed=seed)[0])
        view = view_of(selection)
        for point in selection.front:
            assert view.holds(1 / point.latency_ratio_low, point.metric_drop_low)
            assert view.holds(1 / point.latency_ratio_high, point.metric_drop_high)


def test_one_very_fast_network_that_was_only_searched_does_not_squash_the_front(make_run: Callable[..., Any]) -> None:
    points = make_run()[0]
    selection = select(points)
    fast = replace(
        next(point for point in points if not point.confirmed and point.rankable),
        number=999, digest="f" * 64, latency_ratio=0.001, latency_ratio_low=0.001, latency_ratio_high=0.001,
        metric_drop=selection.front[-1].metric_drop,
    )  # fmt: skip
    wider = view_of(select([*points, fast]))
    assert wider.holds(*as_searched(selection.front[-1]))
    assert not wider.holds(*as_searched(fast))
    assert wider.gain_high < 1.5 * view_of(selection).gain_high


def test_search_values_of_a_confirmed_point_are_kept(make_run: Callable[..., Any]) -> None:
    point = next(p for p in make_run()[0] if p.confirmed and p.number)
    assert point.search_latency_ratio is not None
    assert as_searched(point) == (1 / point.search_latency_ratio, point.search_metric_drop)


def shown(front: Sequence[float], last: float) -> list[float]:
    """The drops that a plot holds of a front's points, of which the last loses so much."""
    points = [
        TrialPoint(
            number=number, digest=f"{number:064x}", latency_ms=1.0, latency_ratio=1.0 - 0.1 * number,
            latency_ratio_low=1.0 - 0.1 * number, latency_ratio_high=1.0 - 0.1 * number, grade="clean",
            metric=0.99 - drop, metric_drop=drop, metric_drop_low=drop, metric_drop_high=drop, state="complete",
        )
        for number, drop in enumerate([*front, last])
    ]  # fmt: skip
    return [point.metric_drop for point in comparable_front(points)]


def test_a_front_is_shown_up_to_what_is_broken_and_no_shorter() -> None:
    assert shown([0.0, 0.0001], 0.026) == [0.0, 0.0001, 0.026], "2.6 points are more than eight times 0.01, and no ruin"
    assert shown([0.0, 0.0001], 0.4) == [0.0, 0.0001]
    assert shown([0.0, 0.06], 0.4) == [0.0, 0.06, 0.4], "a front that comes there step by step"
    assert shown([0.0, 0.06, 0.2, 0.3], 0.4) == [0.0, 0.06, 0.2, 0.3], "step by step, but nobody wants the last one"
