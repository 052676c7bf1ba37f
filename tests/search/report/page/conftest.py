"""A real browser, and runs opened in it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from search.report.page import page_text

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = '<script>window.hacked=1</script></script><img src=x onerror="window.hacked=2">&amp;$metric'
RUN = Path("results/my run")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOLD_IDLE = """
  const held = [];
  window.requestIdleCallback = (run) => held.push(run);
  window.releaseIdle = () => {
    window.requestIdleCallback = (run) => setTimeout(run);
    held.forEach((run) => run());
  };
"""
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium on the path: install the system's package (Debian: chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def open_text(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    """Open a page and let it draw everything; afterwards, check that it neither complained nor asked for anything.

    With `holds_idle` the browser never has idle time, so that only what comes first is drawn, until `releaseIdle()`
    is called in it.
    """
    pages, complaints, requests = [], [], []

    def show(text: str, *, holds_idle: bool = False, **context: Any) -> Page:
        path = tmp_path / "pareto.html"
        path.write_text(text, encoding="utf-8")
        page = browser.new_page(viewport={"width": 1400, "height": 900}, **context)
        pages.append(page)
        if holds_idle:
            page.add_init_script(HOLD_IDLE)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri(), timeout=120_000)
        page.wait_for_selector("html[data-ready-ms]" if holds_idle else "html[data-drawn-ms]", timeout=120_000)
        return page

    yield show
    for page in pages:
        page.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []


@pytest.fixture
def open_page(open_text: Callable[..., Page]) -> Callable[..., Page]:
    """Open the page of a run."""

    def open_run(run: tuple[Any, Any], **context: Any) -> Page:
        return open_text(page_text(*run, run=RUN), **context)

    return open_run


@pytest.fixture
def until() -> Callable[[Page, str], None]:
    """Give the function that waits until an expression is true in a page."""
    return wait_until


def wait_until(page: Page, expression: str) -> None:
    # Not `wait_for_function`, whose eval the page's own security policy forbids.
    for _ in range(100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"still not true after 5 s: {expression}")


@pytest.fixture
def hostile() -> Callable[..., Any]:
    """Give the function that names everything in a run as an attacker would."""
    return hostile_run


def hostile_run(run: tuple[Any, Any]) -> tuple[Any, Any]:
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
