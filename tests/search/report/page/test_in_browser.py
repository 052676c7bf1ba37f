"""The page works in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

    Until = Callable[[Page, str], None]

pytestmark = pytest.mark.browser


def test_an_emulated_run_is_drawn_with_instructions_above(emulated_run: Any, open_page: Callable[..., Page]) -> None:
    page = open_page(emulated_run)
    assert page.locator("#plot .x2title").text_content() == (
        "Millions of instructions per inference (emulated), not time"
    )
    shown = {float(text) for text in page.locator("#plot .x2tick text").all_text_contents()}
    assert {200.0, 500.0} <= shown
    assert page.locator("p.kind").is_visible()


def test_plot_is_drawn_with_its_labels(make_run: Callable[..., Any], open_page: Callable[..., Page]) -> None:
    page = open_page(make_run())
    labels = page.locator("#plot .annotation-text").all_text_contents()
    assert any(label.startswith("FP32 1.67 ms") for label in labels)
    assert any("knee" in label for label in labels)
    assert page.locator("#plot .errorbar").count() >= 6
    assert page.locator("#plot .xtitle").text_content() == "Speedup over FP32 (×), more is faster"
    assert page.locator("#plot .x2title").text_content() == "Latency (ms)"


def test_hovering_tells_policy_and_figures(make_run: Callable[..., Any], open_page: Callable[..., Page]) -> None:
    page = open_page(make_run())
    front = page.locator("#plot .scatterlayer .trace", has=page.locator(".errorbar")).last.locator(".point").last
    box = front.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("#plot .hoverlayer .hovertext")
    told = page.locator("#plot .hoverlayer").text_content() or ""
    assert re.search(r"as fast \[.*ms.*drop .*\[.*\] points.*layers 8-bit", told), told


def test_table_sorts_by_keyboard_and_back(make_run: Callable[..., Any], open_page: Callable[..., Page]) -> None:
    page = open_page(make_run())

    def latencies() -> list[float]:
        cells = page.locator("#front tbody tr td:nth-child(3)")
        return [float(cell) for cell in cells.evaluate_all("cells => cells.map(cell => cell.dataset.value)")]

    page.locator("#front thead button", has_text="Latency (ms)").focus()
    page.keyboard.press("Enter")
    rising = latencies()
    assert rising == sorted(rising)
    page.keyboard.press("Enter")
    assert latencies() == rising[::-1]
    assert page.locator('#front th[aria-sort="descending"]').text_content() == "Latency (ms)"


def test_zooming_keeps_latency_above_its_speedup(
    make_run: Callable[..., Any], open_page: Callable[..., Page], until: Until
) -> None:
    page = open_page(make_run())
    page.evaluate("Plotly.relayout('plot', {'xaxis.range': [1, 2]})")
    until(page, "document.getElementById('plot').layout.xaxis2.range[1] === 2")
    places, names = page.evaluate(
        "(({tickvals, ticktext}) => [tickvals, ticktext])(document.getElementById('plot').layout.xaxis2)"
    )
    assert len(places) >= 4
    assert [1.67 / float(name) for name in names] == pytest.approx(places)


def test_dark_and_light_follow_the_system(
    make_run: Callable[..., Any], open_page: Callable[..., Page], until: Until
) -> None:
    page = open_page(make_run(), color_scheme="dark")

    def colors() -> Any:
        return page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, document.getElementById('plot').layout.paper_bgcolor]"
        )

    assert colors() == ["rgb(21, 24, 28)", "#15181c"]
    page.emulate_media(color_scheme="light")
    until(page, "document.getElementById('plot').layout.paper_bgcolor === '#ffffff'")
    assert colors() == ["rgb(255, 255, 255)", "#ffffff"]


def test_hostile_names_do_nothing_in_a_browser(
    make_run: Callable[..., Any], hostile: Callable[..., Any], open_page: Callable[..., Page]
) -> None:
    page = open_page(hostile(make_run()))
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    assert (page.locator("h1").text_content() or "").count("<script>window.hacked=1") == 2
    page.locator("#front button.point").first.click()
    assert "<img src=x" in (page.locator("#policy-table tbody th").first.text_content() or "")
    assert page.evaluate("window.hacked") is None


def test_narrow_windows_scroll_inside_only(make_run: Callable[..., Any], open_page: Callable[..., Page]) -> None:
    page = open_page(make_run(trials=200, layers=60))
    page.set_viewport_size({"width": 480, "height": 800})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
