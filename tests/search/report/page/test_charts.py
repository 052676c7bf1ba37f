"""Small charts show what they are given, inside their frame."""

from __future__ import annotations

import itertools
import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.report.page.charts import Axis, scatter_chart, step_chart

ends = st.tuples(st.floats(-1e4, 1e4), st.floats(1e-3, 1e5)).map(lambda both: (both[0], both[0] + both[1]))


@given(ends)
def test_ticks_are_few_round_and_inside(axis_ends: tuple[float, float]) -> None:
    low, high = axis_ends
    ticks = Axis(title="", low=low, high=high).ticks()
    assert 2 <= len(ticks) <= 8
    slack = 1e-6 * (high - low)
    assert all(low - slack <= tick <= high + slack for tick in ticks)
    steps = {round((b - a) / (high - low), 6) for a, b in itertools.pairwise(ticks)}
    assert len(steps) == 1


@pytest.mark.parametrize("count", [1, 2, 50, 5000])
def test_steps_rise_to_the_last_value_and_stay_few(count: int) -> None:
    places = [(float(step), float(step // 3)) for step in range(count)]
    x, y = Axis(title="trials", low=0, high=max(count, 2)), Axis(title="h & v", low=0, high=max(count / 3, 1))
    picture = ET.fromstring(step_chart(x, y, places, said='what <it> "says"'))  # noqa: S314  # our own text
    assert picture.get("aria-label") == 'what <it> "says"'
    (line,) = [part for part in picture if part.get("class") == "curve"]
    corners = [tuple(map(float, pair.split(","))) for pair in (line.get("points") or "").split()]
    assert len(corners) <= 1300
    assert all(58 <= a <= 408.1 and 9.9 <= b <= 190.1 for a, b in corners)
    assert corners[-1][1] == pytest.approx(190 - y.share(places[-1][1]) * 180, abs=0.06)
    assert [b for _, b in corners] == sorted((b for _, b in corners), reverse=True)


def test_scatter_has_a_dot_per_place_and_the_line_of_equals() -> None:
    axis = Axis(title="", low=0.2, high=1.0)
    text = scatter_chart(axis, axis, [(0.3, 0.31), (0.9, 0.8)], diagonal=True, said="fit")
    assert len(re.findall("<circle", text)) == 2
    assert text.count('class="diagonal"') == 1
