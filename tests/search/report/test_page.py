"""The page stands alone, escapes what it is given, and works in a real browser."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from search.report.page import embedded_json, page_text

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = '<script>window.hacked=1</script></script><img src=x onerror="window.hacked=2">&amp;$metric'
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium on the path: install the system's package (Debian: chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Open a run's page; afterwards, check that it complained of nothing and asked nobody for anything."""
    pages, complaints, requests = [], [], []

    def open_run(run: tuple[Any, Any], **context: Any) -> Page:
        path = tmp_path / "pareto.html"
        path.write_text(page_text(*run), encoding="utf-8")
        page = browser.new_page(viewport={"width": 1400, "height": 900}, **context)
        pages.append(page)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        page.wait_for_selector("#plot .scatterlayer .trace")
        return page

    yield open_run
    for page in pages:
        page.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []


def hostile(run: tuple[Any, Any]) -> tuple[Any, Any]:
    points, facts = run
    names = ("workload_name", "metric_name", "target_name", "device", "runtime", "paretune_version")
    marked = [
        replace(
            point,
            policy_summary=HOSTILE,
            grade=point.grade and HOSTILE,
            reason=point.reason and HOSTILE,
            digest=HOSTILE,
            label=point.label or HOSTILE,
            layers={f"{HOSTILE}{name}": layer for name, layer in point.layers.items()},
        )
        for point in points
    ]
    return marked, replace(facts, **dict.fromkeys(names, HOSTILE))


def until(page: Page, expression: str) -> None:
    """Wait without `wait_for_function`, whose eval the page's own security policy forbids."""
    for _ in range(100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"still not true after 5 s: {expression}")


def visible(text: str) -> str:
    """Leave out plotly.js, which is 4.8 MB of somebody else's text."""
    scripts = re.findall(r"<script>.*?</script>", text, flags=re.DOTALL)
    return text.replace(max(scripts, key=len), "")


def test_nothing_of_the_template_is_left_and_every_element_closes(make_run: Callable[..., Any]) -> None:
    text = visible(page_text(*make_run()))
    assert "$" not in re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL).replace("${", "")
    for name in ("section", "table", "div", "dl", "script", "details", "main"):
        assert len(re.findall(rf"<{name}[ >]", text)) == text.count(f"</{name}>"), name


def test_hostile_names_stay_text(make_run: Callable[..., Any]) -> None:
    text = visible(page_text(*hostile(make_run())))
    assert "<script>window" not in text
    assert "<img" not in text
    assert text.count("</script>") == 2, "the plot's data and the page's own script"
    described = json.loads(re.findall(r'id="plot-data">(.*?)</script>', text, flags=re.DOTALL)[0])
    hovers = [text for trace in described["data"] for text in trace.get("hovertext", [])]
    assert any("&lt;script&gt;" in hover for hover in hovers)
    assert not any("<script" in hover or "<img" in hover for hover in hovers)


@pytest.mark.parametrize("bad", ["</script>", "<!--<script>", "\u2028", "&amp;", "]]>"])
def test_embedded_json_cannot_break_out_and_reads_back(bad: str) -> None:
    text = embedded_json({"name": bad})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == {"name": bad}


def test_failures_are_counted_by_reason(make_run: Callable[..., Any]) -> None:
    text = page_text(*make_run())
    assert "Why 2 failed" in text
    assert "2 × runtime refused layer &#x27;stage2.block1.conv2&#x27;" in text


@pytest.mark.parametrize("keep", [0, 1, 2, 3])
def test_runs_that_hardly_began_have_a_page(make_run: Callable[..., Any], keep: int) -> None:
    points, facts = make_run(confirm=False)
    assert "not yet confirmed" in page_text(points[:keep], facts)


def test_a_long_run_stays_small(make_run: Callable[..., Any]) -> None:
    assert len(page_text(*make_run(trials=2000, layers=60))) < 6_000_000


def test_heat_map_tells_formats_of_the_same_bits_apart(make_run: Callable[..., Any]) -> None:
    points, facts = make_run()
    layers = {"a": {"bits": 8, "format": "int8-dynamic"}, "b": {"bits": 8, "format": "int8-weights"}}
    points = [replace(point, layers=layers) if point.layers else point for point in points]
    text = page_text(points, facts)
    assert 'title="8-bit dynamic"' in text
    assert 'title="8-bit weights only"' in text
    assert "<b>d</b> dynamic" in text
    assert "<b>w</b> weights only" in text


def test_heat_map_shows_sparsity_only_where_there_is_some(make_run: Callable[..., Any]) -> None:
    assert "sparsity" not in visible(page_text(*make_run()))
    assert "<b>s50%</b> sparsity" in page_text(*make_run(sparse=True))


def test_instructions_are_never_called_time(emulated_run: Any) -> None:
    text = visible(page_text(*emulated_run))
    described = json.loads(re.findall(r'id="plot-data">(.*?)</script>', text, flags=re.DOTALL)[0])
    assert described["layout"]["xaxis2"]["title"]["text"] == (
        "Millions of instructions per inference (emulated), not time"
    )
    assert "emulated, not time" in described["layout"]["xaxis"]["title"]["text"]
    assert described["fp32_cost"] == 533.0
    assert '<p class="kind">instructions (emulated), not time</p>' in text
    assert "2.91× fewer instructions" in text
    said = re.sub(r"<script.*?</script>|<style>.*?</style>", "", text, flags=re.DOTALL) + json.dumps(described)
    assert " ms" not in said
    assert "peedup" not in said
    assert "latency" not in said.replace("before you promise\na latency", "")


def test_a_measured_run_says_nothing_of_emulation(make_run: Callable[..., Any]) -> None:
    text = visible(page_text(*make_run()))
    assert '<p class="kind" hidden></p>' in text
    assert "emulat" not in text
    assert "On the target" not in text


def test_another_answer_on_the_target_is_said_in_words(board_run: Any) -> None:
    text = visible(page_text(*board_run))
    cells = re.findall(r'<td class="differs" data-value="[^"]*">(.*?)</td>', text)
    assert cells == ["on the target 0.9702, here 0.9792: differs beyond the interval"]
    assert "differs from this host&#x27;s beyond the interval for #1." in text
    assert "on the target it runs in float (FusedConv)" in text
    assert text.count(">On the target<") == 2, "the column and its explanation"
    described = json.loads(re.findall(r'id="plot-data">(.*?)</script>', text, flags=re.DOTALL)[0])
    assert any("on the target 0.9702" in note["text"] for note in described["layout"]["annotations"])


@pytest.mark.browser
def test_an_emulated_run_is_drawn_with_instructions_above(emulated_run: Any, open_page: Callable[..., Page]) -> None:
    page = open_page(emulated_run)
    assert page.locator("#plot .x2title").text_content() == (
        "Millions of instructions per inference (emulated), not time"
    )
    shown = {float(text) for text in page.locator("#plot .x2tick text").all_text_contents()}
    assert {200.0, 500.0} <= shown
    assert page.locator("p.kind").is_visible()


@pytest.mark.browser
def test_plot_is_drawn_with_its_labels(make_run: Callable[..., Any], open_page: Callable[..., Page]) -> None:
    page = open_page(make_run())
    labels = page.locator("#plot .annotation-text").all_text_contents()
    assert any(label.startswith("FP32 1.67 ms") for label in labels)
    assert any("knee" in label for label in labels)
    assert page.locator("#plot .errorbar").count() >= 6
    assert page.locator("#plot .xtitle").text_content() == "Speedup over FP32 (×), more is faster"
    assert page.locator("#plot .x2title").text_content() == "Latency (ms)"


@pytest.mark.browser
def test_hovering_tells_policy_and_figures(make_run: Callable[..., Any], open_page: Callable[..., Page]) -> None:
    page = open_page(make_run())
    front = page.locator("#plot .scatterlayer .trace", has=page.locator(".errorbar")).last.locator(".point").last
    box = front.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("#plot .hoverlayer .hovertext")
    told = page.locator("#plot .hoverlayer").text_content() or ""
    assert re.search(r"as fast \[.*ms.*drop .*\[.*\] points.*layers 8-bit", told), told


@pytest.mark.browser
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


@pytest.mark.browser
def test_zooming_keeps_latency_above_its_speedup(make_run: Callable[..., Any], open_page: Callable[..., Page]) -> None:
    page = open_page(make_run())
    page.evaluate("Plotly.relayout('plot', {'xaxis.range': [1, 2]})")
    until(page, "document.getElementById('plot').layout.xaxis2.range[1] === 2")
    places, names = page.evaluate(
        "(({tickvals, ticktext}) => [tickvals, ticktext])(document.getElementById('plot').layout.xaxis2)"
    )
    assert len(places) >= 4
    assert [1.67 / float(name) for name in names] == pytest.approx(places)


@pytest.mark.browser
def test_dark_and_light_follow_the_system(make_run: Callable[..., Any], open_page: Callable[..., Page]) -> None:
    page = open_page(make_run(), color_scheme="dark")

    def colors() -> Any:
        return page.evaluate(
            "[getComputedStyle(document.body).backgroundColor, document.getElementById('plot').layout.paper_bgcolor]"
        )

    assert colors() == ["rgb(21, 24, 28)", "#15181c"]
    page.emulate_media(color_scheme="light")
    until(page, "document.getElementById('plot').layout.paper_bgcolor === '#ffffff'")
    assert colors() == ["rgb(255, 255, 255)", "#ffffff"]


@pytest.mark.browser
def test_hostile_names_do_nothing_in_a_browser(make_run: Callable[..., Any], open_page: Callable[..., Page]) -> None:
    page = open_page(hostile(make_run()))
    assert page.evaluate("window.hacked") is None
    assert page.locator("img").count() == 0
    assert page.locator("h1").text_content() == f"{HOSTILE} on {HOSTILE}"


@pytest.mark.browser
def test_narrow_windows_scroll_inside_only(make_run: Callable[..., Any], open_page: Callable[..., Page]) -> None:
    page = open_page(make_run(trials=200, layers=60))
    page.set_viewport_size({"width": 480, "height": 800})
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
