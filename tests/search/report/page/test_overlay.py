"""Several runs on one page, where they can be compared."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search.errors import SearchError
from search.report.page import PageRun, overlay_text


def page_run(run: Any, name: str) -> PageRun:
    points, facts = run
    return PageRun(points=points, facts=replace(facts, target_name=name), folder=Path(name))


def test_each_run_has_a_colour_a_shape_and_its_rows(make_run: Callable[..., Any]) -> None:
    runs = [page_run(make_run(seed=seed), f"device-{seed}") for seed in (5, 6, 8)]
    text = overlay_text(runs)
    data = json.loads(re.findall(r'id="page-data">(.*?)</script>', text, flags=re.DOTALL)[0])
    marks = [trace for trace in data["plot"]["data"] if trace["mode"] == "markers"]
    fronts = [trace for trace in marks if trace["name"] != "FP32"]
    hollow = [trace for trace in marks if trace["name"] == "FP32"]
    assert [trace["marker"]["symbol"] for trace in hollow] == ["circle-open", "square-open", "diamond-open"]
    assert [trace["meta"]["role"] for trace in fronts] == ["run-0", "run-1", "run-2"]
    assert [trace["marker"]["symbol"] for trace in fronts] == ["circle", "square", "diamond"]
    assert data["plot"]["fp32_cost"] is None
    assert [run["folder"] for run in data["runs"]] == ["device-5", "device-6", "device-8"]
    assert "3 runs on one another" in text
    assert text.count('data-run="2"') == len(fronts[2]["x"]) + 1


def test_devices_far_apart_share_a_logarithmic_axis(make_run: Callable[..., Any]) -> None:
    points, facts = make_run()
    slow = [replace(p, latency_ms=50 * p.latency_ms) if p.state == "complete" else p for p in points]
    board = (slow, replace(facts, fp32_latency_ms=50 * facts.fp32_latency_ms))
    for runs, kind in (([(points, facts), board], "log"), ([(points, facts)] * 2, "linear")):
        text = overlay_text([page_run(run, f"d{at}") for at, run in enumerate(runs)])
        data = json.loads(re.findall(r'id="page-data">(.*?)</script>', text, flags=re.DOTALL)[0])
        assert data["plot"]["layout"]["xaxis"]["type"] == kind


def test_what_cannot_be_compared_is_refused(make_run: Callable[..., Any], emulated_run: Any) -> None:
    points, facts = make_run()
    timed = page_run((points, facts), "desk")
    for other, said in (
        (page_run(emulated_run, "arm"), "'arm' counted instructions, which are not time"),
        (page_run((points, replace(facts, metric_name="mse")), "b"), "different metrics, got 'top-1 accuracy', 'mse'"),
        (page_run((points, replace(facts, metric_is_fraction=False)), "b"), "different scales"),
    ):
        with pytest.raises(SearchError, match=said):
            overlay_text([timed, other])
    with pytest.raises(SearchError, match="at most 6 runs"):
        overlay_text([timed] * 7)


def test_runs_on_one_target_are_named_by_their_folders_too(make_run: Callable[..., Any]) -> None:
    points, facts = make_run()
    folders = (Path("results/monday"), Path("results/tuesday"), Path("results/board"))
    names = ("local-cpu", "local-cpu", "board")
    text = overlay_text(
        [
            PageRun(points=points, facts=replace(facts, target_name=name), folder=folder)
            for name, folder in zip(names, folders, strict=True)
        ]
    )
    data = json.loads(re.findall(r'id="page-data">(.*?)</script>', text, flags=re.DOTALL)[0])
    assert [run["target"] for run in data["runs"]] == ["local-cpu, monday", "local-cpu, tuesday", "board"]
    assert "<h1>mnist-resnet on local-cpu, board</h1>" in text
