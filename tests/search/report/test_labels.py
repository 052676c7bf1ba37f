"""Labels keep off each other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from search.report.labels import Canvas, Label, place

spots = st.tuples(st.floats(50, 950), st.floats(50, 550))


@given(st.lists(spots, max_size=12))
def test_labels_that_may_be_left_out_never_overlap(points: list[tuple[float, float]]) -> None:
    labels = [Label(x=x, y=y, width=40, height=12, essential=False) for x, y in points]
    centers = place(labels, Canvas(bounds=(0, 0, 1000, 600)), gap=8)
    placed = [center for center in centers if center is not None]
    for position, (x, y) in enumerate(placed):
        assert 20 <= x <= 980
        assert 6 <= y <= 594
        assert all(abs(x - u) >= 39.999 or abs(y - v) >= 11.999 for u, v in placed[position + 1 :])


def test_essential_labels_are_always_placed() -> None:
    labels = [Label(x=50, y=50, width=90, height=90) for _ in range(3)]
    assert None not in place(labels, Canvas(bounds=(0, 0, 100, 100), taken=[(0, 0, 100, 100)]), gap=8)


def test_a_crowd_is_avoided_where_there_is_room() -> None:
    label = Label(x=100, y=100, width=40, height=12)
    (center,) = place([label], Canvas(bounds=(0, 0, 200, 200), crowd=[(100, 100, 200, 200)]), gap=8)
    assert center is not None
    assert center[0] < 100 or center[1] < 100
