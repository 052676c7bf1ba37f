"""How a search went, in the terminal and on the page."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from search.account.account import NO_ACCOUNT, SearchAccount
from search.account.convergence import Convergence, Progress
from search.account.layer_worth import LayerWorth
from search.account.prediction_fit import Foreseen, PredictionFit
from search.report.account_words import account_lines
from search.report.page import page_text


def worth(layer: str, saved: float, divergence: float | None = 0.002, own: float | None = 0.15) -> LayerWorth:
    return LayerWorth(
        layer=layer, format="int8", saved_share=saved, divergence=divergence, own_share=own, chosen=4, front_size=5
    )


ACCOUNT = SearchAccount(
    convergence=Convergence(
        reference_drop=0.0231,
        steps=tuple(
            Progress(trials=at + 1, seconds=60.0 * (at + 1), hypervolume=volume)
            for at, volume in enumerate((0.0, 0.004, 0.0118, 0.012))
        ),
    ),
    fit=PredictionFit(
        predictions=tuple(
            Foreseen(number=at, predicted=0.5 * (1 + error), measured=0.5)
            for at, error in enumerate((0.0, 0.01, 0.04, 0.08, 0.30))
        )
    ),
    worths=(worth("stage2.conv1", 0.112), worth("stage1.conv1", 0.031), worth("head<b>", -0.02)),
)


def test_the_terminal_says_how_far_how_well_and_where(make_run: Callable[..., Any]) -> None:
    _, facts = make_run()
    lines = account_lines(ACCOUNT, facts)
    assert lines[0] == (
        "hypervolume 0.012 (against FP32's latency and a drop of 2.31 points); 90% of it after 3 trials and 3 min 0 s"
    )
    assert lines[1] == "latency foreseen of 5 trials: median error 4.0%, 60% within 5%, 80% within 10%"
    assert lines[3].startswith("layers to quantize for speed: 2 of 3 save latency")
    assert re.split(r"\s{2,}", lines[4].strip()) == [
        "layer", "format", "saves", "takes in FP32", "on the front", "divergence alone",
    ]  # fmt: skip
    assert re.split(r"\s{2,}", lines[5].strip()) == ["stage2.conv1", "int8", "11.2%", "15.0%", "4 of 5", "0.002"]
    assert lines[7] == "  no format saves anything in: head<b>"
    assert all(len(line) <= 130 for line in lines)


def test_a_model_that_has_learned_is_judged_by_its_latest(make_run: Callable[..., Any]) -> None:
    _, facts = make_run()
    errors = [0.2] * 30 + [0.01] * 20
    fit = PredictionFit(
        predictions=tuple(Foreseen(number=at, predicted=1 + error, measured=1.0) for at, error in enumerate(errors))
    )
    (line,) = account_lines(SearchAccount(fit=fit), facts)
    assert line.endswith("median error 20.0%, 40% within 5%, 40% within 10%; of the latest 20: 1.0%")


def test_what_is_not_known_is_not_said(make_run: Callable[..., Any]) -> None:
    _, facts = make_run()
    assert account_lines(NO_ACCOUNT, facts) == []
    alone = SearchAccount(worths=(worth("a", 0.1, None, None),))
    assert not any("divergence" in line or "takes" in line for line in account_lines(alone, facts))
    useless = SearchAccount(worths=(worth("a", -0.1),))
    assert account_lines(useless, facts)[-1] == "  no format saves anything in: a"


def test_long_rankings_are_cut_in_the_terminal_and_say_so(make_run: Callable[..., Any]) -> None:
    _, facts = make_run()
    many = SearchAccount(worths=tuple(worth(f"layer{at}", 0.2 - 0.01 * at) for at in range(40)))
    lines = account_lines(many, facts)
    assert sum("int8" in line for line in lines) == 8
    assert "and 12 more" in lines[-1]


def test_the_page_has_curves_a_scatter_and_bars(make_run: Callable[..., Any]) -> None:
    points, facts = make_run()
    text = page_text(points, facts, ACCOUNT)
    section = re.findall(r'<section aria-labelledby="account-title".*?</section>', text, flags=re.DOTALL)[0]
    assert section.count('class="curve"') == 2
    assert section.count('class="dot"') == 5
    assert 'aria-label="Hypervolume over 4 trials"' in section
    assert "minutes of searching" in section
    shares = [float(share) for share in re.findall(r"--share: ([\d.]+)", section)]
    assert shares == [1.0, pytest.approx(0.031 / 0.112, abs=1e-3), 0.0]
    assert "head&lt;b&gt;" in section
    assert "−2.0%" in section


def test_instructions_are_never_called_time(emulated_run: Any) -> None:
    points, facts = emulated_run
    text = page_text(points, facts, ACCOUNT)
    section = re.findall(r'<section aria-labelledby="account-title".*?</section>', text, flags=re.DOTALL)[0]
    for said in (section, "\n".join(account_lines(ACCOUNT, facts))):
        assert "instructions" in said
        for word in ("latency", "speed", " ms"):
            assert word not in said
