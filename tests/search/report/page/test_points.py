"""Policies and figures as columns say what the points say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.account.selection import select
from search.report.page.points import ALPHABET, encode_policies, run_columns, shown_points

layer = st.fixed_dictionaries(
    {
        "format": st.sampled_from(["fp32", "fp16", "int8", "int8-dynamic", "int4-weights"]),
        "sparsity": st.sampled_from([round(step / 16, 4) for step in range(17)]),
        "rank": st.sampled_from([None, 0.125, 0.25, 0.3125, 0.5]),
    }
)
policies = st.lists(st.dictionaries(st.sampled_from("abcdef"), layer, min_size=1), min_size=1, max_size=40)


def decoded(columns: Mapping[str, Any], position: int) -> dict[str, tuple[str, str, str]]:
    width, found = columns["width"], {}
    for name, code in zip(columns["layers"], columns["codes"], strict=True):
        number = 0
        for digit in code[position * width : (position + 1) * width]:
            number = number * 64 + ALPHABET.index(digit)
        found[name] = tuple(columns["settings"][number])
    return found


@given(policies)
def test_policies_read_back(given_policies: list[dict[str, Any]]) -> None:
    columns = encode_policies(given_policies)
    for position, policy in enumerate(given_policies):
        found = decoded(columns, position)
        assert set(found) >= set(policy)
        for name, (format_name, sparsity, rank) in found.items():
            wanted = policy.get(name)
            if wanted is None:
                assert (format_name, sparsity, rank) == ("FP32", "", "")
                continue
            assert format_name == wanted["format"]
            assert sparsity == (f"{100 * wanted['sparsity']:.3g}%" if wanted["sparsity"] else "")
            assert rank == ("" if wanted["rank"] is None else f"{wanted['rank']:g}")


def test_more_settings_than_characters_take_two() -> None:
    many = [{"a": {"format": "int8", "sparsity": step / 1000}} for step in range(200)]
    columns = encode_policies(many)
    assert columns["width"] == 2
    assert decoded(columns, 150)["a"] == ("int8", "15%", "")


def test_columns_hold_what_budgets_are_judged_by(make_run: Callable[..., Any]) -> None:
    points, facts = make_run()
    selection = select(points)
    columns, shown = run_columns(selection, facts, Path("r")), shown_points(selection)
    assert columns["number"] == [point.number for point in shown] == sorted({point.number for point in shown})
    assert {point.number for point in points if point.state == "failed"}.isdisjoint(columns["number"])
    for position, point in enumerate(shown):
        assert columns["cost"][position] == pytest.approx(point.latency_ms, rel=1e-5)
        assert columns["drop"][position] == pytest.approx(100 * point.metric_drop, rel=1e-5, abs=1e-9)
        assert columns["size"][position] == (point.model_bytes or 0) / 1e6
        assert columns["confirmed"][position] == point.confirmed
    assert [columns["number"][position] for position in columns["front"]] == [p.number for p in selection.front]


def test_the_targets_own_drop_is_the_one_that_counts(board_run: Any) -> None:
    points, facts = board_run
    columns = run_columns(select(points), facts, None)
    differing = next(point for point in points if point.target_differs)
    position = columns["number"].index(differing.number)
    assert columns["drop"][position] == pytest.approx(100 * differing.target_metric_drop, rel=1e-5)
    assert any("differs beyond the interval" in line for line in columns["lines"][position])
    assert columns["folder"] is None
