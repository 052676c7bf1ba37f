"""Durations and times of day as people type them."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from search.cli.durations import parse_duration_s, seconds_until

parts = st.lists(st.tuples(st.integers(0, 999), st.sampled_from("dhms")), min_size=1, max_size=4)
SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


@given(parts)
def test_a_duration_is_the_sum_of_its_parts(given_parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in given_parts)
    total = sum(number * SECONDS[unit] for number, unit in given_parts)
    if total:
        assert parse_duration_s(text) == total
        assert parse_duration_s(text.upper().replace("H", "H ")) == total
    else:
        with pytest.raises(typer.BadParameter, match="above zero"):
            parse_duration_s(text)


@given(st.text(max_size=12))
def test_anything_else_is_refused_in_words(text: str) -> None:
    try:
        assert parse_duration_s(text) > 0
    except typer.BadParameter as error:
        assert repr(text) in str(error)  # noqa: PT017  # most texts raise, a few do not


@pytest.mark.parametrize(("text", "seconds"), [("8h", 28800), ("1h30m", 5400), ("45", 45), ("0.5h", 1800)])
def test_examples(text: str, seconds: float) -> None:
    assert parse_duration_s(text) == seconds


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where summer time ends on 2026-10-25 at 03:00, which is then 02:00 again."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("day", "hour", "until", "hours"),
    [(10, 23, "07:00", 8), (10, 7, "07:00", 24), (10, 6, "07:00", 1), (24, 23, "07:00", 9), (10, 23, "07:00:36", 8.01)],
)
def test_until_is_the_next_time_that_the_wall_shows_it(
    berlin: None, day: int, hour: int, until: str, hours: float
) -> None:
    now = dt.datetime(2026, 10, day, hour).astimezone()
    assert seconds_until(until, now) == pytest.approx(hours * 3600)


@pytest.mark.parametrize("text", ["25:00", "soon", "", "7"])
def test_no_time_of_day(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="such as 07:00"):
        seconds_until(text)
