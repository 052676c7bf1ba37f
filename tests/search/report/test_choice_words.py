"""What is said of a choice and of a refusal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from search.choosing.budgets import Budget
from search.choosing.choice import Choice, Refusal, choose
from search.report.choice_words import choice_lines, document_of, refusal_lines

RUN = Path("results/my run")


def test_figures_stand_with_their_intervals_and_the_command_is_quoted(make_run: Callable[..., Any]) -> None:
    points, facts = make_run()
    budgets = [Budget(name="max_drop", limit=0.005)]
    answer = choose(points, budgets)
    assert isinstance(answer, Choice)
    lines = choice_lines(answer, budgets, facts, RUN)
    point = answer.point
    assert f"#{point.number} {point.digest[:8]}" in lines[0]
    assert "the fastest of" in lines[0]
    assert "that keep --max-drop 0.005" in lines[0]
    assert f"  speedup      {point.speedup:.2f}× [{1 / point.latency_ratio_high:.2f}×, " in lines[1]
    assert lines[2].startswith("  latency      ")
    assert " ms [" in lines[2]
    assert lines[-1] == (
        f"export it:  paretune export 'results/my run' --point {point.digest[:12]} --out bundle-{point.digest[:8]}"
    )


def test_a_conflict_names_every_budget_with_its_price(make_run: Callable[..., Any]) -> None:
    points, facts = make_run()
    fastest = max((p for p in points if p.confirmed), key=lambda p: p.speedup)
    budgets = [Budget(name="min_speedup", limit=fastest.speedup), Budget(name="max_drop", limit=0.0)]
    answer = choose(points, budgets)
    assert isinstance(answer, Refusal)
    lines = refusal_lines(answer, facts)
    assert lines[0] == "each budget is kept by some confirmed point, but no point keeps all of them"
    assert lines[1].startswith("all but --min-speedup ")
    assert "×, drop" not in lines[1].split("misses it by")[1]
    assert lines[2].startswith("all but --max-drop 0 (0.00 points): nearest #")
    assert lines[2].endswith(" points")


def test_instructions_are_never_called_time(emulated_run: Any) -> None:
    points, facts = emulated_run
    answer = choose(points, [Budget(name="max_drop", limit=0.005)])
    assert isinstance(answer, Choice)
    said = "\n".join(choice_lines(answer, [Budget(name="max_drop", limit=0.005)], facts, RUN))
    assert "M instr." in said
    assert "fewest instructions" in said
    for word in (" ms", "latency", "speedup", "fastest"):
        assert word not in said


def test_a_document_has_no_missing_figures_in_it(emulated_run: Any) -> None:
    points, facts = emulated_run
    document = document_of(choose(points, [], knee=True), [], facts, RUN, knee=True)
    assert "latency_ms" not in document["chosen"]
    assert document["chosen"]["instructions"] > 0


def test_another_answer_of_the_target_is_a_warning(board_run: Any) -> None:
    points, facts = board_run
    differing = [point for point in points if point.target_differs]
    answer = choose(differing, [], knee=True)
    assert isinstance(answer, Choice)
    said = "\n".join(choice_lines(answer, [], facts, RUN))
    assert "warning      on the target 0.9702, here 0.9792: differs beyond the interval" in said
