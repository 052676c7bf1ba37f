"""A point is checked at birth, and a CSV file holds all of it."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.point import COLUMNS, TrialPoint, to_csv, to_frame

FIGURES: dict[str, Any] = {
    "latency_ms": 0.575,
    "latency_ratio": 0.344,
    "latency_ratio_low": 0.34,
    "latency_ratio_high": 0.35,
    "metric": 0.979,
    "metric_drop": 0.004,
    "metric_drop_low": 0.001,
    "metric_drop_high": 0.006,
}
COUNTED: dict[str, Any] = {
    "instructions": 325_000,
    "instructions_ratio": 0.61,
    "instructions_ratio_low": 0.609,
    "instructions_ratio_high": 0.611,
    **dict.fromkeys(("latency_ms", "latency_ratio", "latency_ratio_low", "latency_ratio_high"), math.nan),
}


def point(**changes: Any) -> TrialPoint:
    values = {"number": 3, "digest": "3fa9", "state": "complete", "grade": "clean", **FIGURES, **changes}
    return TrialPoint(**values)


# A CSV file cannot tell "\r\n" inside a cell from "\n": everything else comes back.
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
positive = st.floats(1e-6, 1e6)
drops = st.floats(-1e6, 1e6)


@st.composite
def points(draw: st.DrawFn) -> TrialPoint:
    if draw(st.booleans()):
        state = draw(st.sampled_from(["failed", "duplicate"]))
        return TrialPoint(number=draw(st.integers(0, 10**6)), digest=draw(texts), state=state, reason=draw(texts))
    ratios, losses = sorted(draw(st.tuples(*[positive] * 3))), sorted(draw(st.tuples(*[drops] * 3)))
    confirmed = draw(st.booleans())
    return TrialPoint(
        number=draw(st.integers(0, 10**6)),
        digest=draw(texts),
        latency_ms=draw(positive),
        latency_ratio_low=ratios[0],
        latency_ratio=ratios[1],
        latency_ratio_high=ratios[2],
        grade=draw(texts),
        metric=draw(drops),
        metric_drop_low=losses[0],
        metric_drop=losses[1],
        metric_drop_high=losses[2],
        model_bytes=draw(st.none() | st.integers(0, 2**40)),
        confirmed=confirmed,
        state="complete",
        search_latency_ratio=draw(positive) if confirmed else None,
        search_metric_drop=draw(drops) if confirmed else None,
        label=draw(texts),
        policy_summary=draw(texts),
    )


@given(st.lists(points(), max_size=5))
def test_a_csv_file_holds_every_text_and_every_digit(written: list[TrialPoint]) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(written), newline="")))
    assert len(rows) == len(written)
    for row, one in zip(rows, written, strict=True):
        for name, text in row.items():
            value = getattr(one, name)
            if isinstance(value, float):
                assert float(text or "nan") == value or (not text and math.isnan(value))
            else:
                assert text == ("" if value is None else str(value))


def test_columns_are_the_fields_but_layers() -> None:
    assert len(set(COLUMNS)) == len(COLUMNS)
    assert {field.name for field in dataclasses.fields(TrialPoint) if field.name != "layers"} == set(COLUMNS)
    assert tuple(to_frame([]).columns) == COLUMNS
    assert to_csv([]).strip() == ",".join(COLUMNS)


def test_failed_trials_have_missing_figures() -> None:
    frame = to_frame([TrialPoint(number=0, digest="", state="failed", reason="kernel refused"), point()])
    assert math.isnan(frame["latency_ratio"][0])
    assert pd.isna(frame["model_bytes"][0])
    assert frame["reason"].tolist() == ["kernel refused", ""]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"number": -1}, "number must be 0 or more, got -1"),
        ({"state": ""}, "state must not be empty for trial 3"),
        ({"latency_ratio": math.nan}, "latency_ratio must be finite and above 0 .* got nan for trial 3"),
        ({"latency_ms": 0.0}, "latency_ms must be finite and above 0"),
        ({"metric": math.inf}, "metric must be finite for a complete trial, got inf"),
        ({"latency_ratio_low": 0.4}, "latency_ratio_low must not exceed latency_ratio_high, got 0.4 and 0.35"),
        ({"metric_drop_low": 0.4}, "metric_drop_low must not exceed metric_drop_high"),
        ({"confirmed": True}, "search_latency_ratio must be given exactly for confirmed points"),
        ({"search_metric_drop": 0.1}, "search_metric_drop must be given exactly for confirmed points"),
        ({"target_metric_drop_low": 0.2, "target_metric_drop_high": 0.1}, "target_metric_drop_low must not exceed"),
        ({**COUNTED, "latency_ms": 0.5}, "latency_ms must not stand beside instructions, got 0.5 for trial 3"),
        ({**COUNTED, "instructions": 0}, "instructions must be finite and above 0 for a complete trial, got 0"),
        ({**COUNTED, "confirmed": True, "search_metric_drop": 0.1}, "search_instructions_ratio must be given exactly"),
    ],
)
def test_wrong_values_are_refused_with_the_value(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        point(**changes)


def test_speedup_is_the_inverse_ratio() -> None:
    assert point(latency_ratio=0.25, latency_ratio_low=0.2).speedup == 4.0


def test_instructions_are_a_cost_and_no_speed() -> None:
    counted = point(**COUNTED)
    assert (counted.cost, counted.cost_ratio, counted.gain) == (325_000, 0.61, 1 / 0.61)
    assert math.isnan(counted.speedup)
    assert (point().cost, point().cost_ratio) == (0.575, 0.344)


def test_only_complete_points_with_a_reliable_latency_rank() -> None:
    assert point(grade="contended").rankable
    assert not point(grade="unreliable").rankable
    assert not point(state="duplicate").rankable


def test_points_are_frozen_and_hashable() -> None:
    assert hash(point()) == hash(point())
    with pytest.raises(dataclasses.FrozenInstanceError):
        point().grade = "clean"  # type: ignore[misc]


def test_a_stopped_point_keeps_what_was_taken_and_never_ranks() -> None:
    from search.account.selection import select

    best = {**FIGURES, "latency_ratio": 0.1, "latency_ratio_low": 0.09, "metric_drop": -0.5, "metric_drop_low": -0.6}
    stopped = TrialPoint(number=1, digest="5" * 8, state="pruned", reason="dominated by #0", **best)
    unmeasured = TrialPoint(number=2, digest="6" * 8, state="pruned", metric=0.9, metric_drop=0.1, metric_drop_low=0.0,
                            metric_drop_high=0.2)  # fmt: skip
    complete = point(number=0)
    selection = select([complete, stopped, unmeasured])
    assert selection.front == selection.searched == (complete,)
    assert not stopped.rankable
    rows = list(csv.DictReader(io.StringIO(to_csv([complete, stopped, unmeasured]))))
    assert [row["state"] for row in rows] == ["complete", "pruned", "pruned"]
    assert rows[1]["latency_ratio"] == "0.1"
    assert (rows[2]["latency_ratio"], rows[2]["metric_drop"]) == ("", "0.1")
    assert rows[1]["reason"] == "dominated by #0"


def test_a_recovered_point_shares_its_trials_number_and_has_a_name_and_key_of_its_own() -> None:
    trial = point()
    recovered = point(digest="77ab", recovered_from=trial.digest, recovery="distillation, 3 epochs, seed 0")
    twice = point(digest="91cd", recovered_from=trial.digest, recovery="distillation, 6 epochs, seed 0")
    assert (trial.name, recovered.name, twice.name) == ("#3", "#3r", "#3r")
    assert sorted([twice.key, recovered.key, trial.key]) == [trial.key, recovered.key, twice.key]
    assert len({trial.key, recovered.key, twice.key}) == 3


@pytest.mark.parametrize("changes", [{"recovered_from": "3fa9"}, {"recovery": "distillation"}])
def test_a_recovered_point_says_from_what_and_how(changes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="recovered_from and recovery must be given together"):
        point(**changes)
