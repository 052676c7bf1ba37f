"""`paretune select` on a finished run: the point, what stands in the way, and the exit codes."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from search import RunResult
from search.cli.app import run_app
from search.folder.run_folder import RunFolder

Shown = pytest.CaptureFixture[str]


def select(capsys: Shown, *arguments: object) -> tuple[int, str, str]:
    code = run_app(["select", *map(str, arguments)])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_the_chosen_point_is_shown_with_its_figures_and_its_export(capsys: Shown, finished: RunResult) -> None:
    smallest = min((point for point in finished.points if point.confirmed), key=lambda point: point.model_bytes or 0)
    megabytes = (smallest.model_bytes or 0) / 1e6
    code, out, err = select(capsys, finished.folder, "--max-size-mb", megabytes)
    assert (code, err) == (0, "")
    assert out.startswith(f"#{smallest.number} {smallest.digest[:8]}")
    assert "the most accurate of 1 confirmed point that keeps --max-size-mb" in out
    command = shlex.split(out.splitlines()[-1].removeprefix("export it:"))
    assert command[:5] == ["paretune", "export", str(finished.folder), "--point", smallest.digest[:12]]


def test_json_says_the_same_to_scripts(capsys: Shown, finished: RunResult) -> None:
    code, out, _ = select(capsys, finished.folder, "--max-drop", 1000, "--json")
    answer = json.loads(out)
    fastest = min((point for point in finished.points if point.confirmed), key=lambda point: point.latency_ratio)
    assert code == 0
    assert answer["chosen"]["digest"] == fastest.digest
    assert answer["chosen"]["latency_ratio"] == fastest.latency_ratio
    assert answer["rule"] == "the fastest"
    assert answer["budgets"] == {"max_drop": 1000.0}
    assert set(answer["chosen"]["layers"]) == {"conv1", "conv2", "head"}


def test_the_knee_keeps_the_other_budgets(capsys: Shown, finished: RunResult) -> None:
    code, out, _ = select(capsys, finished.folder, "--knee", "--min-speedup", 0.01, "--json")
    answer = json.loads(out)
    assert code == 0
    assert answer["knee"] is True
    assert answer["keeping"] == sum(point.confirmed for point in finished.points)


def test_a_budget_that_none_keeps_exits_1_and_says_by_how_much(capsys: Shown, finished: RunResult) -> None:
    code, out, err = select(capsys, finished.folder, "--min-speedup", 1000, "--max-drop", 1000)
    fastest = min((point for point in finished.points if point.confirmed), key=lambda point: point.latency_ratio)
    assert (code, err) == (1, "")
    assert out.startswith(f"no confirmed point keeps --min-speedup 1000; nearest #{fastest.number} (")
    assert "misses it by" in out
    code, out, _ = select(capsys, finished.folder, "--min-speedup", 1000, "--json")
    answer: dict[str, Any] = json.loads(out)
    assert code == 1
    assert answer["chosen"] is None
    assert answer["impossible"][0]["excess"] == pytest.approx(1000 - fastest.speedup)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say what can be afforded"),
        (["--max-latency-ms", "0"], "--max-latency-ms must be above 0, got 0"),
        (["--max-drop", "nan"], "--max-drop takes a finite number, got nan"),
        (["--max-size-mb", "large"], "for '--max-size-mb'"),
    ],
)
def test_a_wrong_call_exits_2(capsys: Shown, finished: RunResult, arguments: list[str], said: str) -> None:
    code, out, err = select(capsys, finished.folder, *arguments)
    assert (code, out) == (2, "")
    assert said in err


def test_nothing_is_chosen_before_the_confirmation(capsys: Shown, run_copy: Path) -> None:
    RunFolder(run_copy).confirmations_path.unlink()
    code, _, err = select(capsys, run_copy, "--knee")
    assert code == 2
    assert "is confirmed yet" in err
    assert select(capsys, run_copy / "nothing", "--knee")[0] == 2
