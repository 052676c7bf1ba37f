"""Seconds are counted once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.stages import StageClock


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


trees = st.recursive(st.integers(0, 9), lambda inner: st.lists(inner, max_size=4), max_leaves=12)


@given(trees)
def test_the_stages_add_up_to_the_time_that_passed(tree: object) -> None:
    clock = Clock()
    stages = StageClock(clock=clock)

    def walk(node: object, depth: int) -> None:
        with stages.stage(f"depth {depth}"):
            for child in node if isinstance(node, list) else []:
                walk(child, depth + 1)
            clock.now += node if isinstance(node, int) else 1

    walk(tree, 0)
    assert sum(stages.seconds.values()) == pytest.approx(clock.now)


def test_inner_seconds_are_not_the_outer_stages() -> None:
    clock = Clock()
    stages = StageClock({"scoring": 10.0}, clock=clock)
    with stages.stage("scoring"):
        clock.now += 1
        with stages.stage("inference"):
            clock.now += 5
        clock.now += 1
    assert stages.seconds == {"scoring": 12.0, "inference": 5.0}


def test_a_block_that_fails_is_counted() -> None:
    clock = Clock()
    stages = StageClock(clock=clock)

    def fail() -> None:
        with stages.stage("outer"), stages.stage("inner"):
            clock.now += 3
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert stages.seconds == {"outer": 0.0, "inner": 3.0}


def test_moving_seconds_keeps_their_sum() -> None:
    stages = StageClock({"overhead": 4.0})
    stages.move("overhead", "inference", 3.0)
    assert stages.seconds == {"overhead": 1.0, "inference": 3.0}
