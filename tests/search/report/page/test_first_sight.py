"""What can be used before the browser had time for plotly.js, and what is there afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from search.account.selection import select
from search.report.page import PageRun, overlay_text, page_text

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser

WHERE = """
  (number) => {
    const mark = Array.from(document.querySelectorAll("#sketch .mark"))
      .find((one) => one.querySelector("title")?.textContent.startsWith(`#${number}`));
    const box = mark.lastElementChild.previousElementSibling.getBoundingClientRect();
    return [box.left + box.width / 2, box.top + box.height / 2];
  }
"""


def chosen(page: Page) -> str:
    return page.locator("#policy-title").text_content() or ""


def test_points_sliders_and_keys_work_before_plotly_is_there(
    make_run: Callable[..., Any], open_page: Callable[..., Page]
) -> None:
    points, facts = make_run()
    page = open_page((points, facts), holds_idle=True)
    assert page.evaluate("typeof Plotly") == "undefined"
    selection = select(points)
    front = selection.front
    page.mouse.click(*page.evaluate(WHERE, front[-1].number))
    assert chosen(page).startswith(f"Point #{front[-1].number}")
    assert page.locator("#policy-table tbody tr").count() == len(front[-1].layers)
    ring = page.locator("#sketch .ring.chosen").bounding_box()
    assert ring is not None
    assert [ring["x"] + ring["width"] / 2, ring["y"] + ring["height"] / 2] == pytest.approx(
        page.evaluate(WHERE, front[-1].number), abs=1
    )
    page.locator("#keys").focus()
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    assert chosen(page).startswith(f"Point #{front[0].number}")
    limit_ms = (front[2].latency_ms + front[3].latency_ms) / 2
    page.evaluate("(limit) => paretune.setLimit('cost', limit)", limit_ms)
    grey = page.locator("#sketch .mark.broken title").all_text_contents()
    slow = {point.number for point in (*front, *selection.dominated) if point.latency_ms > limit_ms}
    assert {int(text[1:].split()[0]) for text in grey} == slow
    captions = page.locator("#sketch .caption").all_text_contents()
    assert any(caption.startswith("FP32 1.67 ms") for caption in captions)


def test_what_was_set_before_plotly_came_is_still_set_after(
    make_run: Callable[..., Any], open_page: Callable[..., Page]
) -> None:
    points, facts = make_run(trials=200)
    page = open_page((points, facts), holds_idle=True)
    front = select(points).front
    page.evaluate("(limit) => paretune.setLimit('cost', limit)", front[1].latency_ms * 0.99)
    page.mouse.click(*page.evaluate(WHERE, front[-1].number))
    before = page.evaluate(WHERE, front[-1].number)
    page.evaluate("releaseIdle()")
    page.wait_for_selector("html[data-drawn-ms]")
    assert page.locator("#sketch").count() == 0
    searched = sum(point.state == "complete" for point in points)
    assert page.locator("#plot .scatterlayer .trace").first.locator(".point").count() >= 0.9 * searched
    assert page.locator("#plot .point.broken").count() > 0
    assert chosen(page).startswith(f"Point #{front[-1].number}")
    ring = page.locator("#plot .ring.chosen").bounding_box()
    assert ring is not None
    # Nothing jumps when the one drawing takes the other's place.
    assert [ring["x"] + ring["width"] / 2, ring["y"] + ring["height"] / 2] == pytest.approx(before, abs=25)


def test_the_ring_stays_with_its_point_through_zoom(
    make_run: Callable[..., Any], open_page: Callable[..., Page]
) -> None:
    points, facts = make_run()
    page = open_page((points, facts))
    knee = select(points).knee
    assert knee is not None
    speedup = knee.speedup
    page.evaluate("(at) => Plotly.relayout('plot', {'xaxis.range': [at - 0.2, at + 0.2]})", speedup)
    middle = page.evaluate("document.getElementById('plot')._fullLayout.xaxis._length / 2")
    assert float(page.locator("#plot .ring.chosen").get_attribute("cx") or "nan") == pytest.approx(middle, abs=1)


def test_runs_on_one_another_can_be_clicked_at_once(
    make_run: Callable[..., Any], open_text: Callable[..., Page], tmp_path: Path
) -> None:
    runs = [make_run(), make_run(seed=8)]
    text = overlay_text(
        [PageRun(points=points, facts=facts, folder=tmp_path / str(at)) for at, (points, facts) in enumerate(runs)]
    )
    page = open_text(text, holds_idle=True)
    last = select(runs[1][0]).front[-1]
    page.mouse.click(*page.evaluate(WHERE, last.number))
    assert chosen(page).startswith("#")
    assert page.locator("#sketch .mark").count() == page.locator("#front tbody tr").count()
    page.evaluate("releaseIdle()")
    page.wait_for_selector("html[data-drawn-ms]")


def test_a_browser_that_cannot_unpack_plotly_keeps_the_first_drawing(
    browser: Browser, make_run: Callable[..., Any], tmp_path: Path
) -> None:
    points, facts = make_run()
    path = tmp_path / "pareto.html"
    path.write_text(page_text(points, facts), encoding="utf-8")
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.add_init_script("delete window.DecompressionStream")
    page.goto(path.as_uri())
    page.locator("#plot-note", has_text="Zooming does not work in this browser").wait_for()
    fastest = select(points).front[-1]
    page.mouse.click(*page.evaluate(WHERE, fastest.number))
    assert chosen(page).startswith(f"Point #{fastest.number}")
    page.close()
