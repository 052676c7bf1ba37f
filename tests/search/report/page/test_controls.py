"""The sliders hold what the front can offer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from search.account.selection import select
from search.report.page.controls import budget_controls, controls_html


@pytest.mark.parametrize("size", [{}, {"trials": 400, "seed": 3}, {"trials": 2, "confirm": False}])
def test_every_offer_lies_on_its_slider_and_the_end_is_no_limit(make_run: Callable[..., Any], size: Any) -> None:
    points, facts = make_run(**size)
    selection = select(points)
    cost, drop, weight = budget_controls([(selection, facts)])
    assert [control["option"] for control in (cost, drop, weight)] == [
        "--max-latency-ms",
        "--max-drop",
        "--max-size-mb",
    ]
    fp32 = selection.fp32
    assert fp32 is not None
    assert cost["low"] <= fp32.latency_ms <= cost["high"] - cost["step"] + 1e-9
    assert drop["low"] <= 0 <= drop["high"]
    for control in (cost, drop, weight):
        assert control["low"] < control["high"]
        assert control["step"] > 0
    assert drop["scale"] * 100 == 1.0


def test_counted_instructions_have_no_option_on_time(emulated_run: Any) -> None:
    points, facts = emulated_run
    controls = budget_controls([(select(points), facts)])
    assert controls[0]["option"] == ""
    text = controls_html(controls)
    assert "Instructions at most" in text
    assert "atency" not in text
