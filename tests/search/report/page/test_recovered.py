"""Recovered points in a real browser: a shape of their own, a line in the card, and both fronts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from search.account.selection import select

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_they_can_be_told_before_and_after_plotly_is_there(recovered_run: Any, open_page: Callable[..., Page]) -> None:
    points, facts = recovered_run
    page = open_page((points, facts), holds_idle=True)
    selection = select(points)
    titles = page.locator("#sketch .mark title").all_text_contents()
    told = [title for title in titles if title.startswith("#") and "r" in title.split()[0]]
    confirmed = [point for point in (*selection.front, *selection.dominated) if point.recovered_from]
    assert len(told) == len(confirmed)
    assert all("recovered from #" in title for title in told)
    paints = set(
        page.locator("#sketch .mark").evaluate_all(
            "marks => marks.filter(mark => /^#[0-9]+r/.test(mark.querySelector('title')?.textContent ?? ''))"
            ".map(mark => mark.style.getPropertyValue('--paint'))"
        )
    )
    assert paints == {"var(--recovered)"}
    page.evaluate("releaseIdle()")
    page.wait_for_selector("html[data-drawn-ms]", timeout=120_000)
    names = page.locator("#plot .legendtext").all_text_contents()
    assert {"recovered", "recovered, not on the front", "front before recovery"} <= set(names)
    fastest = next(point for point in reversed(selection.front) if point.recovered_from)
    page.locator("#front button.point", has_text=f"{fastest.name}").click()
    assert (page.locator("#policy-title").text_content() or "").startswith(f"Point {fastest.name}")
    lines = page.locator("#policy-lines li").all_text_contents()
    assert f"recovered from #{fastest.number}: distillation, 3 epochs, seed 0" in lines
    assert fastest.digest[:12] in (page.locator("#policy-command").text_content() or "")
