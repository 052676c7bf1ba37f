"""More divergence never means a better metric."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.samplers.frontier.link import Link

observations = st.lists(st.tuples(st.floats(0, 10), st.floats(-1, 1)), min_size=1, max_size=30)


@settings(deadline=None)
@given(observations, st.lists(st.floats(0, 20), min_size=2, max_size=20))
def test_the_curve_never_rises(pairs: list[tuple[float, float]], at: list[float]) -> None:
    link = Link.fit(*zip(*pairs, strict=True))
    assert (np.diff(link(np.sort(at))) <= 1e-12).all()


@settings(deadline=None)
@given(observations)
def test_it_stays_within_what_was_seen(pairs: list[tuple[float, float]]) -> None:
    divergence, metric = zip(*pairs, strict=True)
    found = Link.fit(divergence, metric)(np.array(divergence))
    assert min(metric) - 1e-9 <= found.min() <= found.max() <= max(metric) + 1e-9


def test_what_falls_already_is_kept() -> None:
    link = Link.fit([0.0, 2.0, 1.0], [0.9, 0.1, 0.5])
    assert link(np.array([0.0, 0.5, 1.0, 2.0, 9.0])) == pytest.approx([0.9, 0.7, 0.5, 0.1, 0.1])


def test_what_rises_is_pooled() -> None:
    link = Link.fit([0.0, 1.0, 2.0, 3.0], [0.9, 0.4, 0.6, 0.1])
    assert link(np.array([0.0, 1.5, 3.0])) == pytest.approx([0.9, 0.5, 0.1])


def test_one_divergence_has_one_metric() -> None:
    assert Link.fit([1.0, 1.0, 1.0], [0.2, 0.4, 0.6])(np.array([1.0])) == pytest.approx([0.4])


def test_nothing_draws_no_curve() -> None:
    with pytest.raises(ValueError, match="at least one, got 0 and 0"):
        Link.fit([], [])


def test_what_lies_on_the_curve_does_not_stray() -> None:
    assert Link.fit([0.0, 1.0, 2.0], [0.9, 0.5, 0.1]).spread(np.array([0.0, 1.5, 9.0])) == pytest.approx(0.0)


def test_metrics_stray_as_far_as_they_do_nearby() -> None:
    rng = np.random.default_rng(0)
    divergence = np.linspace(0.0, 1.0, 4000)
    deviation = np.where(divergence < 0.5, 0.001, 0.05)
    link = Link.fit(divergence, 0.9 - 0.5 * divergence + rng.normal(0.0, deviation))
    found = link.spread(np.linspace(0.0, 1.0, 1000))
    assert np.median(found[:480]) == pytest.approx(0.001, rel=0.3)
    assert np.median(found[520:]) == pytest.approx(0.05, rel=0.3)


@settings(deadline=None)
@given(observations, st.lists(st.floats(0, 20), min_size=1, max_size=20))
def test_nothing_strays_further_than_the_farthest(pairs: list[tuple[float, float]], at: list[float]) -> None:
    divergence, metric = (np.array(each) for each in zip(*pairs, strict=True))
    link = Link.fit(divergence, metric)
    found = link.spread(np.array(at))
    assert (found >= 0).all()
    assert found.max() <= np.abs(metric - link(divergence)).max() + 1e-9
