"""Choosing in the page, in a real browser: points, policies, commands, budgets and devices."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from search.account.selection import select
from search.choosing.budgets import Budget
from search.choosing.choice import Choice, choose
from search.report.commands import export_command
from search.report.page import PageRun, overlay_text

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from search.point import TrialPoint

    Until = Callable[[Page, str], None]

pytestmark = pytest.mark.browser

RUN = Path("results/my run")


def chosen(page: Page) -> str:
    return page.locator("#policy-title").text_content() or ""


def layers_shown(page: Page) -> dict[str, list[str]]:
    rows = page.locator("#policy-table tbody tr").evaluate_all(
        "rows => rows.map(row => Array.from(row.children).map(cell => cell.textContent))"
    )
    return {name: settings for name, *settings in rows}


def expected_layers(point: TrialPoint) -> dict[str, str]:
    return {name: "FP32" if layer["bits"] == 32 else "8-bit" for name, layer in point.layers.items()}


def center_of(page: Page, point: TrialPoint, fp32_metric: float) -> tuple[float, float]:
    """Where a confirmed point is drawn, from the axes themselves."""
    place: list[float] = page.evaluate(
        "([x, y]) => { const plot = document.getElementById('plot'); const box = plot.getBoundingClientRect();"
        "const {xaxis, yaxis} = plot._fullLayout;"
        "return [box.left + xaxis._offset + xaxis.d2p(x), box.top + yaxis._offset + yaxis.d2p(y)]; }",
        [point.speedup, fp32_metric - point.metric_drop],
    )
    return place[0], place[1]


def set_slider(page: Page, column: str, value: float) -> None:
    page.locator(f"#budget-{column}").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input', {bubbles: true})); }", value
    )


def grey_rows(page: Page) -> set[int]:
    numbers = page.locator("#front tbody tr.broken th").evaluate_all("heads => heads.map(head => head.dataset.value)")
    return {int(number) for number in numbers}


def test_a_click_shows_the_points_layers_and_the_command_that_exports_it(
    make_run: Callable[..., Any], open_page: Callable[..., Page]
) -> None:
    points, facts = make_run(sparse=True)
    page = open_page((points, facts))
    selection = select(points)
    assert selection.knee is not None
    assert chosen(page).startswith(f"Point #{selection.knee.number} ("), "before anyone chooses"
    fastest = selection.front[-1]
    page.mouse.click(*center_of(page, fastest, facts.fp32_metric))
    page.locator("#policy-title", has_text=f"#{fastest.number}").wait_for()
    shown = layers_shown(page)
    assert {name: settings[0] for name, settings in shown.items()} == expected_layers(fastest)
    for name, (_, sparsity, rank) in shown.items():
        layer = fastest.layers[name]
        assert sparsity == (f"{layer['sparsity']:.0%}" if layer["sparsity"] else "–")
        assert rank == ("–" if layer["rank"] is None else f"{layer['rank']:g}")
    assert page.locator("#policy-command").text_content() == shlex.join(export_command(RUN, fastest))
    page.locator("#policy-copy").click()
    page.locator("#policy-copied", has_text="Copied.").wait_for()


def test_a_searched_point_has_layers_and_no_export_command(
    make_run: Callable[..., Any], open_page: Callable[..., Page]
) -> None:
    points, facts = make_run()
    page = open_page((points, facts))
    searched = next(p for p in points if p.state == "complete" and not p.confirmed and p.metric_drop < 0.01)
    page.mouse.click(*center_of(page, searched, facts.fp32_metric))
    page.locator("#policy-title", has_text=f"#{searched.number}").wait_for()
    assert not page.locator("#policy-command-box").is_visible()
    assert "cannot be exported" in (page.locator("#policy-export-note").text_content() or "")
    assert {name: settings[0] for name, settings in layers_shown(page).items()} == expected_layers(searched)


def test_the_keyboard_moves_along_the_front_and_opens_points(
    make_run: Callable[..., Any], open_page: Callable[..., Page]
) -> None:
    points, facts = make_run()
    page = open_page((points, facts))
    front = select(points).front
    keys = page.locator("#keys")
    keys.focus()
    page.keyboard.press("Home")
    for point in front[:3]:
        active = page.locator(f"#{keys.get_attribute('aria-activedescendant')}")
        assert (active.text_content() or "").startswith(f"#{point.number}")
        page.keyboard.press("Enter")
        assert chosen(page).startswith(f"Point #{point.number}")
        assert active.get_attribute("aria-selected") == "true"
        page.keyboard.press("ArrowRight")
    assert page.locator('#keys [aria-selected="true"]').count() == 1
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert chosen(page).startswith(f"Point #{front[-1].number}")
    page.locator("#front tbody button.point").first.focus()
    page.keyboard.press("Enter")
    assert chosen(page).startswith(f"Point #{front[0].number}")
    # Everything that can be reached by Tab says what it is.
    names = page.evaluate(
        "Array.from(document.querySelectorAll('button, input, [tabindex=\"0\"]'))"
        ".filter((one) => one.checkVisibility()).filter((one) => !(one.textContent.trim()"
        "|| one.ariaLabel || one.getAttribute('aria-labelledby')"
        "|| one.labels?.length)).map((one) => one.outerHTML)"
    )
    assert names == []


def test_sliders_and_numbers_grey_out_what_breaks_the_budgets_and_name_the_best(
    make_run: Callable[..., Any], open_page: Callable[..., Page], until: Until
) -> None:
    points, facts = make_run()
    page = open_page((points, facts))
    front = select(points).front
    assert grey_rows(page) == set()
    limit_ms = (front[2].latency_ms + front[3].latency_ms) / 2
    set_slider(page, "cost", round(limit_ms, 2))
    limit_ms = float(page.locator("#budget-cost").input_value())
    slow = {point.number for point in front if point.latency_ms > limit_ms}
    assert grey_rows(page) == slow
    assert 0 < len(slow) < len(front)
    until(page, f"document.querySelectorAll('#plot .point.broken').length > {len(slow)}")
    page.locator("#budgets input[type=number]").nth(1).fill("0.5")
    both = slow | {point.number for point in front if 100 * point.metric_drop > 0.5}
    assert grey_rows(page) == both
    assert "breaks" in (page.locator("#front tr.broken .breaks").first.text_content() or "")
    budgets = [Budget(name="max_latency_ms", limit=limit_ms), Budget(name="max_drop", limit=0.005)]
    answer = choose(points, budgets)
    best = page.locator("#budget-answer")
    if isinstance(answer, Choice):
        assert f"Best: #{answer.point.number}" in (best.text_content() or "")
        assert answer.rule in (best.text_content() or "")
        best.locator("button").click()
        assert chosen(page).startswith(f"Point #{answer.point.number}")
    else:
        assert best.text_content() == "No confirmed point keeps these budgets."
    page.locator("#budgets-reset").click()
    assert grey_rows(page) == set()
    assert best.text_content() == ""
    assert page.locator("#budget-cost").get_attribute("aria-valuetext") == "no limit"


@pytest.mark.parametrize(
    "limits", [{"cost": 0.6}, {"drop": 0.8}, {"cost": 1.6, "drop": 0.5}, {"size": 0.36}, {"size": 0.36, "drop": 0.8}]
)
def test_the_page_and_paretune_select_choose_the_same(
    make_run: Callable[..., Any], open_page: Callable[..., Page], limits: dict[str, float]
) -> None:
    points, facts = make_run()
    page = open_page((points, facts))
    names = {"cost": ("max_latency_ms", 1.0), "drop": ("max_drop", 0.01), "size": ("max_size_mb", 1.0)}
    budgets = [Budget(name=names[column][0], limit=limit * names[column][1]) for column, limit in limits.items()]
    for column, limit in limits.items():
        page.evaluate("([column, limit]) => paretune.setLimit(column, limit)", [column, limit])
    answer = choose(points, budgets)
    assert isinstance(answer, Choice)
    said = page.locator("#budget-answer").text_content() or ""
    assert f"Best: #{answer.point.number}" in said
    assert f"{answer.rule} of {answer.keeping} confirmed" in said
    command = shlex.split(page.locator("#budget-answer code").text_content() or "")
    assert command[:3] == ["paretune", "select", str(RUN)]
    given = dict(zip(command[3::2], map(float, command[4::2]), strict=True))
    assert given == {budget.quantity.option: pytest.approx(budget.limit) for budget in budgets}


def test_the_toggle_wins_over_the_system(
    make_run: Callable[..., Any], open_page: Callable[..., Page], until: Until
) -> None:
    page = open_page(make_run(), color_scheme="dark")

    def background() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    assert background() == "rgb(21, 24, 28)"
    toggle = page.locator("#theme")
    assert toggle.get_attribute("aria-label") == "Switch to light colours"
    toggle.click()
    assert background() == "rgb(255, 255, 255)"
    until(page, "document.getElementById('plot').layout.paper_bgcolor === '#ffffff'")
    assert toggle.get_attribute("aria-label") == "Switch to dark colours"


def test_devices_lie_on_one_another(make_run: Callable[..., Any], open_text: Callable[..., Page]) -> None:
    desk, facts = make_run()
    board, _ = make_run(seed=8)
    slower = [replace(p, latency_ms=4 * p.latency_ms) if p.state == "complete" else p for p in board]
    on_board = replace(facts, target_name="raspberry-pi-5", fp32_latency_ms=4 * (facts.fp32_latency_ms or 0))
    runs = [
        PageRun(points=desk, facts=facts, folder=Path("results/desk")),
        PageRun(points=slower, facts=on_board, folder=Path("results/board")),
    ]
    page = open_text(overlay_text(runs))
    legend = page.locator("#plot .legendtext").all_text_contents()
    assert legend == ["local-cpu", "raspberry-pi-5"]
    assert page.locator("#plot .xtitle").text_content() == "Latency (ms), less is better"
    fronts = [select(run.points).front for run in runs]
    assert page.locator("#front tbody tr").count() == sum(map(len, fronts))
    page.locator("#front tbody tr", has_text="raspberry-pi-5").last.locator("button.point").click()
    point = fronts[1][-1]
    assert chosen(page) == f"#{point.number} on raspberry-pi-5"
    assert page.locator("#policy-command").text_content() == shlex.join(export_command("results/board", point))
    page.evaluate("paretune.setLimit('drop', 0.5)")
    answers = page.locator("#budget-answer p").all_text_contents()
    assert "of local-cpu" in answers[0]
    assert "of raspberry-pi-5" in answers[1]
