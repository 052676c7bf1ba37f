"""Who a candidate is compared with."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from search import pareto
from search.trial.rivals import Rival, Rivals


def rival(number: int, cost: float, metric: float, *, known: bool = True, high: float | None = None) -> Rival:
    scores = np.array([metric, 2 * metric]) if known else None
    return Rival(number=number, cost_ratio=cost, cost_ratio_high=high or cost, metric=metric, scores=scores)


figures = st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.3, 0.4]), st.sampled_from([0.5, 0.6, 0.7, 0.8])), max_size=12)


@given(figures, st.sampled_from([0.05, 0.15, 0.25, 0.5]))
def test_they_are_the_front_among_those_that_cost_no_more(points: list[tuple[float, float]], low: float) -> None:
    rivals = Rivals()
    for number, (cost, metric) in enumerate(points):
        assert rivals.is_on_front(cost, metric) == all(c > cost or m < metric for c, m in points[:number])
        rivals.add(rival(number, cost, metric))
    opposition = rivals.opposition(low)
    front = [points[position] for position in pareto.front(points)]
    assert sorted((r.cost_ratio, r.metric) for r in opposition.rivals) == sorted(p for p in front if p[0] <= low)
    assert opposition.compared == sum(cost <= low for cost, _ in points)
    assert [r.metric for r in opposition.rivals] == sorted((r.metric for r in opposition.rivals), reverse=True)


def test_the_whole_interval_must_lie_below() -> None:
    rivals = Rivals()
    rivals.add(rival(0, 0.3, 0.9, high=0.32))
    assert rivals.opposition(0.31).rivals == ()
    assert [each.number for each in rivals.opposition(0.32).rivals] == [0]


def test_those_without_scores_count_but_are_not_compared() -> None:
    rivals = Rivals()
    rivals.add(rival(0, 0.3, 0.9, known=False))
    rivals.add(rival(1, 0.2, 0.8))
    opposition = rivals.opposition(1.0)
    assert [each.number for each in opposition.rivals] == [1]
    assert opposition.compared == 2


def test_scores_are_kept_of_the_front_alone_and_bounds_of_all_that_were_on_it() -> None:
    rivals = Rivals()
    for number in range(100):
        rivals.add(rival(number, 1.0 - number / 200, 0.5 + number / 200))
    assert sum(each.scores is not None for each in rivals.opposition(9.0).rivals) == 1
    assert (rivals.worst, rivals.best) == (0.5, 2 * (0.5 + 99 / 200))
    assert len(rivals) == 100


def test_of_a_long_front_the_most_accurate_are_compared() -> None:
    rivals = Rivals()
    for number in range(20):
        rivals.add(rival(number, 0.1 + number / 100, 0.5 + number / 100))
    opposition = rivals.opposition(1.0)
    assert [each.number for each in opposition.rivals] == list(range(19, 11, -1))
    assert opposition.compared == 20
