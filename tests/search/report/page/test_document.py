"""The page stands alone, escapes what it is given, and says what there is to say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.point import TrialPoint
from search.report.page import page_text
from search.report.page.embedding import embedded_json


def said(text: str) -> str:
    """What a reader is shown as text: no scripts, no style."""
    return re.sub(r"<script.*?</script>|<style>.*?</style>", "", text, flags=re.DOTALL)


def data_of(text: str) -> Any:
    return json.loads(re.findall(r'id="page-data">(.*?)</script>', text, flags=re.DOTALL)[0])


def test_nothing_of_the_template_is_left_and_every_element_closes(make_run: Callable[..., Any]) -> None:
    text = page_text(*make_run())
    assert "$" not in said(text)
    for name in ("section", "table", "div", "dl", "script", "details", "main"):
        assert len(re.findall(rf"<{name}[ >]", text)) == text.count(f"</{name}>"), name


def test_hostile_names_stay_text(make_run: Callable[..., Any], hostile: Callable[..., Any]) -> None:
    text = page_text(*hostile(make_run()), run=Path("</script><img src=x>"))
    assert "<script>window" not in text
    assert "<img" not in text
    assert text.count("</script>") == 3, "the page's data, plotly.js and the page's own script"
    shown = data_of(text)["runs"][0]
    assert any("<script>window.hacked" in line for lines in shown["lines"] for line in lines), (
        "kept, and escaped as JSON"
    )


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
    assert len(page_text(*make_run(trials=2000, layers=60, sparse=True))) < 3_500_000


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
    assert "<b>s50%</b>" not in page_text(*make_run())
    assert "<b>s50%</b> sparsity" in page_text(*make_run(sparse=True))


def test_instructions_are_never_called_time(emulated_run: Any) -> None:
    text = page_text(*emulated_run, run=Path("r"))
    data = data_of(text)
    layout = data["plot"]["layout"]
    assert layout["xaxis2"]["title"]["text"] == "Millions of instructions per inference (emulated), not time"
    assert "emulated, not time" in layout["xaxis"]["title"]["text"]
    assert data["plot"]["fp32_cost"] == 533.0
    assert '<p class="kind">instructions (emulated), not time</p>' in text
    assert "2.91× fewer instructions" in text
    shown = said(text) + json.dumps(data)
    for word in (" ms", "peedup", "latency_ms", "--max-latency", "fastest"):
        assert word not in shown
    assert "latency" not in shown.replace("before you promise\na latency", "")


def test_a_measured_run_says_nothing_of_emulation(make_run: Callable[..., Any]) -> None:
    text = said(page_text(*make_run()))
    assert '<p class="kind" hidden></p>' in text
    assert "emulat" not in text
    assert "On the target" not in text


def test_another_answer_on_the_target_is_said_in_words(board_run: Any) -> None:
    text = page_text(*board_run)
    cells = re.findall(r'<td class="differs" data-value="[^"]*">(.*?)</td>', text)
    assert cells == ["on the target 0.9702, here 0.9792: differs beyond the interval"]
    assert "differs from this host&#x27;s beyond the interval for #1." in text
    assert "on the target it runs in float (FusedConv)" in text
    assert said(text).count(">On the target<") == 2, "the column and its explanation"
    notes = data_of(text)["plot"]["layout"]["annotations"]
    assert any("on the target 0.9702" in note["text"] for note in notes)


def test_stopped_trials_are_counted_with_their_reasons_and_drawn_nowhere(make_run: Callable[..., Any]) -> None:
    points, facts = make_run()
    stopped = TrialPoint(
        number=40, digest="5" * 64, state="pruned", reason="dominated after 250 of 1000 samples", metric=0.9,
        metric_drop=0.08, metric_drop_low=0.05, metric_drop_high=0.11,
    )  # fmt: skip
    text = page_text([*points, stopped], replace(facts, trials_stopped=1))
    assert "38 trials finished, 1 stopped early, 2 failed" in text
    assert "Why 1 were stopped early" in text
    assert "1 × dominated after 250 of 1000 samples" in text
    assert "Not drawn either: 1 trial, stopped early." in text
    assert 40 not in data_of(text)["runs"][0]["number"]


def test_a_run_without_an_account_of_its_search_has_no_such_section(make_run: Callable[..., Any]) -> None:
    assert "How the search went" not in page_text(*make_run())
