"""The order and the bounds of timing, with engines whose times are made up."""

from __future__ import annotations

import gc
import time
from typing import Any

import pytest

from latency.worker.schedule import interleave, warm_up


class ScriptedEngine:
    """Takes made-up times and writes its name into a diary."""

    def __init__(self, name: str, diary: list[str], wall_ms: float | list[float]) -> None:
        self.name, self.diary, self.wall_ms = name, diary, wall_ms
        self.collecting: set[bool] = set()

    def time(self, count: int) -> list[list[int | None]]:
        rows: list[list[int | None]] = []
        for _ in range(count):
            self.diary.append(self.name)
            self.collecting.add(gc.isenabled())
            wall_ms = self.wall_ms
            if isinstance(wall_ms, list):
                wall_ms = wall_ms.pop(0) if len(wall_ms) > 1 else wall_ms[0]
            rows.append([int(wall_ms * 1e6), 0, 0])
        return rows

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


def pair(first_ms: float | list[float], second_ms: float | list[float]) -> tuple[Any, Any, list[str]]:
    diary: list[str] = []
    return ScriptedEngine("A", diary, first_ms), ScriptedEngine("B", diary, second_ms), diary


def test_slow_models_run_a_b_b_a() -> None:
    first, second, diary = pair(10.0, 20.0)
    answer = interleave(first, second, budget_s=0.0, min_rounds=2, limit_s=9.0)
    assert "".join(diary) == "BA" + "ABBA" * 2
    assert [len(rows) for rows in answer["samples"]] == [4, 4]
    assert answer["untimed_ns"] == 30_000_000


def test_first_inference_after_a_change_is_not_timed_where_caches_matter() -> None:
    first, second, diary = pair(2.5, 1.0)
    answer = interleave(first, second, budget_s=0.0, min_rounds=1, limit_s=9.0)
    assert "".join(diary) == "BA" + "A" + "B" + "BB" + "BB" + "A"
    assert [len(rows) for rows in answer["samples"]] == [2, 4]
    assert answer["untimed_ns"] == 4_500_000


def test_fast_model_stays_for_two_milliseconds_and_a_slow_one_for_one_inference() -> None:
    first, second, _diary = pair(10.0, 0.25)
    answer = interleave(first, second, budget_s=0.0, min_rounds=3, limit_s=9.0)
    assert (answer["stays"], answer["rounds"]) == ([1, 8], 3)
    assert [len(rows) for rows in answer["samples"]] == [6, 48]
    assert interleave(*pair(10.0, 1e-3)[:2], budget_s=0.0, min_rounds=1, limit_s=9.0)["stays"] == [1, 64]


def test_later_rounds_go_on_as_the_earlier_ones_did() -> None:
    first, second, _diary = pair(0.5, 0.25)
    answer = interleave(first, second, budget_s=0.0, min_rounds=1, limit_s=9.0, stays=[2, 3])
    assert [len(rows) for rows in answer["samples"]] == [4, 6]
    assert answer["stays"] == [2, 3]


def test_there_is_always_one_round_and_none_begins_after_the_limit() -> None:
    first, second, diary = pair(10.0, 10.0)
    interleave(first, second, budget_s=0.0, min_rounds=5, limit_s=0.0)
    assert "".join(diary) == "BAABBA"


def test_budget_is_used_and_not_overrun() -> None:
    first, second, _diary = pair(10.0, 10.0)
    start = time.perf_counter()
    interleave(first, second, budget_s=0.05, min_rounds=1, limit_s=0.0)
    assert time.perf_counter() - start >= 0.05


def test_collector_rests_and_comes_back() -> None:
    first, second, _diary = pair(10.0, 10.0)
    assert gc.isenabled()
    interleave(first, second, budget_s=0.0, min_rounds=1, limit_s=0.0)
    assert first.collecting == {False}
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("first_ms", "groups"),
    [(1.0, 2), ([9.0] * 3 + [3.0] * 3 + [1.0] * 99, 4)],
)
def test_warm_up_goes_on_until_the_times_settle(first_ms: float | list[float], groups: int) -> None:
    first, second, _diary = pair(first_ms, 1.0)
    answer = warm_up([first, second], budget_s=60.0)
    assert (answer["inferences"], answer["settled"]) == (3 * groups, True)


def test_warm_up_that_never_settles_is_bounded() -> None:
    first, second, diary = pair([float(2**index) for index in range(60)], 1.0)
    answer = warm_up([first, second], budget_s=0.0)
    assert diary == ["A", "B"], "however slow the models, each runs once"
    assert (answer["inferences"], answer["settled"], answer["inference_ns"]) == (1, False, 2_000_000)
